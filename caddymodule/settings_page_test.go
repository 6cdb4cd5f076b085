package caddymodule

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

const settingsPage = "../docs/settings.md"

const settingsIntro = `# Settings

For operators: every option of the Caddyfile and every key of the JSON. [operators.md](operators.md) says what to do with them,
[policies.md](policies.md) has the keys of a policy. This page is written by a test from the parsers and types themselves:
` + "`go test ./caddymodule -run TestSettingsPage -update`" + `.

In a key, * stands for a name or place of your choice. ` + "`bearer` is the app (`apps.bearer`); `bearer_gate`, `bearer_issuer` and" + `
` + "`bearer_health` are handlers." + `
`

const settingsRest = `
## Keys without an option

A Caddyfile has them as arguments, or as the block around.

| key | meaning |
|---|---|
`

// TestSettingsPage compares the page with what the parsers and types say.
func TestSettingsPage(t *testing.T) {
	keys, meanings := keyMeanings(t)
	inJSON, named := optionKeys(), map[string]bool{}
	page, block := settingsIntro, ""
	for _, grammar := range grammars() {
		for _, option := range grammar.options(t, nil) {
			if around := strings.Join(option.words[:len(option.words)-1], " "); around != block {
				block = around
				page += "\n## " + block + "\n\n| option | key | meaning |\n|---|---|---|\n"
			}
			key := inJSON[option.name()]
			named[key] = true
			page += row(code(option.usage), code(key), meanings[key])
		}
	}
	page += settingsRest
	for _, key := range keys {
		if !named[key] {
			page += row(code(key), meanings[key])
		}
	}
	if *update {
		writeText(t, settingsPage, page)
	} else if page != readText(t, settingsPage) {
		t.Errorf("%s is out of date; write it anew with -update", settingsPage)
	}
}

// keyMeanings returns all JSON keys and what the doc comments of their fields say.
func keyMeanings(t *testing.T) (keys []string, meanings map[string]string) {
	t.Helper()
	docs, meanings := fieldDocs(t), map[string]string{}
	for _, module := range ourModules(t) {
		for _, key := range jsonKeys(t, module.ID.Name(), typeOf(module)) {
			keys = append(keys, key.name)
			meanings[key.name] = docs[key.field]
			if docs[key.field] == "" {
				t.Errorf("%s has no doc comment", key.field)
			}
		}
	}
	return keys, meanings
}

// optionKeys returns the JSON key that each option of the Caddyfile sets, as the
// proofs pair them.
func optionKeys() map[string]string {
	pairs := map[string]string{}
	for _, p := range proofs() {
		var keys, options []string
		for _, name := range p.keys {
			if key, found := strings.CutPrefix(name, "json "); found {
				keys = append(keys, key)
			}
			if option, found := strings.CutPrefix(name, "Caddyfile "); found {
				options = append(options, option)
			}
		}
		for i, option := range options {
			pairs[option] = keys[min(i, len(keys)-1)]
		}
	}
	return pairs
}

// fieldDocs returns the doc comments of the fields of all structs that a
// configuration may hold, by the names of type and field.
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	must(t, err)
	docs := map[string]string{}
	for _, file := range append(files, "../policy/rule.go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			declared, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if body, ok := declared.Type.(*ast.StructType); ok {
				for _, field := range body.Fields.List {
					for _, name := range field.Names {
						docs[declared.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	return docs
}

func row(cells ...string) string {
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// code is text in a cell, in which a bar would end it.
func code(text string) string {
	return fmt.Sprintf("`%s`", strings.ReplaceAll(text, "|", `\|`))
}
