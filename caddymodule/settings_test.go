package caddymodule

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.yaml.in/yaml/v3"
)

// proof shows that a setting counts: what is observed differs with it.
type proof struct {
	// keys are the names by which the setting can be made, as walkSettings has
	// them. The two configurations of testdata/settings have different values.
	keys []string

	// outcome says what is observed.
	outcome string

	// see observes it with one of the configurations.
	see func(*variant) string

	// apart is for a setting that cannot have its values in a server that runs: it
	// observes both itself.
	apart func(*testing.T) (first, second string)

	first, second string // what must be observed with each
}

func proofs() []proof {
	return slices.Concat(appProofs, environmentProofs, loginProofs, webhookProofs, partyProofs, appPartyProofs, gateProofs, limitProofs, routeProofs(), corsProofs(), policyProofs, healthProofs)
}

// TestEverySettingIsProven fails for a setting that is new and has no proof, for
// one that has two, and for a proof whose setting is gone.
func TestEverySettingIsProven(t *testing.T) {
	keys := walkSettings(t)
	proven := map[string]int{}
	for _, p := range proofs() {
		for _, key := range p.keys {
			proven[key]++
		}
		if p.outcome == "" || p.first == p.second {
			t.Errorf("%s: a proof needs an outcome that differs", p.keys)
		}
	}
	for _, key := range keys {
		switch proven[key] {
		case 0:
			t.Errorf("%s has no proof: which outcome does it change?", key)
		case 1:
		default:
			t.Errorf("%s has %d proofs", key, proven[key])
		}
		delete(proven, key)
	}
	for _, key := range sortedKeys(proven) {
		t.Errorf("%s has a proof, but is no setting", key)
	}
}

// TestEverySettingCounts runs the proofs.
func TestEverySettingCounts(t *testing.T) {
	t.Parallel()
	first, second := startVariant(t, false), startVariant(t, true)
	one, two := first.settings(), second.settings()
	for _, p := range proofs() {
		t.Run(p.keys[0], func(t *testing.T) {
			if p.apart != nil {
				a, b := p.apart(t)
				compare(t, p, a, b)
				return
			}
			for _, key := range p.keys {
				if a, b := one.at(key), two.at(key); reflect.DeepEqual(a, b) {
					t.Errorf("%s is the same in both configurations: %v", key, a)
				}
			}
			compare(t, p, p.see(first), p.see(second))
		})
	}
}

func compare(t *testing.T, p proof, first, second string) {
	t.Helper()
	if first != p.first {
		t.Errorf("%s, first configuration:\ngot  %s\nwant %s", p.outcome, first, p.first)
	}
	if second != p.second {
		t.Errorf("%s, second configuration:\ngot  %s\nwant %s", p.outcome, second, p.second)
	}
}

// settings is what stands in the files of a variant, by the kind of file.
type settings struct {
	trees map[string]any // of JSON and YAML
	lines map[string][]string
}

func (v *variant) settings() settings {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(v.files["Caddyfile"]), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	var config struct{ Apps map[string]any }
	v.decode(string(adapted), &config)
	own := map[string]any{
		"bearer":        config.Apps["bearer"],
		"bearer_gate":   handlers(config.Apps["http"], "bearer_gate"),
		"bearer_issuer": handlers(config.Apps["http"], "bearer_issuer"),
		"bearer_health": handlers(config.Apps["http"], "bearer_health"),
	}
	s := settings{map[string]any{"json": own}, optionLines(v.files["Caddyfile"])}
	for kind, file := range map[string]string{"policy": "rights.yaml", "test file": "tests.yaml"} {
		var tree any
		if err := yaml.Unmarshal([]byte(v.files[file]), &tree); err != nil {
			v.t.Fatal(err)
		}
		s.trees[kind] = tree
	}
	return s
}

// at returns all values of a key.
func (s settings) at(key string) []string {
	if options, found := strings.CutPrefix(key, "Caddyfile "); found {
		return s.lines[options]
	}
	for kind, tree := range s.trees {
		if path, found := strings.CutPrefix(key, kind+" "); found {
			var values []string
			gather(tree, strings.Split(path, "."), &values)
			slices.Sort(values)
			return values
		}
	}
	return nil
}

// gather collects what is found on a path, on which * is every item. A list of
// handlers, in which there are some of each kind, needs no *.
func gather(tree any, path []string, into *[]string) {
	if len(path) == 0 {
		text, _ := json.Marshal(tree)
		*into = append(*into, string(text))
		return
	}
	switch tree := tree.(type) {
	case map[string]any:
		for name, child := range tree {
			if path[0] == "*" || path[0] == name {
				gather(child, path[1:], into)
			}
		}
	case handlerList:
		for _, child := range tree {
			gather(child, path, into)
		}
	case []any:
		for _, child := range tree {
			if path[0] == "*" {
				gather(child, path[1:], into)
			}
		}
	}
}

type handlerList []any

// handlers are all handlers of one kind, however deep they are nested.
func handlers(tree any, kind string) (found handlerList) {
	switch tree := tree.(type) {
	case map[string]any:
		if tree["handler"] == kind {
			return handlerList{tree}
		}
		for _, name := range sortedKeys(tree) {
			found = append(found, handlers(tree[name], kind)...)
		}
	case []any:
		for _, child := range tree {
			found = append(found, handlers(child, kind)...)
		}
	}
	return found
}

// optionLines are the lines of a Caddyfile by the name of their option, as
// walkSettings has it. An option's lines are those of its block too.
func optionLines(caddyfile string) map[string][]string {
	lines := map[string][]string{}
	var around []string
	for line := range strings.Lines(caddyfile) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			continue
		case words[0] == "}":
			around = around[:len(around)-1]
			continue
		}
		path := append(slices.Clone(around), words[0])
		if i := slices.IndexFunc(path, func(word string) bool { return word == "bearer" || strings.HasPrefix(word, "bearer_") }); i >= 0 {
			for end := i + 1; end <= len(path); end++ {
				name := strings.Join(path[i:end], " ")
				lines[name] = append(lines[name], strings.TrimSpace(line))
			}
		}
		if words[len(words)-1] == "{" {
			around = path
		}
	}
	return lines
}
