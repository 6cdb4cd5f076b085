package policy

import "slices"

// Explanation is how a policy comes to its decision on one request. It is for
// those who own the policy: hidden scopes are named.
type Explanation struct {
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Scopes   []HeldScope `json:"scopes"`
	Accounts []string    `json:"accounts"`

	Allow  bool   `json:"allow"`
	Reason Reason `json:"reason"`
	Route  string `json:"route"` // the id of the route that decided, if any
	CORS   *CORS  `json:"cors"`  // what holds for web pages of other origins; null: nothing is said

	// Candidates are the routes that match the request or nearly do: the one
	// that decides, those that are less specific, those of other methods, and
	// those whose path differs in one segment. Omitted counts what was left out
	// of the last.
	Candidates []Candidate `json:"candidates"`
	Omitted    int         `json:"omitted"`

	// What the route that decides asks for. All are empty if there is none.
	Alternatives []HeldAlternative `json:"alternatives"`
	Bindings     []Binding         `json:"bindings"`

	// Smallest are the sets of scopes that pass and of which none grants more
	// than another. One set without scopes says that none is needed; no set,
	// that no scope helps.
	Smallest [][]string `json:"smallest"`
}

// HeldScope is a scope that a token has: itself, by another one, or both.
type HeldScope struct {
	Name      string   `json:"name"`
	Hidden    bool     `json:"hidden"`
	Given     bool     `json:"given"`      // is itself among the token's scopes
	ImpliedBy []string `json:"implied_by"` // other scopes of the token that imply it
}

// HeldAlternative is one set of scopes that satisfies a route, and what a token
// lacks of it.
type HeldAlternative struct {
	Scopes  []string `json:"scopes"`
	Missing []string `json:"missing"`
}

// Binding is a path parameter that must be one of the token's accounts.
type Binding struct {
	Param   string `json:"param"`
	Value   string `json:"value"` // as captured from the path
	Granted bool   `json:"granted"`
}

// Explain decides on a request as [Policy.Match] and [Policy.Decide] do and
// says why. The path is one that Match takes; unknown scopes grant nothing.
func (p *Policy) Explain(method, path string, scopes, accounts []string) Explanation {
	m, _ := p.Match(method, path)
	facts := Facts{Scopes: p.Set(scopes), Accounts: accounts}
	d := p.Decide(&m, facts)
	e := Explanation{
		Method: method, Path: path, Scopes: p.held(scopes), Accounts: append([]string{}, accounts...),
		Allow: d.Allow, Reason: d.Reason, CORS: p.CORSOf(method, path),
		Alternatives: []HeldAlternative{}, Bindings: []Binding{}, Smallest: [][]string{},
	}
	e.Candidates, e.Omitted = p.candidates(method, path, m.Route)
	if m.Route != nil {
		e.Route = m.Route.ID
		e.Alternatives = p.heldAlternatives(m.Route, facts.Scopes.bits)
		e.Bindings = bindings(&m, accounts)
		e.Smallest = p.smallest(m.Route)
	}
	return e
}

// held lists what names amount to: first what was named, then what that implies.
func (p *Policy) held(names []string) []HeldScope {
	v := &p.vocabulary
	given, implied := []HeldScope{}, []HeldScope{}
	for _, i := range v.closed(names).members() {
		s := HeldScope{Name: v.scopes[i].Name, Hidden: v.scopes[i].Hidden, ImpliedBy: []string{}}
		for _, name := range names {
			j, known := v.index[name]
			switch {
			case known && i == j:
				s.Given = true
			case known && v.closure[j].has(i) && !slices.Contains(s.ImpliedBy, name):
				s.ImpliedBy = append(s.ImpliedBy, name)
			}
		}
		if s.Given {
			given = append(given, s)
		} else {
			implied = append(implied, s)
		}
	}
	return append(given, implied...)
}

func (p *Policy) heldAlternatives(r *Route, held bitset) []HeldAlternative {
	list := []HeldAlternative{}
	for _, a := range r.alternatives {
		h := HeldAlternative{Scopes: p.vocabulary.named(a.scopes), Missing: []string{}}
		for _, i := range a.scopes {
			if !held.has(i) {
				h.Missing = append(h.Missing, p.vocabulary.scopes[i].Name)
			}
		}
		list = append(list, h)
	}
	return list
}

func bindings(m *Match, accounts []string) []Binding {
	list := []Binding{}
	for _, i := range m.Route.binds {
		value := m.values[i]
		list = append(list, Binding{m.Route.params[i], value, slices.Contains(accounts, value)})
	}
	return list
}

// smallest returns what remains of a route's alternatives without those that
// grant more than another one, each without what it implies anyway.
func (p *Policy) smallest(r *Route) [][]string {
	if r.Public {
		return [][]string{{}}
	}
	v := &p.vocabulary
	sets := [][]string{}
	for i, other := range v.redundant(r) {
		if other < 0 {
			sets = append(sets, v.named(v.largest(v.rights(r.alternatives[i]))))
		}
	}
	return sets
}
