package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells a finding that prevents loading from one that does not.
type Severity uint8

// The severities. Lint finds warnings; an error prevents loading.
const (
	SeverityError Severity = iota
	SeverityWarning
)

func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// MarshalText lets a finding be printed as JSON with the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing wrong with a policy file, and where. Line and Column
// count from 1, and are 0 for a [Rule]; Code is stable and meant for programs, Message for people.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
}

// String is file:line:column: message, which editors and terminals can follow.
func (f Finding) String() string {
	if f.Line == 0 { // of a rule: File says all
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Findings is everything found in one go, in the order of the file.
type Findings []Finding

// maxPrinted keeps the error of a hopeless file readable.
const maxPrinted = 50

// Error has one line per finding.
func (fs Findings) Error() string {
	var b strings.Builder
	for i, f := range fs {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxPrinted {
			fmt.Fprintf(&b, "and %d more", len(fs)-maxPrinted)
			break
		}
		b.WriteString(f.String())
	}
	return b.String()
}

// position is a place in a policy file; both count from 1.
type position struct{ line, column int }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column))
}

// name is a word of the file together with where it stands.
type name struct {
	text string
	at   position
}

// reporter gathers findings about one file.
type reporter struct {
	file     string
	sources  []string // instead, where rules stand: the lines are numbers of rules
	findings Findings
}

func (r *reporter) errorf(at position, code, format string, args ...any) {
	r.add(at, SeverityError, code, fmt.Sprintf(format, args...))
}

func (r *reporter) warnf(at position, code, format string, args ...any) {
	r.add(at, SeverityWarning, code, fmt.Sprintf(format, args...))
}

func (r *reporter) add(at position, severity Severity, code, message string) {
	f := Finding{File: r.file, Line: at.line, Column: at.column, Message: message, Severity: severity, Code: code}
	if r.sources != nil {
		f.File, f.Line, f.Column = r.sources[at.line-1], 0, 0
	}
	r.findings = append(r.findings, f)
}

// line names a line beside the one that a finding is about.
func (r *reporter) line(at position) string {
	if r.sources != nil {
		return r.sources[at.line-1]
	}
	return fmt.Sprintf("line %d", at.line)
}

// sorted returns the findings by position.
func (r *reporter) sorted() Findings {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.findings
}
