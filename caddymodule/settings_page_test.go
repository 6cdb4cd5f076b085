package caddymodule

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const settingsPage = "../docs/settings.md"

const settingsIntro = `# Settings

For operators: the reference of the Caddyfile and of the JSON. Every option stands here, with the key that it sets, its type, its default and an
example that the parser takes. [operators.md](operators.md) says what to do with them, [policies.md](policies.md) has the keys of a policy. This
page is written by a test from the parsers and types themselves: ` + "`go test ./caddymodule -run TestSettingsPage -update`" + `.

` + "In a key, * stands for a name or place of your choice. `bearer` is the app (`apps.bearer`), a global option in a Caddyfile; `bearer_gate`," + `
` + "`bearer_issuer` and `bearer_health` are handlers. An option may stand once, but those that are named (`client <id>`) and those that make a" + `
list: what they name is added. Durations are written as in ` + "`90s`, `15m`, `12h`, `30d`; sizes as in `64MiB`. What has spaces in it goes into quotes." + `
`

const settingsHead = "| option, key | type | default | example | meaning |\n|---|---|---|---|---|\n"

const settingsRest = `
## Keys without an option

A Caddyfile has them as arguments, or as the block around.

| key | type | default | meaning |
|---|---|---|---|
`

// TestSettingsPage compares the page with what the parsers and types say.
func TestSettingsPage(t *testing.T) {
	keys, reference := settingsReference(t)
	inJSON, examples, named := optionKeys(), optionExamples(t), map[string]bool{}
	page, block := settingsIntro, ""
	for _, grammar := range grammars() {
		for _, option := range grammar.options(t, nil) {
			if around := strings.Join(option.words[:len(option.words)-1], " "); around != block {
				block = around
				page += "\n## " + block + "\n\n" + settingsHead
			}
			key := inJSON[option.name()]
			named[key] = true
			if examples[option.name()] == "" {
				t.Errorf("no golden file of testdata/caddyfile shows %q", option.name())
			}
			s := reference[key]
			page += row(code(option.usage)+"<br>"+code(key), s.kind, s.fallback, code(examples[option.name()]), s.meaning)
		}
	}
	page += settingsRest
	for _, key := range keys {
		if s := reference[key]; !named[key] {
			page += row(code(key), s.kind, s.fallback, s.meaning)
		}
	}
	if *update {
		writeText(t, settingsPage, page)
	} else if page != readText(t, settingsPage) {
		t.Errorf("%s is out of date; write it anew with -update", settingsPage)
	}
}

// setting is what the page says of a key.
type setting struct{ kind, fallback, meaning string }

// settingsReference returns all JSON keys, in their order, and what types and doc
// comments say of them.
func settingsReference(t *testing.T) (keys []string, reference map[string]setting) {
	t.Helper()
	docs, reference := fieldDocs(t), map[string]setting{}
	for _, module := range ourModules(t) {
		for _, key := range jsonKeys(t, module.ID.Name(), typeOf(module)) {
			keys = append(keys, key.name)
			if docs[key.field] == "" {
				t.Errorf("%s has no doc comment", key.field)
			}
			s := setting{kind: kindOf(key.of)}
			s.fallback, s.meaning = cutDefault(docs[key.field])
			if key.of.Kind() == reflect.Bool {
				s.fallback = "off"
			}
			reference[key.name] = s
		}
	}
	return keys, reference
}

// kindOf is a word for what a value is in JSON.
func kindOf(of reflect.Type) string {
	switch {
	case of == reflect.TypeFor[caddy.Duration]():
		return "duration"
	case of.Kind() == reflect.Pointer:
		return kindOf(of.Elem())
	case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.String:
		return "list of text"
	case of.Kind() == reflect.Slice:
		return "list"
	case of.Kind() == reflect.Map, of.Kind() == reflect.Struct:
		return "object"
	case of.Kind() == reflect.Bool:
		return "boolean"
	case of.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

var (
	saidDefault  = regexp.MustCompile(` ?Default: (.*?)\.( |$)`)
	saidRequired = regexp.MustCompile(` ?\bRequired(\.|, but ([^.]*)\.)`)
)

// cutDefault takes what a doc comment says of the default out of it.
func cutDefault(doc string) (fallback, meaning string) {
	if said := saidDefault.FindStringSubmatchIndex(doc); said != nil {
		return doc[said[2]:said[3]], strings.TrimSpace(doc[:said[0]] + " " + doc[said[1]:])
	}
	if said := saidRequired.FindStringSubmatchIndex(doc); said != nil {
		fallback = "required"
		if said[4] >= 0 {
			fallback += "; " + doc[said[4]:said[5]]
		}
		return fallback, strings.TrimSpace(doc[:said[0]] + doc[said[1]:])
	}
	return "–", doc
}

// optionExamples returns a line for each option, by its name, out of the golden
// files that the parser takes: the longest, which shows most.
func optionExamples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	must(t, err)
	examples := map[string]string{}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "error_") {
			continue
		}
		caddyfile, _, _ := strings.Cut(readText(t, file), "\n----------\n")
		for name, lines := range optionLines(caddyfile) {
			// The lines behind the first may be those of the option's block.
			if line := strings.TrimSuffix(lines[0], " {"); len(line) > len(examples[name]) {
				examples[name] = line
			}
		}
	}
	return examples
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
