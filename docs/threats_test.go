package docs_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/testnames"
)

// A defence that no test shows is a hope: each row of the threat model has tests
// that are there.
func TestThreatsHaveTests(t *testing.T) {
	var rows [][]string
	for line := range strings.Lines(section(t, "\n"+read(t, "threat-model.md"), "# Threat model")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.TrimSpace(cells[0]) == "threat" {
			continue
		}
		rows = append(rows, cells)
	}
	checkNamedTests(t, rows, 50)
}

// The table of failures promises behaviour to operators: each row must have a
// test that is there.
func TestFailureTableNamesItsTests(t *testing.T) {
	var rows [][]string
	for line := range strings.Lines(section(t, read(t, "../ARCHITECTURE.md"), "## When something fails")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what fails") {
			continue
		}
		if len(cells) != 3 {
			t.Errorf("%d cells and not three in the row %s", len(cells), line)
		}
		rows = append(rows, cells)
	}
	checkNamedTests(t, rows, 20)
}

var namedTest = regexp.MustCompile("`(Test\\w+)`")

// checkNamedTests holds what the last cell of each row names against the tests that
// are there. Fewer rows than least were not all of them.
func checkNamedTests(t *testing.T, rows [][]string, least int) {
	t.Helper()
	written := testnames.Written(t, "..")
	for _, cells := range rows {
		names := namedTest.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(names) == 0 {
			t.Errorf("no test in the row %s", strings.Join(cells, "|"))
		}
		for _, name := range names {
			if !written[name[1]] {
				t.Errorf("there is no %s, which is to show: %s", name[1], strings.TrimSpace(cells[0]))
			}
		}
	}
	if len(rows) < least {
		t.Errorf("%d rows were found: the table is written in another way", len(rows))
	}
}
