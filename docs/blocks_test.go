package docs_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	file, language, text string
	line                 int
}

func (b *block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

func (b *block) first() string {
	line, _, _ := strings.Cut(b.text, "\n")
	return line
}

func blocks(t *testing.T) (found []block) {
	t.Helper()
	for _, file := range documents(t) {
		var open *block
		number := 0
		for line := range strings.Lines(read(t, file)) {
			number++
			fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case isFence && open == nil:
				open = &block{file: strings.TrimPrefix(file, "../"), language: fence, line: number}
			case isFence:
				found = append(found, *open)
				open = nil
			case open != nil:
				open.text += line
			}
		}
		if open != nil {
			t.Errorf("%s is never closed", open)
		}
	}
	return found
}

// elsewhere says which test runs the blocks of a language, and for which documents
// it does: all of this folder and README.md, unless they are named.
var elsewhere = map[string]struct {
	file, test string
	documents  []string
}{
	"console":   {"../examples/quickstart/quickstart_test.go", "TestDocumentsDoWhatTheyShow", nil},
	"caddyfile": {"../examples/quickstart/quickstart_test.go", "TestSnippetsOfTheDocumentsAreAccepted", nil},
	"yaml":      {"../examples/quickstart/quickstart_test.go", "TestSnippetsOfTheDocumentsAreAccepted", nil},
	"promql":    {"../deploy/deploy_test.go", "TestQueriesNameWhatIsExported", []string{"docs/monitoring.md"}},
	"html":      {"../examples/browser/connect_test.go", "TestS5_1_MessageToTheRegisteredOrigin", []string{"docs/bots.md"}},
	"python":    {"../notify/docs_test.go", "TestReceiverOfTheDocs", []string{"docs/bots.md"}},
}

// programs are the blocks of clients.md: files of the room clients, which
// TestPageShowsWhatRuns and TestBotsNeverStop are for.
var programs = []string{"js", "python", "go", "java", "bash"}

// shown are the blocks of text that nobody can run, by how they begin: what
// something prints, or a part of a program whose whole stands elsewhere.
var shown = map[string][]string{
	"README.md": {"portal: http://localhost:8081/ user demo, password … (shown once)"},
	"docs/bots.md": {
		`new WebSocket("wss://api.example.com/api/v1/stream", ["bearer", token, "market.v1"])`, // caddymodule/streams_test.go
		"config := clientcredentials.Config{",                                                  // issuer/golang_clients_test.go
		"config := oauth2.Config{",                                                             // issuer/golang_code_test.go
		`{"type":"token.revoked","timestamp":"2026-05-04T12:00:00Z","data":{"environment":"sandbox","user":"noa","subject":"trading_token",`,
	},
	"docs/monitoring.md": {"scrape_configs:"}, // a part of deploy/prometheus/prometheus.yml
	"docs/policies.md": {
		`{"level":"info",…,"logger":"bearer","msg":"policy changed"`, // caddymodule/policyfile.go
		`{"level":"error",…,"logger":"bearer","msg":"policy file is bad; the policy before it keeps serving"`,
	},
	"docs/portal.md": {"portal: http://localhost:8081/ user demo, password … (shown once)"},
}

// Somebody pastes what stands in a block. So a test runs it, parses it, or it is
// listed as something that is shown alone.
func TestNoBlockEscapes(t *testing.T) {
	for _, b := range blocks(t) {
		switch b.language {
		case "json":
			if !json.Valid([]byte(b.text)) {
				t.Errorf("%s is no JSON", &b)
			}
		case "sh":
			checkShell(t, &b)
		case "mermaid":
			if kind, _, _ := strings.Cut(b.first(), " "); kind != "flowchart" && kind != "sequenceDiagram" {
				t.Errorf("%s: %q is no diagram that is known here", &b, kind)
			}
		case "text":
			if !slices.ContainsFunc(shown[b.file], func(start string) bool { return strings.HasPrefix(b.text, start) }) {
				t.Errorf("%s is text that no test knows: %q", &b, b.first())
			}
		default:
			checkElsewhere(t, &b)
		}
	}
}

func checkElsewhere(t *testing.T, b *block) {
	t.Helper()
	if b.file == "docs/clients.md" {
		if !slices.Contains(programs, b.language) {
			t.Errorf("%s is in %q; the bots are in %q", b, b.language, programs)
		}
		return
	}
	by, known := elsewhere[b.language]
	run := slices.Contains(by.documents, b.file) ||
		by.documents == nil && (filepath.Dir(b.file) == "docs" || b.file == "README.md")
	if !known || !run {
		t.Errorf("%s: a block in %q, which no test runs", b, b.language)
	}
}

var makeTarget = regexp.MustCompile(`(?m)^make ([a-z]+)`)

// checkShell has bash read the lines, and make know its targets. That the commands
// of `caddy bearer` exist is asked in caddymodule.
func checkShell(t *testing.T, b *block) {
	t.Helper()
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(b.text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", b, err, out)
	}
	targets := read(t, "../Makefile") + read(t, "../xcaddy.mk")
	for _, found := range makeTarget.FindAllStringSubmatch(b.text, -1) {
		if !strings.Contains(targets, "\n"+found[1]+":") {
			t.Errorf("%s: there is no make %s", b, found[1])
		}
	}
}

// The tests to which TestNoBlockEscapes leaves blocks are there, and what is
// listed as shown is still shown.
func TestTheOtherTestsExist(t *testing.T) {
	for language, by := range elsewhere {
		if !strings.Contains(read(t, by.file), "\nfunc "+by.test+"(") {
			t.Errorf("%s has no %s, which is to run blocks in %q", by.file, by.test, language)
		}
	}
	all := blocks(t)
	for file, starts := range shown {
		for _, start := range starts {
			if !slices.ContainsFunc(all, func(b block) bool { return b.file == file && b.language == "text" && strings.HasPrefix(b.text, start) }) {
				t.Errorf("%s does not show %q any more", file, start)
			}
		}
	}
}
