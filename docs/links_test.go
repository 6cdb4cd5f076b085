// Package docs_test holds the documents against the code and each other.
package docs_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// documents returns the paths of all Markdown files of the project, from here.
func documents(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == ".venv" || name == "bin" || name == ".git" || name == ".run") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("%d documents: they are looked for in the wrong place", len(files))
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\))?[^()\s]*)\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
)

// A link leads to a file, or to a heading, that is there.
func TestLinksLeadSomewhere(t *testing.T) {
	count := 0
	for _, file := range documents(t) {
		prose := codeSpan.ReplaceAllString(fenced.ReplaceAllString(read(t, file), ""), "code")
		for _, found := range link.FindAllStringSubmatch(prose, -1) {
			count++
			if problem := follow(t, file, found[1]); problem != "" {
				t.Errorf("%s: %s: %s", file, found[1], problem)
			}
		}
	}
	if count < 100 {
		t.Errorf("%d links: they are written in another way", count)
	}
}

func follow(t *testing.T, from, to string) (problem string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		return err.Error()
	}
	if target.Scheme != "" {
		if target.Scheme != "https" || target.Host == "" {
			return "expected a path or an https URL"
		}
		return ""
	}
	file := from
	if target.Path != "" {
		file = filepath.Join(filepath.Dir(from), target.Path)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err.Error()
	}
	if target.Fragment == "" {
		return ""
	}
	if info.IsDir() || filepath.Ext(file) != ".md" {
		return "only documents have headings"
	}
	if !anchors(read(t, file))[target.Fragment] {
		return "there is no such heading"
	}
	return ""
}

// anchors are the ids that headings get where the documents are shown: lower-case
// letters and digits, hyphens for blanks, and a number if it is taken.
func anchors(document string) map[string]bool {
	ids := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(document, ""), -1) {
		id := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(found[1]))
		unique := id
		for n := 1; ids[unique]; n++ {
			unique = id + "-" + strconv.Itoa(n)
		}
		ids[unique] = true
	}
	return ids
}

func TestAnchorsAreThoseOfTheHeadings(t *testing.T) {
	got := anchors("# The `sh` block, (twice)\n## Same\n## Same\n```sh\n# none\n```\n")
	for id, want := range map[string]bool{"the-sh-block-twice": true, "same": true, "same-1": true, "same-2": false, "none": false} {
		if got[id] != want {
			t.Errorf("%s: %t", id, got[id])
		}
	}
}

// Each page can be reached from the first one.
func TestEachPageIsReached(t *testing.T) {
	reached := map[string]bool{}
	next := []string{"../README.md"}
	for len(next) > 0 {
		file := next[0]
		next = next[1:]
		if reached[file] {
			continue
		}
		reached[file] = true
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
			path, _, _ := strings.Cut(found[1], "#")
			if filepath.Ext(path) == ".md" && !strings.Contains(path, "://") {
				next = append(next, filepath.Join(filepath.Dir(file), path))
			}
		}
	}
	for _, file := range documents(t) {
		if !reached[file] {
			t.Errorf("no link leads from README.md to %s", file)
		}
	}
}

// A long page says at its beginning where each of its sections is.
func TestLongPagesBeginWithTheirSections(t *testing.T) {
	for _, page := range []string{"operators.md", "bots.md", "policies.md", "monitoring.md"} {
		text := fenced.ReplaceAllString(read(t, page), "")
		entrance, rest, _ := strings.Cut(text, "\n## ")
		for _, found := range sectionTitle.FindAllStringSubmatch("\n## "+rest, -1) {
			for id := range anchors("# " + found[1] + "\n") {
				if !strings.Contains(entrance, "(#"+id+")") {
					t.Errorf("%s does not lead to its section %q", page, found[1])
				}
			}
		}
	}
}

var sectionTitle = regexp.MustCompile(`(?m)^## +(.*)$`)
