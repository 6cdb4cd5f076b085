package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Report is the outcome of a policy's tests.
type Report struct {
	Tests    int       `json:"tests"`
	Failures []Failure `json:"failures"`
	Routes   int       `json:"routes"`   // in the policy
	Untested []string  `json:"untested"` // ids of routes that no test's request reached, in file order
}

// Failure is a test whose expectation did not hold.
type Failure struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Request  string `json:"request"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

// String is file:line:column: and what was expected and found.
func (f Failure) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: expected %s; got %s", f.File, f.Line, f.Column, f.Request, f.Expected, f.Got)
}

// OK reports whether every test held.
func (r Report) OK() bool { return len(r.Failures) == 0 }

// Tested is the number of routes that a test's request reached.
func (r Report) Tested() int { return r.Routes - len(r.Untested) }

// Coverage is the share of routes tested, in percent. It is rounded down: only
// a policy without untested routes has 100.
func (r Report) Coverage() int {
	if r.Routes == 0 {
		return 100
	}
	return r.Tested() * 100 / r.Routes
}

// Add returns the report of both runs, which were of the same policy.
func (r Report) Add(other Report) Report {
	r.Tests += other.Tests
	r.Failures = slices.Concat(r.Failures, other.Failures)
	r.Untested = slices.DeleteFunc(slices.Clone(r.Untested), func(id string) bool {
		return !slices.Contains(other.Untested, id)
	})
	return r
}

// Test runs the tests of the policy file itself.
func (p *Policy) Test() Report { return p.run(p.filename, p.tests) }

// TestFile runs the tests of another file against the policy. The file is a
// mapping with the one key tests, whose items are as in a policy:
//
//	tests:
//	  - {request: "GET /health", expect: allow}
//
// An error is [Findings] about that file; a failed test is no error.
func (p *Policy) TestFile(filename string, src []byte) (Report, error) {
	r := &reader{reporter{file: filename}}
	var tests []testDecl
	if root := r.parse(src); root != nil {
		tests = r.testDocument(root)
	}
	c := compiler{&r.reporter, p, false}
	c.checkTests(tests, p.routeIDs())
	if len(r.findings) > 0 {
		return Report{}, r.sorted()
	}
	return p.run(filename, tests), nil
}

// checkTests looks up the names in tests, so that a misspelt one can't make a
// test of a denial pass.
func (c *compiler) checkTests(tests []testDecl, routeIDs []string) {
	for _, t := range tests {
		for _, n := range t.scopes {
			c.scope(n)
		}
		if t.missing != nil {
			c.lookUp(*t.missing)
		}
		if t.route != nil && !c.unsure && !slices.Contains(routeIDs, t.route.text) {
			c.errorf(t.route.at, "unknown-route", "unknown route %q%s", t.route.text, didYouMean(t.route.text, routeIDs))
		}
	}
}

func (p *Policy) routeIDs() []string {
	ids := make([]string, len(p.routes))
	for i, r := range p.routes {
		ids[i] = r.ID
	}
	return ids
}

func (p *Policy) run(filename string, tests []testDecl) Report {
	report := Report{Tests: len(tests), Failures: []Failure{}, Routes: len(p.routes), Untested: []string{}}
	reached := make(map[*Route]bool)
	for _, t := range tests {
		got := p.try(t)
		reached[got.decision.Route] = true
		if !t.holds(got) {
			report.Failures = append(report.Failures, Failure{
				File: filename, Line: t.at.line, Column: t.at.column,
				Request: t.method + " " + t.path, Expected: t.expectation(), Got: got.String(),
			})
		}
	}
	for _, r := range p.routes {
		if !reached[r] {
			report.Untested = append(report.Untested, r.ID)
		}
	}
	return report
}

// outcome is what became of a test's request.
type outcome struct {
	decision Decision
	missing  [][]string
}

func (p *Policy) try(t testDecl) outcome {
	m, _ := p.Match(t.method, t.path)
	facts := Facts{Scopes: p.Set(texts(t.scopes)), Accounts: texts(t.accounts)}
	return outcome{p.Decide(&m, facts), p.Missing(&m, facts.Scopes)}
}

// holds reports whether an outcome is as expected, in all that the test states.
func (t testDecl) holds(got outcome) bool {
	d := got.decision
	return d.Allow == t.allow &&
		(t.reason == nil || d.Reason == *t.reason) &&
		(t.route == nil || d.Route != nil && d.Route.ID == t.route.text) &&
		(t.missing == nil || d.Reason == ReasonInsufficientScope && sameAlternatives(t.wanted(), got.missing))
}

func (t testDecl) wanted() [][]string {
	var alternatives [][]string
	for _, all := range *t.missing {
		alternatives = append(alternatives, texts(all))
	}
	return alternatives
}

// expectation says what the test states.
func (t testDecl) expectation() string {
	words := verdict(t.allow)
	if t.reason != nil {
		words += fmt.Sprintf(" (%s)", *t.reason)
	}
	if t.route != nil {
		words += " by route " + t.route.text
	}
	if t.missing != nil {
		words += ", missing " + formatAlternatives(t.wanted())
	}
	return words
}

func (o outcome) String() string {
	words := fmt.Sprintf("%s (%s)", verdict(o.decision.Allow), o.decision.Reason)
	if o.decision.Route != nil {
		words += " by route " + o.decision.Route.ID
	}
	if o.decision.Reason == ReasonInsufficientScope {
		words += ", missing " + formatAlternatives(o.missing)
	}
	return words
}

func verdict(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// formatAlternatives writes alternatives as a policy file would.
func formatAlternatives(alternatives [][]string) string {
	var parts []string
	for _, all := range alternatives {
		parts = append(parts, "["+list(all)+"]")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// sameAlternatives compares regardless of order: alternatives have none.
func sameAlternatives(a, b [][]string) bool {
	return slices.Equal(canonical(a), canonical(b))
}

func canonical(alternatives [][]string) []string {
	var lines []string
	for _, all := range alternatives {
		lines = append(lines, strings.Join(slices.Sorted(slices.Values(all)), " "))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func texts(names []name) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = n.text
	}
	return list
}
