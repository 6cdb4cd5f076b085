package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// document is a policy file as written: every value has the right type, but no
// name in it has been looked up. The functions below are the grammar.
type document struct {
	cors   *CORS // of all routes that say nothing of their own
	scopes []scopeDecl
	routes []routeDecl
	tests  []testDecl

	// unsure is set if scopes or routes could not be read at all, so that a
	// name that can't be found is probably only a consequence.
	unsure bool
}

func (d document) routeIDs() []string {
	ids := make([]string, len(d.routes))
	for i, r := range d.routes {
		ids[i] = r.id.text
	}
	return ids
}

type scopeDecl struct {
	Scope
	implies []name
}

// document reads a whole policy.
func (r *reader) document(root *yaml.Node) document {
	var d document
	if r.otherVersion(root) {
		return d
	}
	o, ok := r.object(root, "policy", "version", "cors", "scopes", "routes", "tests")
	if !ok {
		return d
	}
	r.version(o)
	d.unsure = len(o.values) < len(root.Content)/2
	if n := o.values["cors"]; n != nil {
		d.cors = r.cors(n, false)
	}
	if n := o.values["scopes"]; n != nil {
		d.unsure = d.unsure || n.Kind != yaml.MappingNode
		d.scopes = r.scopes(n)
	}
	if n := o.values["routes"]; n != nil {
		d.unsure = d.unsure || n.Kind != yaml.SequenceNode
		for i, item := range r.items(n, "routes") {
			d.routes = append(d.routes, r.route(item, i))
		}
	}
	if n := o.values["tests"]; n != nil {
		d.tests = r.tests(n)
	}
	return d
}

// otherVersion reports a file of another version, in which nothing else can be
// judged.
func (r *reader) otherVersion(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, n := root.Content[i], root.Content[i+1]
		if key.Value == "version" && n.ShortTag() == "!!int" && n.Value != "1" {
			r.errorf(positionOf(n), "version", "version is %s; only version 1 is known", n.Value)
			return true
		}
	}
	return false
}

func (r *reader) version(o object) {
	if n := r.required(o, "version"); n != nil && n.ShortTag() != "!!int" {
		r.wrongType(n, "version", "the number 1")
	}
}

// items returns the items of a list that must not be empty.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, what, "a list")
	} else if len(n.Content) == 0 {
		r.errorf(positionOf(n), "empty-list", "%s: an empty list", what)
	} else {
		return n.Content
	}
	return nil
}

func (r *reader) scopes(n *yaml.Node) []scopeDecl {
	entries := r.entries(n, "scopes")
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.errorf(positionOf(n), "empty-list", "scopes: an empty mapping")
	}
	scopes := make([]scopeDecl, 0, len(entries))
	for _, e := range entries {
		scopes = append(scopes, r.scope(e))
	}
	return scopes
}

// scope reads NAME: {title, risk, implies, hidden}.
func (r *reader) scope(e entry) scopeDecl {
	d := scopeDecl{Scope: Scope{Name: e.key.text, Title: e.key.text, at: e.key.at}}
	if !isScopeToken(d.Name) {
		r.errorf(e.key.at, "bad-scope",
			"scope %q: a name is printable ASCII without space, \" and \\", d.Name)
	}
	what := fmt.Sprintf("scope %q", d.Name)
	o, ok := r.object(e.value, what, "title", "risk", "implies", "hidden")
	if !ok {
		return d
	}
	if n := o.values["title"]; n != nil {
		if title, ok := r.name(n, "title"); ok {
			d.Title = title.text
		}
	}
	if n := r.required(o, "risk"); n != nil {
		risk, _ := r.word(n, "risk", riskNames)
		d.Risk = Risk(risk)
	}
	if n := o.values["implies"]; n != nil {
		d.implies, _ = r.someNames(n, "implies")
	}
	if n := o.values["hidden"]; n != nil {
		d.Hidden, _ = r.boolean(n, "hidden")
	}
	return d
}

// isScopeToken reports whether s is a scope-token of RFC 6749, section 3.3.
func isScopeToken(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return s != ""
}
