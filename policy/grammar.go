package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a policy file as written: every value has the right type, but no
// name in it has been looked up. The functions below are the grammar.
type document struct {
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

type routeDecl struct {
	id          name
	path        name
	segments    []segment
	methods     []name
	public      bool
	anyOf       [][]name
	binds       []bindDecl
	credentials Credentials
	broken      bool // has findings; only its id is of use
}

// bindDecl says that a path parameter must be one of the values of a fact.
type bindDecl struct{ param, value name }

type testDecl struct {
	at       position
	method   string
	path     string
	scopes   []name
	accounts []name
	allow    bool
	route    *name     // the route that must decide, if stated
	missing  *[][]name // the alternatives that must be named, if stated
	reason   *Reason   // if stated
}

// document reads a whole policy.
func (r *reader) document(root *yaml.Node) document {
	var d document
	if r.otherVersion(root) {
		return d
	}
	o, ok := r.object(root, "policy", "version", "scopes", "routes", "tests")
	if !ok {
		return d
	}
	r.version(o)
	d.unsure = len(o.values) < len(root.Content)/2
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

// testDocument reads a file of tests: a mapping with the one key tests.
func (r *reader) testDocument(root *yaml.Node) []testDecl {
	o, ok := r.object(root, "test file", "tests")
	if !ok {
		return nil
	}
	if n := r.required(o, "tests"); n != nil {
		return r.tests(n)
	}
	return nil
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

// route reads {id, match, require | public, credentials}.
func (r *reader) route(n *yaml.Node, i int) routeDecl {
	before := len(r.findings)
	d := routeDecl{credentials: Header}
	o, ok := r.object(n, fmt.Sprintf("routes[%d]", i), "id", "match", "require", "public", "credentials")
	if ok {
		if n := r.required(o, "id"); n != nil {
			d.id = r.routeID(n)
			o.what = fmt.Sprintf("route %q", d.id.text)
		}
		if n := r.required(o, "match"); n != nil {
			r.match(n, &d)
		}
		r.access(o, &d)
		if n := o.values["credentials"]; n != nil {
			r.credentials(n, &d)
		}
	}
	d.broken = len(r.findings) > before
	return d
}

func (r *reader) routeID(n *yaml.Node) name {
	id, ok := r.name(n, "id")
	if ok && (id.text == "" || strings.Trim(id.text, "abcdefghijklmnopqrstuvwxyz0123456789-") != "") {
		r.errorf(id.at, "bad-id", "id %q: only a-z, 0-9 and - may be used", id.text)
	}
	return id
}

// match reads {methods, path}.
func (r *reader) match(n *yaml.Node, d *routeDecl) {
	o, ok := r.object(n, "match", "methods", "path")
	if !ok {
		return
	}
	if n := r.required(o, "methods"); n != nil {
		d.methods, _ = r.someNames(n, "methods")
		for _, m := range d.methods {
			if err := checkMethod(m.text); m.at != (position{}) && err != nil {
				r.errorf(m.at, "bad-method", "%v", err)
			}
		}
	}
	if n := r.required(o, "path"); n != nil {
		if d.path, ok = r.name(n, "path"); ok {
			segments, err := parsePattern(d.path.text)
			if err != nil {
				r.errorf(d.path.at, "bad-path", "path %q: %v", d.path.text, err)
			}
			d.segments = segments
		}
	}
}

// access reads require or public, of which a route has exactly one.
func (r *reader) access(o object, d *routeDecl) {
	require, public := o.values["require"], o.values["public"]
	switch {
	case require != nil && public != nil:
		r.errorf(positionOf(public), "public-and-require", "%s has both public and require", o.what)
	case require != nil:
		r.require(require, d)
	case public != nil:
		isPublic, ok := r.boolean(public, "public")
		if ok && !isPublic {
			r.errorf(positionOf(public), "bad-value", "public can only be true; write require instead")
		}
		d.public = isPublic
	default:
		r.errorf(o.at, "missing-key", `%s needs "require", or "public: true"`, o.what)
	}
}

// require reads {scopes | any_of, bind}.
func (r *reader) require(n *yaml.Node, d *routeDecl) {
	o, ok := r.object(n, "require", "scopes", "any_of", "bind")
	if !ok {
		return
	}
	scopes, anyOf := o.values["scopes"], o.values["any_of"]
	switch {
	case scopes != nil && anyOf != nil:
		r.errorf(positionOf(anyOf), "scopes-and-any-of",
			"require has both scopes and any_of; write all alternatives into any_of")
	case scopes != nil:
		all, _ := r.someNames(scopes, "scopes")
		d.anyOf = [][]name{all}
	case anyOf != nil:
		d.anyOf = r.alternatives(anyOf, "any_of")
		if d.anyOf != nil && len(anyOf.Content) == 0 {
			r.errorf(positionOf(anyOf), "empty-list", "any_of: an empty list")
		}
	default:
		r.errorf(o.at, "missing-key", `require needs "scopes" or "any_of"`)
	}
	if n := o.values["bind"]; n != nil {
		r.bind(n, d)
	}
}

// alternatives reads a list of lists of scopes, nil if it is something else.
func (r *reader) alternatives(n *yaml.Node, what string) [][]name {
	const want = "a list of alternatives, as in [[a, b], [c]]"
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, what, want)
		return nil
	}
	alternatives := make([][]name, 0, len(n.Content))
	for _, item := range n.Content {
		if item.Kind != yaml.SequenceNode {
			r.wrongType(item, what, want)
			continue
		}
		all, _ := r.someNames(item, what)
		alternatives = append(alternatives, all)
	}
	return alternatives
}

// bind reads {PARAM: token.account}.
func (r *reader) bind(n *yaml.Node, d *routeDecl) {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.errorf(positionOf(n), "empty-list", "bind: an empty mapping")
	}
	for _, e := range r.entries(n, "bind") {
		if value, ok := r.name(e.value, "bind"); ok {
			d.binds = append(d.binds, bindDecl{e.key, value})
		}
	}
}

// credentials refuses what could have no effect: credentials of a public route,
// and a WebSocket's where none can be opened.
func (r *reader) credentials(n *yaml.Node, d *routeDecl) {
	d.credentials = 0
	for _, item := range r.items(n, "credentials") {
		i, ok := r.word(item, "credentials", credentialNames)
		if !ok {
			continue
		}
		if d.credentials.Has(1 << i) {
			r.errorf(positionOf(item), "duplicate-value", "credentials: %q stands twice", item.Value)
		}
		d.credentials |= 1 << i
	}
	opens := slices.ContainsFunc(d.methods, func(m name) bool { return m.text == "GET" })
	switch {
	case d.public:
		r.errorf(positionOf(n), "no-effect", "credentials have no effect on a public route")
	case d.credentials.Has(Subprotocol) && !opens:
		r.errorf(positionOf(n), "no-effect", "subprotocol has no effect without method GET, which opens a WebSocket")
	}
}

func (r *reader) tests(n *yaml.Node) []testDecl {
	var tests []testDecl
	for i, item := range r.items(n, "tests") {
		tests = append(tests, r.test(item, i))
	}
	return tests
}

// test reads {request, scopes, accounts, expect, route, missing, reason}.
func (r *reader) test(n *yaml.Node, i int) testDecl {
	d := testDecl{at: positionOf(n)}
	o, ok := r.object(n, fmt.Sprintf("tests[%d]", i),
		"request", "scopes", "accounts", "expect", "route", "missing", "reason")
	if ok {
		r.request(o, &d)
		r.expectation(o, &d)
		if n := o.values["scopes"]; n != nil {
			d.scopes, _ = r.names(n, "scopes")
		}
		if n := o.values["accounts"]; n != nil {
			d.accounts, _ = r.names(n, "accounts")
		}
	}
	return d
}

// request reads "METHOD /path"; the path is written decoded and has no query.
func (r *reader) request(o object, d *testDecl) {
	n := r.required(o, "request")
	if n == nil {
		return
	}
	request, ok := r.name(n, "request")
	if !ok {
		return
	}
	method, path, found := strings.Cut(request.text, " ")
	if !found {
		r.errorf(request.at, "bad-request", `request %q: expected a method and a path, as in "GET /path"`, request.text)
	} else if err := checkMethod(method); err != nil {
		r.errorf(request.at, "bad-method", "%v", err)
	} else if err := checkPath(path); err != nil {
		r.errorf(request.at, "bad-path", "path %q: %v", path, err)
	}
	d.method, d.path = method, path
}

// expectation reads {expect, route, missing, reason}, which must agree.
func (r *reader) expectation(o object, d *testDecl) {
	expected := false
	if n := r.required(o, "expect"); n != nil {
		var i int
		i, expected = r.word(n, "expect", []string{"deny", "allow"})
		d.allow = i == 1
	}
	if n := o.values["route"]; n != nil {
		if id, ok := r.name(n, "route"); ok {
			d.route = &id
		}
	}
	if n := o.values["reason"]; n != nil {
		if i, ok := r.word(n, "reason", reasonNames); ok {
			reason := Reason(i)
			d.reason = &reason
			if expected && d.allow != reason.allows() {
				r.errorf(positionOf(n), "contradiction", "reason %s contradicts expect", reason)
			}
		}
	}
	if n := o.values["missing"]; n != nil {
		// An empty list is a statement too: nothing is named, because every
		// alternative needs a hidden scope.
		if missing := r.alternatives(n, "missing"); missing != nil {
			d.missing = &missing
		}
		if expected && (d.allow || d.reason != nil && *d.reason != ReasonInsufficientScope) {
			r.errorf(positionOf(n), "contradiction", "missing goes only with expect: deny for insufficient_scope")
		}
	}
}
