package caddymodule

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// diagnosis is something that the doctor found.
type diagnosis struct {
	Level level  `json:"level"`
	Check string `json:"check"`           // for programs; stable
	Where string `json:"where,omitempty"` // a file, with the line if it is known
	What  string `json:"what"`
	Do    string `json:"do"`
}

// level tells how much a diagnosis matters.
type level string

const (
	levelError   level = "error"   // it doesn't work, or isn't safe
	levelWarning level = "warning" // it will hurt some day
	levelNote    level = "note"    // good to know; may be meant so
)

// examination is what the checks look at, and what they have found.
type examination struct {
	ctx context.Context

	file    string       // of the configuration; empty: it is that of a running server
	lines   []configLine // of a Caddyfile
	raw     []byte       // the configuration as JSON
	config  caddyConfig
	app     *App // with its defaults; nil: it can't be read
	machine machine
	server  *runningServer // nil: none was found

	found []diagnosis
}

// doctorChecks is the table of checks, by the groups that --only names. Each finds
// what it finds and fails at nothing. checkApp comes before them.
var doctorChecks = []struct {
	group string
	run   func(*examination)
}{
	{"config", (*examination).checkIssuers},
	{"config", (*examination).checkGates},
	{"config", (*examination).checkServers},
	{"config", (*examination).checkHealthDetail},
	{"config", (*examination).checkLogs},
	{"config", (*examination).checkMetrics},
	{"config", (*examination).checkAdmin},
	{"policies", (*examination).checkPolicies},
	{"files", (*examination).checkRootKey},
	{"files", (*examination).checkOperatorTokens},
	{"files", (*examination).checkJournal},
	{"files", (*examination).checkDatabase},
	{"files", (*examination).checkDisk},
	{"machine", (*examination).checkClock},
	{"machine", (*examination).checkMemory},
	{"machine", (*examination).checkProcess},
	{"server", (*examination).checkServer},
}

// doctorGroups are the names that --only takes.
func doctorGroups() (groups []string) {
	for _, c := range doctorChecks {
		if !slices.Contains(groups, c.group) {
			groups = append(groups, c.group)
		}
	}
	return groups
}

// examine makes the checks of these groups, all of them if there are none.
func (x *examination) examine(groups []string) []diagnosis {
	if len(x.found) > 0 { // while it was read
		return x.found
	}
	wanted := func(group string) bool { return len(groups) == 0 || slices.Contains(groups, group) }
	x.checkApp() // always: it fills in defaults
	if !wanted("config") {
		x.found = nil
	}
	for _, c := range doctorChecks {
		if wanted(c.group) {
			c.run(x)
		}
	}
	return x.found
}

// find notes what was found, once.
func (x *examination) find(l level, check, where, do, what string, args ...any) {
	d := diagnosis{l, check, where, fmt.Sprintf(what, args...), do}
	if !slices.Contains(x.found, d) {
		x.found = append(x.found, d)
	}
}

// inEarnest is a warning if there is a production environment, and a note for who
// only tries things out.
func (x *examination) inEarnest() level {
	if x.app != nil && x.app.Environments[store.Production] != nil {
		return levelWarning
	}
	return levelNote
}

// configLine is a line of a Caddyfile.
type configLine struct {
	file   string
	number int
	keys   []string // the addresses of its site; none in the global options
	words  []string
}

// at says where in the Caddyfile the one line is that begins with a word and has
// the others in it; the file alone if there are several or none.
func (x *examination) at(first string, others ...string) string {
	return x.atSite("", first, others...)
}

// atSite is at for a site with this in its address, if it is not empty.
func (x *examination) atSite(site, first string, others ...string) string {
	where := ""
	for _, line := range x.lines {
		if line.words[0] != first || !line.has(others) || !line.in(site) {
			continue
		}
		if where != "" {
			return x.file
		}
		where = fmt.Sprintf("%s:%d", line.file, line.number)
	}
	if where == "" {
		return x.file
	}
	return where
}

func (l *configLine) in(site string) bool {
	return site == "" || slices.ContainsFunc(l.keys, func(key string) bool { return strings.Contains(key, site) })
}

func (l *configLine) has(texts []string) bool {
	for _, text := range texts {
		if !slices.ContainsFunc(l.words[1:], func(word string) bool { return strings.Contains(word, text) }) {
			return false
		}
	}
	return true
}
