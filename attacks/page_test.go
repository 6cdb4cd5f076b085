package attacks

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	page          = "../docs/attacks.md"
	elsewhereFile = "testdata/elsewhere.txt"
	notRunFile    = "testdata/notrun.txt"
)

const pageIntro = `# Attacks

For those who ask what has been tried. Below are 250 attacks that are known to have broken gateways and authorization servers, and what
came of each. Those that name ` + "`TestAttacks`" + ` are run against a whole server on real ports, in every run of the tests. Around each of
them these hold too: the backend saw no request beyond those that passed, no answer was a 5xx or showed the inside, the log holds neither a
panic nor a token, and the next good request was served. Where a result says "passed", the request had to pass, and what the backend
received of it was looked at.

This page is written by the tests, from what they saw: ` + "`go test ./attacks -update`" + `. A test fails where an attack has no place in it.

`

// elsewhere is a row whose test lies in another package.
type elsewhere struct{ room, test, result string }

// readTable reads a file of lines with cells between "|"; "#" begins a comment.
func readTable(t testing.TB, file string, cells int) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		found := strings.Split(line, "|")
		for i := range found {
			found[i] = strings.TrimSpace(found[i])
		}
		if len(found) != cells || table[found[0]] != nil {
			t.Errorf("%s: the line has not %d cells, or stands twice: %s", file, cells, line)
			continue
		}
		table[found[0]] = found[1:]
	}
	return table
}

func readElsewhere(t testing.TB) map[string]elsewhere {
	t.Helper()
	rows := map[string]elsewhere{}
	for id, cells := range readTable(t, elsewhereFile, 3) {
		room, test, _ := strings.Cut(cells[0], ".")
		rows[id] = elsewhere{room, test, cells[1]}
	}
	return rows
}

// TestEveryRowHasItsPlace fails for a row that is run nowhere without a reason,
// and for one that is in two places.
func TestEveryRowHasItsPlace(t *testing.T) {
	others, notRun, known := readElsewhere(t), readTable(t, notRunFile, 2), map[string]bool{}
	for _, row := range corpus(t) {
		known[row.ID] = true
		places := 0
		for _, there := range []bool{registered[row.ID] != nil, others[row.ID] != elsewhere{}, notRun[row.ID] != nil} {
			if there {
				places++
			}
		}
		if places != 1 {
			t.Errorf("%s is in %d places; it belongs in one of: a rows_*_test.go, %s, %s", row.ID, places, elsewhereFile, notRunFile)
		}
	}
	for _, id := range ids(registered, others, notRun) {
		if !known[id] {
			t.Errorf("%s is no row of the corpus", id)
		}
	}
}

func ids(registered rows, others map[string]elsewhere, notRun map[string][]string) (all []string) {
	for id := range registered {
		all = append(all, id)
	}
	for id := range others {
		all = append(all, id)
	}
	for id := range notRun {
		all = append(all, id)
	}
	return all
}

// TestRowsElsewhereAreThere looks for the tests that testdata/elsewhere.txt names.
// Each must name the row, in its text or in the comment above it.
func TestRowsElsewhereAreThere(t *testing.T) {
	tests := map[string]map[string]string{} // text by name, by room
	for id, row := range readElsewhere(t) {
		if tests[row.room] == nil {
			tests[row.room] = testsOf(t, row.room)
		}
		switch text, written := tests[row.room][row.test]; {
		case !written:
			t.Errorf("%s: there is no %s in %s", id, row.test, row.room)
		case !strings.Contains(text, id) && !strings.Contains(row.test, inName(id)):
			t.Errorf("%s: %s in %s does not name it", id, row.test, row.room)
		}
	}
}

// inName is how the name of a test names a row: TestUI12_… is for UI-12.
func inName(id string) string { return strings.NewReplacer("-", "", "_", "").Replace(id) }

// testsOf are the texts of a room's test functions.
func testsOf(t testing.TB, room string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", room, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		positions := token.NewFileSet()
		parsed, err := parser.ParseFile(positions, file, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil {
				begin := function.Pos()
				if function.Doc != nil {
					begin = function.Doc.Pos()
				}
				tests[function.Name.Name] = string(source[positions.Position(begin).Offset:positions.Position(function.End()).Offset])
			}
		}
	}
	return tests
}

// checkPage compares the page with what the rows found.
func checkPage(t *testing.T, results map[string]string) {
	t.Helper()
	others, notRun := readElsewhere(t), readTable(t, notRunFile, 2)
	text := pageIntro + fmt.Sprintf("%d attacks: %d run here, %d in tests of other packages, %d not run.\n",
		len(corpus(t)), len(results), len(others), len(notRun))
	area := ""
	for _, row := range corpus(t) {
		if row.Area != area {
			area = row.Area
			text += "\n## " + area + "\n\n| row | attack | wanted | test | result |\n|---|---|---|---|---|\n"
		}
		test, result := "", ""
		switch other := others[row.ID]; {
		case registered[row.ID] != nil:
			test, result = "`TestAttacks/"+row.ID+"`", results[row.ID]
		case other.test != "":
			test, result = "`"+other.test+"` in "+other.room, other.result
		case notRun[row.ID] != nil:
			test, result = "–", "not run: "+notRun[row.ID][0]
		}
		if result == "" {
			t.Errorf("%s tells no result", row.ID)
		}
		text += "| " + strings.Join([]string{row.ID, literal(row.Input), literal(row.Expected), test, result}, " | ") + " |\n"
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	present, err := os.ReadFile(page)
	if err != nil || string(present) != text {
		t.Errorf("%s is out of date (%v); write it anew: go test ./attacks -update", page, err)
	}
}

// literal shows a text of the corpus in a cell of a table.
func literal(text string) string {
	text = strings.NewReplacer("|", "¦", "`", "'", "\n", " ").Replace(text)
	return "`" + text + "`"
}
