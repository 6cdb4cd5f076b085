package caddymodule

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	writtenCommand = regexp.MustCompile(`(?:^|[ /(])caddy bearer ([^|;&>)#]*)`)
	spanOfCode     = regexp.MustCompile("`([^`\n]+)`")
	wordOfCommand  = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// Commands that the documents name exist, with the flags that they are shown with.
func TestCommandsOfTheDocumentsExist(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	must(t, err)
	root := bearerTree()
	count := 0
	for _, file := range append(files, "../README.md", "../ARCHITECTURE.md", "../CHANGELOG.md", "../Caddyfile.example") {
		// A line that goes on is one line.
		text := strings.ReplaceAll(readText(t, file), "\\\n", " ")
		for line := range strings.Lines(text) {
			for _, found := range writtenCommand.FindAllStringSubmatch(strings.ReplaceAll(line, "`", ";"), -1) {
				count++
				if problem := wrongCommand(root, strings.Fields(found[1]), false); problem != "" {
					t.Errorf("%s: caddy bearer %s: %s", file, strings.TrimSpace(found[1]), problem)
				}
			}
		}
		for _, found := range spanOfCode.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(found[1])
			if len(words) < 2 || !slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == words[0] }) {
				continue
			}
			count++
			if problem := wrongCommand(root, words, true); problem != "" {
				t.Errorf("%s: `%s`: %s", file, found[1], problem)
			}
		}
	}
	if count < 100 {
		t.Errorf("%d commands: they are written in another way", count)
	}
}

// wrongCommand says what is wrong with a command as it is written, if anything. In
// prose an option of the Caddyfile may begin with the same word as a command.
func wrongCommand(root *cobra.Command, words []string, prose bool) string {
	cmd, rest, err := root.Find(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "…" || w == "..." }))
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && len(rest) > 0 && wordOfCommand.MatchString(rest[0]) {
		if prose && !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") }) {
			return ""
		}
		return "there is no " + rest[0] + " below " + cmd.CommandPath()
	}
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(strings.Trim(name, `"',.`), "=")
		if isFlag && name != "" && name != "help" && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			return cmd.CommandPath() + " has no --" + name
		}
	}
	return ""
}

func TestWrongCommandsOfDocumentsAreFound(t *testing.T) {
	for line, wrong := range map[string]bool{
		"client list":                      false,
		"client list --json":               false,
		"token revoke --id X --reason 'y'": false,
		"client":                           false,
		"client lst":                       true,
		"client list --jsn":                true,
		"nothing":                          true,
	} {
		if got := wrongCommand(bearerTree(), strings.Fields(line), false); (got != "") != wrong {
			t.Errorf("%s: %q", line, got)
		}
	}
}
