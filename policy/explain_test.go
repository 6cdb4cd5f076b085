package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A decision explained is the decision made, and its parts bear it out.
func checkExplanation(t *testing.T, p *Policy, method, path string, scopes, accounts []string) {
	t.Helper()
	m, _ := p.Match(method, path)
	facts := Facts{Scopes: p.Set(scopes), Accounts: accounts}
	d := p.Decide(&m, facts)
	e := p.Explain(method, path, scopes, accounts)
	if e.Allow != d.Allow || e.Reason != d.Reason || (d.Route == nil) != (e.Route == "") || d.Route != nil && e.Route != d.Route.ID {
		t.Fatalf("%s %s with %v, %v: explained %+v, decided %+v", method, path, scopes, accounts, e, d)
	}
	var held []string
	for _, s := range e.Scopes {
		held = append(held, s.Name)
		if s.Given != slices.Contains(scopes, s.Name) || !s.Given && len(s.ImpliedBy) == 0 {
			t.Errorf("held %+v with %v", s, scopes)
		}
	}
	for _, s := range p.Scopes() {
		if slices.Contains(held, s.Name) != p.Covers(scopes, s.Name) {
			t.Errorf("%v amounts to %v: %s", scopes, held, s.Name)
		}
	}
	if d.Route == nil {
		return
	}
	complete := d.Route.Public || slices.ContainsFunc(e.Alternatives, func(a HeldAlternative) bool { return len(a.Missing) == 0 })
	granted := !slices.ContainsFunc(e.Bindings, func(b Binding) bool { return !b.Granted })
	if e.Allow != (complete && granted) {
		t.Errorf("%s %s with %v, %v: %+v", method, path, scopes, accounts, e)
	}
}

func TestExplanationEqualsDecision(t *testing.T) {
	p := mustLoad(t, decidePolicy)
	random := rand.New(rand.NewPCG(3, 4))
	paths := []string{"/health", "/a", "/a/", "/a/1", "/a/2", "/a/1/to/2", "/a/2/to/2", "/b", "", "a"}
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "TRACE"}
	some := func(words ...string) []string {
		return slices.DeleteFunc(words, func(string) bool { return random.IntN(3) > 0 })
	}
	for range 5000 {
		checkExplanation(t, p, methods[random.IntN(len(methods))], paths[random.IntN(len(paths))],
			some("read:a", "trade:a", "send:a", "all:a", "admin:a", "root:a", "unknown"), some("1", "2", "3"))
	}
}

// Each set passes, and no longer without one of its scopes.
func TestSmallestSetsAreSmallest(t *testing.T) {
	p := mustLoad(t, decidePolicy)
	for request, want := range map[string]string{
		"GET /health":    "[[]]",
		"GET /a":         "[[read:a]]",
		"PUT /a":         "[[read:a, send:a]]",
		"POST /a":        "[[trade:a, send:a], [admin:a]]", // all:a grants more than the first
		"GET /a/1":       "[[read:a]]",
		"POST /a/1/to/2": "[[send:a]]",
		"GET /b":         "[]",
	} {
		method, path, _ := strings.Cut(request, " ")
		sets := p.Explain(method, path, nil, nil).Smallest
		if got := formatAlternatives(sets); got != want {
			t.Errorf("%s: got %s, want %s", request, got, want)
		}
		for _, set := range sets {
			if !p.Explain(method, path, set, []string{"1", "2"}).Allow {
				t.Errorf("%s: %v does not pass", request, set)
			}
			for i := range set {
				if p.Explain(method, path, slices.Delete(slices.Clone(set), i, i+1), []string{"1", "2"}).Allow {
					t.Errorf("%s: %v passes without %s", request, set, set[i])
				}
			}
		}
	}
}

// checkCandidates compares the candidates with what the reference matches.
func checkCandidates(t *testing.T, p *Policy, method, path string) {
	t.Helper()
	m, _ := p.Match(method, path)
	checkExplanation(t, p, method, path, nil, nil)
	got := make(map[string]Outcome)
	for _, c := range p.Explain(method, path, nil, nil).Candidates {
		got[c.Route] = c.Outcome
	}
	for _, r := range p.routes {
		covered := slices.Contains(r.Methods, method) || method == "HEAD" && slices.Contains(r.Methods, "GET")
		outcome, named := got[r.ID]
		fits := patternMatches(r.Path, path)
		want := OutcomePathDiffers
		switch {
		case r == m.Route:
			want = OutcomeDecides
		case fits && covered:
			want = OutcomeLessSpecific
		case fits:
			want = OutcomeOtherMethod
		case !covered && named:
			t.Fatalf("%s %s: %s has other methods and another path\n%s", method, path, format(r), formatAll(p.routes))
		}
		if named && outcome != want || !named && fits {
			t.Fatalf("%s %s: %s is %s (named: %t), want %s\n%s", method, path, format(r), outcome, named, want, formatAll(p.routes))
		}
	}
}

func TestCandidatesEqualReference(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		data := make([]byte, 40)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		routes := routesFrom(data)
		p := routes[0].owner
		trie, s := newTrie(routes), conflictSearch{}
		if s.join(trie, trie, false, false); len(s.found) > 0 {
			continue
		}
		p.root = newMatcher(trie)
		for _, method := range universeMethods {
			for _, path := range universe {
				checkCandidates(t, p, method, path)
			}
		}
	}
}

func TestCandidates(t *testing.T) {
	p := matching(t, "GET /accounts", "GET /accounts/{id}", "POST /accounts/{id}/orders", "GET /files/{rest...}", "GET /health")
	tests := map[string]string{
		"GET /accounts":          "r0 decides; r1 path_differs 2 \"\" /{id}",
		"GET /accounts/":         "r0 path_differs 2 / \"\"; r1 path_differs 2 / /{id}",
		"GET /acounts/7":         "r1 path_differs 1 /acounts /accounts",
		"PUT /accounts/7/orders": "r2 other_method",
		"POST /accounts/7/order": "r2 path_differs 3 /order /orders",
		"GET /files":             "r3 path_differs 2 \"\" /{rest...}",
		"GET /helth":             "r4 path_differs 1 /helth /health",
		"GET /nowhere":           "",
		"GET /no/where/at/all":   "",
	}
	for request, want := range tests {
		method, path, _ := strings.Cut(request, " ")
		var got []string
		for _, c := range p.Explain(method, path, nil, nil).Candidates {
			line := c.Route + " " + c.Outcome.String()
			if d := c.Differs; d != nil {
				line += strings.ReplaceAll(fmt.Sprintf(" %d %s| %s|", d.Segment, d.Found, d.Expected), " |", ` ""`)
				line = strings.ReplaceAll(line, "|", "")
			}
			got = append(got, line)
		}
		if got := strings.Join(got, "; "); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", request, got, want)
		}
	}
}

func TestManyCandidatesStayReadable(t *testing.T) {
	var rules []string
	for i := range 50 {
		rules = append(rules, fmt.Sprintf("GET /v1/list-%d", i))
	}
	e := matching(t, rules...).Explain("GET", "/v1/list-x", nil, nil)
	if len(e.Candidates) != maxNear || e.Omitted != 50-maxNear || e.Candidates[0].Route != "r0" {
		t.Errorf("%d candidates, %d omitted, first %+v", len(e.Candidates), e.Omitted, e.Candidates[0])
	}
}
