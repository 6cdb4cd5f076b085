package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(Test\\w+)`")
	writtenTest = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// A defence that no test shows is a hope: each row of the threat model has tests
// that are there.
func TestThreatsHaveTests(t *testing.T) {
	written := writtenTests(t)
	rows := 0
	for line := range strings.Lines(section(t, "\n"+read(t, "threat-model.md"), "# Threat model")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.TrimSpace(cells[0]) == "threat" {
			continue
		}
		rows++
		names := namedTest.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("no test in the row %s", line)
		}
		for _, name := range names {
			if !written[name[1]] {
				t.Errorf("there is no %s, which is to show the defence against: %s", name[1], strings.TrimSpace(cells[0]))
			}
		}
	}
	if rows < 50 {
		t.Errorf("%d threats were found: the tables are written in another way", rows)
	}
}

// writtenTests are the names of all test functions of the project.
func writtenTests(t *testing.T) map[string]bool {
	t.Helper()
	written := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(file, "_test.go") {
			for _, name := range writtenTest.FindAllStringSubmatch(read(t, file), -1) {
				written[name[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return written
}
