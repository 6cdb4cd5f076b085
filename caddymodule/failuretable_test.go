package caddymodule

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(Test\\w+)`")
	writtenTest = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// The table of failures promises behaviour to operators: each row must have a
// test that is there.
func TestFailureTableNamesItsTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## When something fails\n")
	section, _, closed := strings.Cut(section, "\n## ")
	if !found || !closed {
		t.Fatal("ARCHITECTURE.md has no section about what happens when something fails")
	}
	written := writtenTests(t)
	rows := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what fails") {
			continue
		}
		rows++
		names := namedTest.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) == 0 {
			t.Errorf("no test, or no three cells, in the row %s", line)
		}
		for _, name := range names {
			if !written[name[1]] {
				t.Errorf("there is no %s, which is to show: %s", name[1], strings.TrimSpace(cells[0]))
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows were found: the table is written in another way", rows)
	}
}

// writtenTests are the names of all test functions of the project.
func writtenTests(t *testing.T) map[string]bool {
	t.Helper()
	written := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		for _, name := range writtenTest.FindAllSubmatch(source, -1) {
			written[string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return written
}
