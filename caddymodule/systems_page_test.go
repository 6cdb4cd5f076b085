package caddymodule

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/testnames"
)

const (
	systemsPage  = "../docs/systems.md"
	systemsLines = "testdata/systems.txt"
)

const systemsIntro = `# The five systems

For those who ask what the product does, and how one knows. It implements five token systems that exist, on one engine. Each line of
what they ask for has its tests: their names say which. This page is written from these names, and a test fails where a line has none:
` + "`go test ./caddymodule -run TestSystemsPage -update`" + `.
`

// systemLine is one thing that a system asks for.
type systemLine struct {
	id, text string
	where    []string // files
}

// TestSystemsPage compares the page with the list of what the systems ask for and
// the tests that are there.
func TestSystemsPage(t *testing.T) {
	proofs := systemProofs(t)
	page, known := systemsIntro, map[string]bool{}
	for text := range strings.Lines(readText(t, systemsLines)) {
		line, heading, ok := parseSystemLine(text)
		switch {
		case heading != "":
			page += "\n## " + heading + "\n\n| line | what it asks for | where it lives | what proves it |\n|---|---|---|---|\n"
		case ok:
			if known[line.id] {
				t.Errorf("%s stands twice in %s", line.id, systemsLines)
			}
			known[line.id] = true
			page += line.row(t, proofs[line.id])
		}
	}
	for _, id := range sortedKeys(proofs) {
		if !known[id] {
			t.Errorf("%v name %s, which is no line of %s", proofs[id], id, systemsLines)
		}
	}
	if len(known) != 55 {
		t.Errorf("%d lines; the five systems have 55", len(known))
	}
	if *update {
		writeText(t, systemsPage, page)
	} else if page != readText(t, systemsPage) {
		t.Errorf("%s is out of date; write it anew with -update", systemsPage)
	}
}

var systemID = regexp.MustCompile(`^S[1-5](\.[1-9][0-9]?)?$`)

func parseSystemLine(text string) (line systemLine, heading string, ok bool) {
	text = strings.TrimSpace(text)
	id, rest, _ := strings.Cut(text, " ")
	if !systemID.MatchString(id) {
		return line, "", false
	}
	if !strings.Contains(id, ".") {
		return line, text, false
	}
	cells := strings.Split(rest, "|")
	return systemLine{id, strings.TrimSpace(cells[1]), strings.Split(strings.TrimSpace(cells[2]), ", ")}, "", true
}

func (l *systemLine) row(t *testing.T, tests []string) string {
	t.Helper()
	if len(tests) == 0 {
		t.Errorf("%s has no test: %s", l.id, l.text)
	}
	where := make([]string, len(l.where))
	for i, file := range l.where {
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Errorf("%s lives in %s: %v", l.id, file, err)
		}
		where[i] = code(file)
	}
	return row(l.id, l.text, strings.Join(where, ", "), strings.Join(tests, ", "))
}

// provenLine finds the lines in the name of a test: TestS2_3_S2_4_… proves two.
var provenLine = regexp.MustCompile(`S([1-5])_([1-9][0-9]?)(?:_|$)`)

// systemProofs returns the tests that prove each line, by its id.
func systemProofs(t *testing.T) map[string][]string {
	t.Helper()
	proofs := map[string][]string{}
	for _, name := range sortedKeys(testnames.Written(t, "..")) {
		rest := strings.TrimPrefix(name, "Test")
		for {
			found := provenLine.FindStringSubmatch(rest)
			if found == nil || !strings.HasPrefix(rest, found[0]) {
				break
			}
			id := "S" + found[1] + "." + found[2]
			proofs[id] = append(proofs[id], code(name))
			rest = rest[len(found[0]):]
		}
	}
	return proofs
}
