package caddymodule

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// walkSettings returns the names of all settings that the product takes, each
// with the kind of file in which it stands:
//
//	json bearer.environments.*.code_lifetime
//	Caddyfile bearer environment code_lifetime
//	policy scopes.*.risk
//	test file tests.*.expect
//
// Nothing is listed here: types and parsers are asked, so that a setting which
// is added is found.
func walkSettings(t *testing.T) (keys []string) {
	t.Helper()
	for _, module := range ourModules(t) {
		for _, key := range jsonKeys(t, module.ID.Name(), typeOf(module)) {
			keys = append(keys, "json "+key.name)
		}
	}
	for _, grammar := range grammars() {
		for _, option := range grammar.options(t, nil) {
			keys = append(keys, "Caddyfile "+option.name())
		}
	}
	for _, file := range policyFiles {
		for _, key := range file.keys(t, "", func(probe any) any { return probe }) {
			keys = append(keys, file.kind+" "+key)
		}
	}
	return keys
}

// ourModules are those of Caddy's modules whose type is of this package.
func ourModules(t *testing.T) (ours []caddy.ModuleInfo) {
	t.Helper()
	here := reflect.TypeFor[App]().PkgPath()
	for _, id := range caddy.Modules() {
		module, err := caddy.GetModule(id)
		must(t, err)
		if typeOf(module).PkgPath() == here && id != "events.handlers.record" { // which tests have for themselves
			ours = append(ours, module)
		}
	}
	return ours
}

func typeOf(module caddy.ModuleInfo) reflect.Type {
	return reflect.Indirect(reflect.ValueOf(module.New())).Type()
}

// jsonKey is a key and the Go field that it fills.
type jsonKey struct {
	name, field string
	of          reflect.Type
}

// jsonKeys returns the keys of a type and of what is in it, with * for the names
// and places that those who configure choose.
func jsonKeys(t *testing.T, name string, in reflect.Type) (keys []jsonKey) {
	t.Helper()
	switch in.Kind() {
	case reflect.Pointer:
		return jsonKeys(t, name, in.Elem())
	case reflect.Map, reflect.Slice:
		return jsonKeys(t, name+".*", in.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	for i := range in.NumField() {
		field := in.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported():
			continue
		case key == "":
			t.Errorf("%s.%s has no json tag", in, field.Name)
		case key != "-":
			keys = append(keys, jsonKey{name + "." + key, in.Name() + "." + field.Name, field.Type})
			keys = append(keys, jsonKeys(t, name+"."+key, field.Type)...)
		}
	}
	return keys
}

// grammar reads something that begins with a word in a Caddyfile.
type grammar struct {
	word string
	read func(*caddyfile.Dispenser) error
}

// grammars are the global option and all handlers that a Caddyfile can have.
func grammars() []grammar {
	return []grammar{
		{"bearer", func(d *caddyfile.Dispenser) error { _, err := parseApp(d, nil); return err }},
		{"bearer_gate", new(Gate).UnmarshalCaddyfile},
		{"bearer_issuer", new(Issuer).UnmarshalCaddyfile},
		{"bearer_health", new(Health).UnmarshalCaddyfile},
	}
}

// caddyfileOption is an option with the words of the blocks around it.
type caddyfileOption struct {
	words []string
	usage string // as the manual writes it: "client <id>"
}

func (o caddyfileOption) name() string { return strings.Join(o.words, " ") }

// nothing is a word that is no option, key or value of anything.
const nothing = "?????????"

var (
	knownOptions = regexp.MustCompile(`option "\?+" is unknown \(known: ([^)]*)\)`)
	rightUsage   = regexp.MustCompile(`wrong number of arguments \(\d+\); write: (.*), at `)
)

// options asks the parser what it knows within blocks: it says so of a word that
// it does not know. Blocks are the lines that open them, around is their names.
// The options of a block come before those of the blocks in it.
func (g grammar) options(t *testing.T, blocks []string, around ...string) (options []caddyfileOption) {
	t.Helper()
	known := knownOptions.FindStringSubmatch(g.complaint(t, blocks, nothing))
	if known == nil {
		t.Fatalf("%s: no option of this block is known", strings.Join(around, " "))
	}
	var inner []caddyfileOption
	for word := range strings.SplitSeq(known[1], ", ") {
		words := append(append([]string{g.word}, around...), word)
		option := caddyfileOption{words, g.usage(t, blocks, word)}
		options = append(options, option)
		line := sampleOf(option.usage)
		complaint := g.complaint(t, append(blocks, line), nothing)
		switch {
		case knownOptions.MatchString(complaint):
			inner = append(inner, g.options(t, append(blocks, line), words[1:]...)...)
		case !strings.Contains(complaint, "takes no block"):
			t.Fatalf("cannot tell whether %q takes a block; sampleArgument must know a value that it takes: %s", option.usage, complaint)
		}
	}
	return append(options, inner...)
}

// usage asks how an option is written, by too few arguments and by too many.
func (g grammar) usage(t *testing.T, blocks []string, word string) string {
	t.Helper()
	for _, line := range []string{word, word + strings.Repeat(" x", 20)} {
		if usage := rightUsage.FindStringSubmatch(g.complaint(t, blocks, line)); usage != nil {
			return usage[1]
		}
	}
	t.Fatalf("%s takes any number of arguments", word)
	return ""
}

// complaint is what the parser says of a line within blocks.
func (g grammar) complaint(t *testing.T, blocks []string, line string) string {
	t.Helper()
	source := g.word + " {\n" + strings.Join(append(blocks, line), " {\n") + strings.Repeat("\n}", len(blocks)+1)
	err := g.read(caddyfile.NewTestDispenser(source))
	if err == nil {
		return ""
	}
	return err.Error()
}

// sampleOf writes an option with arguments that fit its usage.
func sampleOf(usage string) string {
	words := strings.Fields(usage)
	line := words[:1]
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "[") {
			line = append(line, sampleArgument(word))
		}
	}
	return strings.Join(line, " ")
}

// sampleArgument prefers a word that is to be written as it stands.
func sampleArgument(word string) string {
	choices := strings.Split(word, "|")
	if i := slices.IndexFunc(choices, func(choice string) bool { return !strings.HasPrefix(choice, "<") }); i >= 0 {
		return choices[i]
	}
	switch choices[0] {
	case "<size>":
		return "1MiB"
	case "<duration>":
		return "90s"
	case "<network>/<address>":
		return "udp/localhost:514"
	case "<check>":
		return checkNames[0]
	case "<number>":
		return "100"
	case "<network>":
		return "192.0.2.0/24"
	}
	return "x"
}

// policyFile is a kind of file that security teams write.
type policyFile struct {
	kind string
	load func(src []byte) error
}

var policyFiles = []policyFile{
	{"policy", func(src []byte) error { _, err := policy.Load("policy", src); return err }},
	{"test file", func(src []byte) error { _, err := new(policy.Policy).TestFile("tests", src); return err }},
}

// keys asks the loader which keys a mapping may have, and what may be in each.
// Within is the file around the mapping.
func (f policyFile) keys(t *testing.T, name string, within func(any) any) (keys []string) {
	t.Helper()
	known := f.known(t, within(map[string]any{nothing: 0}))
	if known == nil {
		t.Fatalf("%s: no key of %q is known", f.kind, name)
	}
	for _, key := range known {
		path := strings.TrimPrefix(name+"."+key, ".")
		keys = append(keys, path)
		for suffix, shape := range map[string]func(any) any{
			"":   func(probe any) any { return probe },
			".*": func(probe any) any { return []any{probe} },
			".x": func(probe any) any { return map[string]any{"x": probe} },
		} {
			inside := func(probe any) any { return within(map[string]any{key: shape(probe)}) }
			if f.known(t, inside(map[string]any{nothing: 0})) != nil {
				keys = append(keys, f.keys(t, path+strings.Replace(suffix, "x", "*", 1), inside)...)
			}
		}
	}
	return keys
}

var knownKeys = regexp.MustCompile(`^unknown key "\?+" in .* \(known: ([^)]*)\)$`)

// known returns the keys that the loader names in answer to one that it does not
// know, nil if it did not come to look at it.
func (f policyFile) known(t *testing.T, content any) []string {
	t.Helper()
	src, err := json.Marshal(content)
	must(t, err)
	var findings policy.Findings
	if !errors.As(f.load(src), &findings) {
		t.Fatalf("%s was loaded: %s", f.kind, src)
	}
	for _, finding := range findings {
		if names := knownKeys.FindStringSubmatch(finding.Message); names != nil {
			return strings.Split(names[1], ", ")
		}
	}
	return nil
}
