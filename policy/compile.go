package policy

import (
	"cmp"
	"slices"
	"strings"
)

// maxScopes bounds the closure of implies, which is quadratic in it.
const maxScopes = 4096

// compiler looks up the names of a document and builds the policy.
type compiler struct {
	*reporter
	policy *Policy
	unsure bool // see document
}

func (c *compiler) scopes(decls []scopeDecl) {
	v := &c.policy.vocabulary
	if len(decls) > maxScopes {
		c.errorf(decls[maxScopes].at, "too-many-scopes", "%d scopes; a policy may have at most %d", len(decls), maxScopes)
		decls = decls[:maxScopes]
	}
	v.index = make(map[string]int, len(decls))
	for i, d := range decls {
		v.index[d.Name] = i
		v.scopes = append(v.scopes, d.Scope)
		if !d.Hidden {
			c.policy.visible = append(c.policy.visible, d.Name)
		}
	}
	implied := make([][]int, len(decls))
	for i, d := range decls {
		for _, n := range d.implies {
			if j, ok := c.scope(n); ok {
				implied[i] = append(implied[i], j)
				v.scopes[i].Implies = append(v.scopes[i].Implies, n.text)
			}
		}
	}
	closer := closer{compiler: c, decls: decls, implied: implied, state: make([]visit, len(decls))}
	v.closure = make([]bitset, len(decls))
	for i := range decls {
		closer.close(i)
	}
}

// scope looks a scope up. A name that has no place was reported already.
func (c *compiler) scope(n name) (int, bool) {
	if n.at == (position{}) {
		return 0, false
	}
	v := &c.policy.vocabulary
	i, ok := v.index[n.text]
	if !ok && !c.unsure {
		c.errorf(n.at, "unknown-scope", "unknown scope %q%s", n.text, didYouMean(n.text, v.names()))
	}
	return i, ok
}

// closer computes the closure of implies, depth first.
type closer struct {
	*compiler
	decls   []scopeDecl
	implied [][]int
	state   []visit
	path    []int // being visited, outermost first
}

type visit uint8

const (
	unvisited visit = iota
	visiting
	visited
)

func (c *closer) close(i int) {
	if c.state[i] != unvisited {
		return
	}
	closure := &c.policy.vocabulary.closure
	c.state[i] = visiting
	c.path = append(c.path, i)
	own := bitset(nil).withBit(i)
	for _, j := range c.implied[i] {
		if c.state[j] == visiting {
			c.reportCycle(i, j)
			continue
		}
		c.close(j)
		own = own.with((*closure)[j])
	}
	(*closure)[i] = own
	c.path = c.path[:len(c.path)-1]
	c.state[i] = visited
}

// reportCycle names the cycle that the step from i to j closes.
func (c *closer) reportCycle(i, j int) {
	var cycle []string
	for _, k := range c.path[slices.Index(c.path, j):] {
		cycle = append(cycle, c.decls[k].Name)
	}
	cycle = append(cycle, c.decls[j].Name)
	implies := c.decls[i].implies
	at := implies[slices.IndexFunc(implies, func(n name) bool { return n.text == c.decls[j].Name })].at
	c.errorf(at, "implies-cycle", "implies goes in a circle: %s", strings.Join(cycle, " -> "))
}

func (c *compiler) routes(decls []routeDecl) {
	first := make(map[string]position)
	for _, d := range decls {
		if at, twice := first[d.id.text]; twice && d.id.text != "" {
			c.errorf(d.id.at, "duplicate-route", "duplicate route id %q (first on %s)", d.id.text, c.line(at))
		} else {
			first[d.id.text] = d.id.at
		}
		if d.broken {
			c.lookUp(d.anyOf) // for its findings
			continue
		}
		if route, ok := c.route(d); ok {
			route.Index = len(c.policy.routes)
			c.policy.routes = append(c.policy.routes, route)
		}
	}
}

func (c *compiler) route(d routeDecl) (*Route, bool) {
	r := &Route{
		ID: d.id.text, Path: d.path.text, Public: d.public, Credentials: d.credentials,
		CORS:  cmp.Or(d.cors, c.policy.cors),
		owner: c.policy, at: d.path.at, segments: d.segments,
	}
	for _, s := range d.segments {
		if s.kind != literalSegment {
			r.params = append(r.params, s.text)
		}
	}
	for _, m := range d.methods {
		r.Methods = append(r.Methods, m.text)
	}
	before := len(c.findings)
	r.alternatives = c.lookUp(d.anyOf)
	for _, b := range d.binds {
		c.bind(r, b)
	}
	var fits bool
	if r.methods, fits = c.policy.methods.set(r.Methods); !fits {
		c.errorf(d.methods[0].at, "too-many-methods", "more than %d different methods in one policy", maxMethods)
	}
	return r, len(c.findings) == before
}

func (c *compiler) lookUp(anyOf [][]name) []alternative {
	var alternatives []alternative
	for _, all := range anyOf {
		var a alternative
		for _, n := range all {
			if i, ok := c.scope(n); ok {
				a.scopes = append(a.scopes, i)
				a.needs = a.needs.withBit(i)
				a.hidden = a.hidden || c.policy.vocabulary.scopes[i].Hidden
			}
		}
		alternatives = append(alternatives, a)
	}
	return alternatives
}

// bind adds the check of one path parameter.
func (c *compiler) bind(r *Route, b bindDecl) {
	const account = "token.account"
	if b.value.text != account {
		c.errorf(b.value.at, "bad-value", "bind: unknown value %q%s (known: %s)",
			b.value.text, didYouMean(b.value.text, []string{account}), account)
	}
	i := slices.Index(r.params, b.param.text)
	switch {
	case i < 0:
		c.errorf(b.param.at, "unknown-param", "bind: path %s has no {%s}%s",
			r.Path, b.param.text, didYouMean(b.param.text, r.params))
	case i == len(r.params)-1 && r.segments[len(r.segments)-1].kind == restSegment:
		c.errorf(b.param.at, "bad-value", "bind: {%s...} captures any number of segments; only {name} can be bound", b.param.text)
	default:
		r.binds = append(r.binds, i)
	}
}
