package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

type routeDecl struct {
	id          name
	path        name
	segments    []segment
	methods     []name
	public      bool
	anyOf       [][]name
	binds       []bindDecl
	credentials Credentials
	cors        *CORS // nil: what the policy says
	broken      bool  // has findings; only its id is of use
}

// bindDecl says that a path parameter must be one of the values of a fact.
type bindDecl struct{ param, value name }

// route reads {id, match, require | public, credentials, cors}.
func (r *reader) route(n *yaml.Node, i int) routeDecl {
	before := len(r.findings)
	d := routeDecl{credentials: Header}
	o, ok := r.object(n, fmt.Sprintf("routes[%d]", i), "id", "match", "require", "public", "credentials", "cors")
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
		if n := o.values["cors"]; n != nil {
			d.cors = r.cors(n, true)
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
