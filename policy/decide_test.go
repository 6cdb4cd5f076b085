package policy

import (
	"fmt"
	"strings"
	"testing"
)

const decidePolicy = `
version: 1
scopes:
  read:a:   {risk: read}
  trade:a:  {risk: trade, implies: [read:a]}
  send:a:   {risk: withdraw}
  all:a:    {risk: withdraw, implies: [trade:a, send:a]}
  admin:a:  {risk: admin, hidden: true}
  root:a:   {risk: admin, hidden: true, implies: [all:a]}
routes:
  - {id: health,   match: {methods: [GET], path: /health}, public: true}
  - {id: read,     match: {methods: [GET], path: /a}, require: {scopes: [read:a]}}
  - {id: both,     match: {methods: [PUT], path: /a}, require: {scopes: [read:a, send:a]}}
  - {id: either,   match: {methods: [POST], path: /a}, require: {any_of: [[trade:a, send:a], [admin:a], [all:a]]}}
  - {id: desk,     match: {methods: [DELETE], path: /a}, require: {scopes: [admin:a]}}
  - {id: account,  match: {methods: [GET], path: "/a/{account}"}, require: {scopes: [read:a], bind: {account: token.account}}}
  - id: transfer
    match: {methods: [POST], path: "/a/{from}/to/{to}"}
    require: {scopes: [send:a], bind: {from: token.account, to: token.account}}
`

// One line each: request, the token's scopes and accounts, and what becomes of it.
func TestDecide(t *testing.T) {
	tests := []struct{ request, scopes, accounts, want string }{
		{"GET /health", "", "", "allow public"},
		{"GET /health", "unknown", "", "allow public"},
		{"HEAD /health", "", "", "allow public"},
		{"POST /health", "all:a root:a", "", "deny no_route"},
		{"GET /b", "all:a root:a", "", "deny no_route"},
		{"GET /a/", "all:a root:a", "", "deny no_route"},

		{"GET /a", "", "", "deny insufficient_scope [[read:a]]"},
		{"GET /a", "read:A", "", "deny insufficient_scope [[read:a]]"},
		{"GET /a", "unknown read", "", "deny insufficient_scope [[read:a]]"},
		{"GET /a", "read:a", "", "allow allowed"},
		{"HEAD /a", "read:a", "", "allow allowed"},
		{"GET /a", "trade:a", "", "allow allowed"}, // implied
		{"GET /a", "root:a", "", "allow allowed"},  // over three steps
		{"GET /a", "send:a", "", "deny insufficient_scope [[read:a]]"},
		{"GET /a", "admin:a", "", "deny insufficient_scope [[read:a]]"}, // admin is no wildcard

		{"PUT /a", "read:a", "", "deny insufficient_scope [[send:a]]"},
		{"PUT /a", "send:a", "", "deny insufficient_scope [[read:a]]"},
		{"PUT /a", "", "", "deny insufficient_scope [[read:a, send:a]]"},
		{"PUT /a", "read:a send:a", "", "allow allowed"},

		{"POST /a", "", "", "deny insufficient_scope [[trade:a, send:a], [all:a]]"}, // admin:a is hidden
		{"POST /a", "send:a", "", "deny insufficient_scope [[trade:a], [all:a]]"},
		{"POST /a", "trade:a send:a", "", "allow allowed"},
		{"POST /a", "admin:a", "", "allow allowed"},
		{"POST /a", "all:a", "", "allow allowed"},
		{"DELETE /a", "all:a", "", "deny insufficient_scope []"}, // nothing that may be named
		{"DELETE /a", "admin:a", "", "allow allowed"},

		{"GET /a/1", "read:a", "1", "allow allowed"},
		{"GET /a/1", "read:a", "2 1", "allow allowed"},
		{"GET /a/1", "read:a", "", "deny account_not_granted"},
		{"GET /a/1", "read:a", "11 01", "deny account_not_granted"},
		{"GET /a/1", "send:a", "2", "deny insufficient_scope [[read:a]]"}, // before the account
		{"POST /a/1/to/2", "send:a", "1 2", "allow allowed"},
		{"POST /a/1/to/2", "send:a", "1", "deny account_not_granted"},
		{"POST /a/1/to/2", "send:a", "2", "deny account_not_granted"},
	}
	p := mustLoad(t, decidePolicy)
	for _, test := range tests {
		method, path, _ := strings.Cut(test.request, " ")
		m, _ := p.Match(method, path)
		facts := Facts{Scopes: p.Set(strings.Fields(test.scopes)), Accounts: strings.Fields(test.accounts)}
		d := p.Decide(&m, facts)
		got := fmt.Sprintf("%s %s", verdict(d.Allow), d.Reason)
		if d.Reason == ReasonInsufficientScope {
			got += " " + formatAlternatives(p.Missing(&m, facts.Scopes))
		} else if missing := p.Missing(&m, facts.Scopes); missing != nil {
			t.Errorf("%s with %s: Missing is %v", test.request, test.scopes, missing)
		}
		if got != test.want {
			t.Errorf("%s with scopes [%s], accounts [%s]:\ngot  %s\nwant %s", test.request, test.scopes, test.accounts, got, test.want)
		}
		if d.Route != m.Route {
			t.Errorf("%s: the decision names route %v", test.request, d.Route)
		}
	}
}

// After a swap, bits of the old policy must not be read with the new one's
// meaning: here both are bit 0, but of different scopes.
func TestDecideOfAnotherPolicyDenies(t *testing.T) {
	file := `{version: 1, scopes: {%s: {risk: admin}}, routes: [{id: a, match: {methods: [GET], path: /a}, require: {scopes: [%[1]s]}}]}`
	old, current := mustLoad(t, fmt.Sprintf(file, "harmless")), mustLoad(t, fmt.Sprintf(file, "dangerous"))
	m, _ := current.Match("GET", "/a")
	stale, _ := old.Match("GET", "/a")
	tests := map[string]struct {
		match *Match
		facts Facts
		want  Reason
	}{
		"stale set":    {&m, Facts{Scopes: old.Set([]string{"harmless"})}, ReasonInsufficientScope},
		"stale match":  {&stale, Facts{Scopes: current.Set([]string{"dangerous"})}, ReasonNoRoute},
		"no match":     {&Match{}, Facts{Scopes: current.Set([]string{"dangerous"})}, ReasonNoRoute},
		"zero facts":   {&m, Facts{}, ReasonInsufficientScope},
		"right scopes": {&m, Facts{Scopes: current.Set([]string{"dangerous"})}, ReasonAllowed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := current.Decide(test.match, test.facts); d.Reason != test.want || d.Allow != (test.want == ReasonAllowed) {
				t.Errorf("got %+v, want %s", d, test.want)
			}
		})
	}
	if missing := current.Missing(&stale, Set{}); missing != nil {
		t.Errorf("Missing of a stale match is %v", missing)
	}
}

func TestZeroDecisionDenies(t *testing.T) {
	if d := (Decision{}); d.Allow || d.Reason != ReasonNoRoute {
		t.Errorf("%+v", d)
	}
}

func TestMissingListsEqualAlternativesOnce(t *testing.T) {
	p := mustLoad(t, `
version: 1
scopes: {a: {risk: read}, b: {risk: read}, c: {risk: read}}
routes:
  - {id: r, match: {methods: [GET], path: /}, require: {any_of: [[a, b], [c, b]]}}
`)
	m, _ := p.Match("GET", "/")
	if got := formatAlternatives(p.Missing(&m, p.Set([]string{"a", "c"}))); got != "[[b]]" {
		t.Errorf("got %s", got)
	}
}
