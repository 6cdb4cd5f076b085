package clients

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../docs/clients.md"

var update = flag.Bool("update", false, "write the programs into "+page)

// program is a line with a link to a file, and the block below that shows it.
var program = regexp.MustCompile("(?s)(\\[clients/([^]\n]+)\\]\\([^\n]+\n\n```[a-z]+\n)(.*?)(```\n)")

// The blocks of docs/clients.md are the files that TestBotsNeverStop runs.
func TestPageShowsWhatRuns(t *testing.T) {
	shown, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	want := program.ReplaceAllFunc(shown, func(block []byte) []byte {
		parts := program.FindSubmatch(block)
		named = append(named, string(parts[2]))
		source, err := os.ReadFile(string(parts[2]))
		if err != nil {
			t.Error(err)
		}
		return slices.Concat(parts[1], source, parts[4])
	})
	if *update {
		if err := os.WriteFile(page, want, 0o600); err != nil {
			t.Fatal(err)
		}
	} else if string(want) != string(shown) {
		t.Errorf("%s does not show the programs as they are: go test ./clients -run %s -update", page, t.Name())
	}
	var bots []string
	for _, pattern := range []string{"*/bot.*", "*/Bot.*", "*/bot/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		bots = append(bots, found...)
	}
	if fences := strings.Count(string(shown), "```"); fences != 2*len(named) {
		t.Errorf("%s has blocks that are no program of ours: %d fences for %d programs", page, fences, len(named))
	}
	slices.Sort(bots)
	slices.Sort(named)
	if !slices.Equal(named, bots) {
		t.Errorf("%s shows %q, the bots are %q", page, named, bots)
	}
}
