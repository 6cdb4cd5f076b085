package policy

import (
	"strings"
	"testing"
)

var rules = []Rule{
	{ID: "list", Match: RuleMatch{[]string{"GET"}, "/v2/list"}, Require: &RuleRequire{Scopes: []string{"read:a"}}},
	{
		ID: "send", Match: RuleMatch{[]string{"GET", "POST"}, "/v2/{account}/send"}, Credentials: []string{"header", "subprotocol"},
		Require: &RuleRequire{AnyOf: [][]string{{"trade:a", "send:a"}, {"admin:a"}}, Bind: map[string]string{"account": "token.account"}},
	},
	{ID: "health", Match: RuleMatch{[]string{"GET"}, "/health"}, Public: true},
}

// Rules decide as the same routes in a file do.
func TestRulesEqualFile(t *testing.T) {
	scopes, _, _ := strings.Cut(decidePolicy, "routes:")
	file := mustLoad(t, scopes+`routes:
  - {id: list, match: {methods: [GET], path: /v2/list}, require: {scopes: [read:a]}}
  - id: send
    match: {methods: [GET, POST], path: "/v2/{account}/send"}
    require: {any_of: [[trade:a, send:a], [admin:a]], bind: {account: token.account}}
    credentials: [header, subprotocol]
  - {id: health, match: {methods: [GET], path: /health}, public: true}
`)
	p, err := mustLoad(t, decidePolicy).WithRoutes(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"GET /v2/list", "POST /v2/1/send", "GET /health", "GET /a", "PUT /v2/list"} {
		method, path, _ := strings.Cut(request, " ")
		for _, token := range []string{"", "read:a", "all:a", "admin:a", "trade:a"} {
			for _, account := range []string{"1", "2"} {
				got := p.try(testDecl{method: method, path: path, scopes: []name{{text: token}}, accounts: []name{{text: account}}})
				want := file.try(testDecl{method: method, path: path, scopes: []name{{text: token}}, accounts: []name{{text: account}}})
				if got.String() != want.String() {
					t.Errorf("%s with %s, %s: got %s, want %s", request, token, account, got, want)
				}
			}
		}
	}
	m, _ := p.Match("GET", "/v2/1/send")
	if !m.Route.Credentials.Has(Header | Subprotocol) {
		t.Errorf("credentials %s", m.Route.Credentials)
	}
}

func TestRevisionOfRules(t *testing.T) {
	p := mustLoad(t, decidePolicy)
	var cors *RuleCORS
	revision := func(p *Policy, rules ...Rule) string {
		q, err := p.WithRoutes(rules, cors)
		if err != nil {
			t.Fatal(err)
		}
		return q.Revision()
	}
	moved := rules[0]
	moved.Source = "Caddyfile:7"
	first := revision(p, rules[0])
	if revision(p, moved) != first || revision(p, rules[2]) == first || revision(mustLoad(t, decidePolicy+"\n"), rules[0]) == first {
		t.Error("the revision must tell scopes and rules, and nothing else")
	}
	cors = &RuleCORS{Origins: []string{"https://app.test"}}
	if revision(p, rules[0]) == first {
		t.Error("the revision does not tell CORS")
	}
}

func TestRulesRefused(t *testing.T) {
	get := func(path string) RuleMatch { return RuleMatch{[]string{"GET"}, path} }
	require := &RuleRequire{Scopes: []string{"read:a"}}
	tests := map[string]struct {
		rules []Rule
		cors  *RuleCORS
		want  string
	}{
		"unknown scope": {
			[]Rule{{ID: "a", Match: get("/a"), Require: &RuleRequire{Scopes: []string{"raed:a"}}, Source: "Caddyfile:7"}}, nil,
			`Caddyfile:7: unknown scope "raed:a"; did you mean "read:a"?`,
		},
		"without requirement": {[]Rule{{ID: "a", Match: get("/a")}}, nil, `routes[0]: route "a" needs "require", or "public: true"`},
		"without methods":     {[]Rule{{ID: "a", Match: RuleMatch{Path: "/a"}, Public: true}}, nil, `routes[0]: methods: an empty list`},
		"path":                {[]Rule{{ID: "a", Match: get("a"), Public: true, Source: "x:1"}}, nil, `x:1: path "a": a path begins with /`},
		"bind": {
			[]Rule{{ID: "a", Match: get("/{b}"), Require: &RuleRequire{Scopes: []string{"read:a"}, Bind: map[string]string{"c": "token.account"}}}}, nil,
			`routes[0]: bind: path /{b} has no {c}; did you mean "b"?`,
		},
		"twice": {
			[]Rule{{ID: "a", Match: get("/a"), Require: require, Source: "x:1"}, {ID: "a", Match: get("/b"), Require: require, Source: "y:2"}}, nil,
			`y:2: duplicate route id "a" (first on x:1)`,
		},
		"conflict": {
			[]Rule{{ID: "a", Match: get("/{a}/x"), Require: require, Source: "x:1"}, {ID: "b", Match: get("/y/{b}"), Require: require, Source: "y:2"}}, nil,
			`y:2: route "b" (y:2) and route "a" (x:1) both match GET /y/x, and neither is more specific`,
		},
		"origin of a rule": {
			[]Rule{{ID: "a", Match: get("/a"), Require: require, Source: "x:1", CORS: &RuleCORS{Origins: []string{"https://app.test/"}}}}, nil,
			`x:1: origin "https://app.test/": browsers write it "https://app.test", without anything after it`,
		},
		"origin of all": {
			[]Rule{{ID: "a", Match: get("/a"), Require: require, Source: "x:1"}}, &RuleCORS{Origins: []string{"null"}},
			`cors: origin "null": any page can take this one, in a sandboxed frame; name each origin, as in https://app.example.com`,
		},
		"nobody of all": {[]Rule{{ID: "a", Match: get("/a"), Require: require, Source: "x:1"}}, new(RuleCORS), `cors: origins: an empty list`},
	}
	p := mustLoad(t, decidePolicy)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := p.WithRoutes(test.rules, test.cors); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
