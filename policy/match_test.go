package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// matching builds a policy of public routes, each "METHOD[,METHOD] PATH".
func matching(tb testing.TB, rules ...string) *Policy {
	tb.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nroutes:\n")
	for i, rule := range rules {
		methods, path, _ := strings.Cut(rule, " ")
		fmt.Fprintf(&b, "  - {id: r%d, match: {methods: [%s], path: %q}, public: true}\n", i, methods, path)
	}
	return mustLoad(tb, b.String())
}

func TestMatch(t *testing.T) {
	rules := []string{
		"GET /",
		"GET /x",
		"GET /y/",
		"GET /accounts",
		"GET /accounts/{id}",
		"GET /accounts/me",
		"GET,POST /accounts/{id}/orders",
		"POST /accounts/{id}/orders/",
		"GET /files/{rest...}",
		"GET /files/{dir}/index",
		"HEAD /files/special",
		"PUT,DELETE,PATCH /wide/{id}",
		"DELETE /wide/{id}",
		"DELETE /wide/all",
		"POST /deep/{a}/{b}/{c...}",
		"GET /über/{ort}",
		"GET /v1/only",
		"POST /v1/{any...}",
	}
	tests := []struct{ request, want string }{
		{"GET /", "GET /"},
		{"GET /x", "GET /x"},
		{"GET /x/", ""},
		{"GET /y/", "GET /y/"},
		{"GET /y", ""},
		{"GET /Y/", ""},
		{"GET /X", ""},
		{"GET x", ""},
		{"GET ", ""},
		{"get /x", ""},
		{"POST /x", ""},
		{"TRACE /x", ""},
		{"HEAD /x", "GET /x"}, // GET covers HEAD
		{"GET /nowhere", ""},

		{"GET /accounts", "GET /accounts"},
		{"GET /accounts/", ""}, // {id} is never empty
		{"GET /accounts/42", "GET /accounts/{id} id=42"},
		{"GET /accounts/42/", ""},
		{"GET /accounts/me", "GET /accounts/me"},
		{"GET /accounts/mex", "GET /accounts/{id} id=mex"},
		{"GET /accounts/me/orders", "GET,POST /accounts/{id}/orders id=me"}, // back from the literal
		{"POST /accounts/me/orders/", "POST /accounts/{id}/orders/ id=me"},
		{"GET /accounts/me/orders/", ""},
		{"POST /accounts//orders", ""},
		{"GET /accountsx", ""},

		{"GET /files", ""},
		{"GET /files/", "GET /files/{rest...} rest="},
		{"GET /files/a", "GET /files/{rest...} rest=a"},
		{"GET /files/a/b/c/", "GET /files/{rest...} rest=a/b/c/"},
		{"GET /files/a/index", "GET /files/{dir}/index dir=a"},
		{"GET /files/a/index/", "GET /files/{rest...} rest=a/index/"},
		{"GET /files/a/indexes", "GET /files/{rest...} rest=a/indexes"},
		{"HEAD /files/special", "HEAD /files/special"},
		{"GET /files/special", "GET /files/{rest...} rest=special"}, // the literal has only HEAD

		{"PUT /wide/1", "PUT,DELETE,PATCH /wide/{id} id=1"},
		{"DELETE /wide/1", "DELETE /wide/{id} id=1"}, // fewer methods are more specific
		{"DELETE /wide/all", "DELETE /wide/all"},
		{"PATCH /wide/all", "PUT,DELETE,PATCH /wide/{id} id=all"},

		{"POST /deep/1/2/", "POST /deep/{a}/{b}/{c...} a=1 b=2 c="},
		{"POST /deep/1/2/3/4", "POST /deep/{a}/{b}/{c...} a=1 b=2 c=3/4"},
		{"POST /deep/1/2", ""},
		{"GET /über/köln", "GET /über/{ort} ort=köln"},
		{"POST /v1/only", "POST /v1/{any...} any=only"},
		{"GET /v1/other", ""},
	}
	p := matching(t, rules...)
	for _, test := range tests {
		method, path, _ := strings.Cut(test.request, " ")
		m, ok := p.Match(method, path)
		got := ""
		if ok {
			got = strings.Join(m.Route.Methods, ",") + " " + m.Route.Path
			for _, param := range m.Route.params {
				value, _ := m.Param(param)
				got += " " + param + "=" + value
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.request, got, test.want)
		}
	}
	m, _ := p.Match("GET", "/accounts/42")
	if value, ok := m.Param("account"); ok {
		t.Errorf("captured %q for a name that the route does not have", value)
	}
	if _, ok := new(Match).Param("id"); ok {
		t.Error("captured something without a route")
	}
}

// The reference below shares no code with the compiled policy beyond parsing:
// routes are compared as explicit sets of requests, taken from a universe that
// is large enough to tell all generated patterns apart.

// universe has every path of up to 4 segments from two literals that patterns
// use and one that they don't, with and without a trailing slash.
var universe = func() []string {
	paths, last := []string{"/"}, []string{""}
	for range 4 {
		var next []string
		for _, prefix := range last {
			for _, segment := range []string{"a", "b", "z"} {
				next = append(next, prefix+"/"+segment)
				paths = append(paths, prefix+"/"+segment, prefix+"/"+segment+"/")
			}
		}
		last = next
	}
	return paths
}()

var universeMethods = []string{"GET", "HEAD", "POST"}

// requestSet holds which of universeMethods × universe a route matches.
type requestSet []bool

func requestsMatched(r *Route) requestSet {
	var set requestSet
	for _, method := range universeMethods {
		covered := slices.Contains(r.Methods, method) || method == "HEAD" && slices.Contains(r.Methods, "GET")
		for _, path := range universe {
			set = append(set, covered && patternMatches(r.Path, path))
		}
	}
	return set
}

func patternMatches(pattern, path string) bool {
	patterns, segments := strings.Split(pattern, "/")[1:], strings.Split(path, "/")[1:]
	for i, part := range patterns {
		switch {
		case i >= len(segments):
			return false
		case strings.HasSuffix(part, "...}"):
			return true
		case strings.HasPrefix(part, "{"):
			if segments[i] == "" {
				return false
			}
		case part != segments[i]:
			return false
		}
	}
	return len(patterns) == len(segments)
}

// compareSets reports whether two sets overlap, and whether a is a strict subset.
func compareSets(a, b requestSet) (overlap, strictSubset bool) {
	subset, equal := true, true
	for i := range a {
		overlap = overlap || a[i] && b[i]
		subset = subset && (!a[i] || b[i])
		equal = equal && a[i] == b[i]
	}
	return overlap, subset && !equal
}

// routesFrom derives up to 6 routes from bytes, so that both a random test and
// a fuzzer can drive it.
func routesFrom(data []byte) []*Route {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	methodSets := [][]string{{"GET"}, {"POST"}, {"HEAD"}, {"GET", "POST"}, {"HEAD", "POST"}}
	p := &Policy{}
	var routes []*Route
	for i := range 2 + int(next())%5 {
		path, params := "", 0
		for depth := 1 + int(next())%3; depth > 0; depth-- {
			switch kind := next() % 8; {
			case kind < 4:
				path += "/" + string("ab"[kind%2])
			case kind < 6:
				params++
				path += fmt.Sprintf("/{p%d}", params)
			case depth > 1:
				path += "/a"
			case kind == 6:
				path += "/"
			default:
				path += "/{rest...}"
			}
		}
		r := &Route{ID: fmt.Sprint(i), Path: path, Methods: methodSets[int(next())%len(methodSets)], owner: p, Public: true}
		r.at = position{i + 1, 1}
		r.methods, _ = p.methods.set(r.Methods)
		r.segments, _ = parsePattern(path)
		routes = append(routes, r)
	}
	p.routes = routes
	return routes
}

func checkAgainstReference(t *testing.T, data []byte) {
	routes := routesFrom(data)
	p := routes[0].owner
	sets := make([]requestSet, len(routes))
	for i, r := range routes {
		sets[i] = requestsMatched(r)
	}
	trie := newTrie(routes)
	if checkConflictsAgainst(t, p, trie, sets) {
		return
	}
	p.root = newMatcher(trie)
	reached := make(map[*Route]bool)
	for i, method := range universeMethods {
		for j, path := range universe {
			want := mostSpecific(routes, sets, i*len(universe)+j)
			reached[want] = true
			if m, _ := p.Match(method, path); m.Route != want {
				t.Fatalf("%s %s: got %s, want %s\n%s", method, path, format(m.Route), format(want), formatAll(routes))
			}
		}
	}
	for _, r := range routes {
		if got := p.reachable(r, p.depth()); got != reached[r] {
			t.Fatalf("reachable(%s) = %t\n%s", format(r), got, formatAll(routes))
		}
	}
}

// checkConflictsAgainst reports whether there are conflicts, after checking that
// exactly those were found, each once, and that samples are right.
func checkConflictsAgainst(t *testing.T, p *Policy, trie *trieNode, sets []requestSet) bool {
	want, got := make(map[[2]*Route]bool), make(map[[2]*Route]bool)
	for i, a := range p.routes {
		for j := range i {
			overlap, less := compareSets(sets[i], sets[j])
			_, more := compareSets(sets[j], sets[i])
			if overlap && !less && !more {
				want[[2]*Route{p.routes[j], a}] = true
			}
		}
	}
	s := conflictSearch{}
	s.join(trie, trie, false, false)
	for _, pair := range s.found {
		if pair[0].at.compare(pair[1].at) > 0 {
			pair[0], pair[1] = pair[1], pair[0]
		}
		if got[pair] || !want[pair] {
			t.Fatalf("conflict of %s and %s: wrong or found twice\n%s", format(pair[0]), format(pair[1]), formatAll(p.routes))
		}
		got[pair] = true
		method, path, _ := strings.Cut(p.sample(pair[0], pair[1]), " ")
		for _, r := range pair {
			covered := slices.Contains(r.Methods, method) || method == "HEAD" && slices.Contains(r.Methods, "GET")
			if !covered || !patternMatches(r.Path, path) {
				t.Fatalf("sample %s %s does not match %s", method, path, format(r))
			}
		}
	}
	if len(got) != len(want) && len(got) < maxConflicts {
		t.Fatalf("%d conflicts found, want %d\n%s", len(got), len(want), formatAll(p.routes))
	}
	return len(want) > 0
}

// mostSpecific is the route whose set is a subset of all others that match.
func mostSpecific(routes []*Route, sets []requestSet, request int) *Route {
	best := -1
	for i := range routes {
		if !sets[i][request] {
			continue
		}
		if best < 0 {
			best = i
		} else if _, less := compareSets(sets[i], sets[best]); less {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return routes[best]
}

func format(r *Route) string {
	if r == nil {
		return "no route"
	}
	return strings.Join(r.Methods, ",") + " " + r.Path
}

func formatAll(routes []*Route) string {
	var b strings.Builder
	for _, r := range routes {
		b.WriteString(format(r) + "\n")
	}
	return b.String()
}

func TestMatchEqualsReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		data := make([]byte, 40)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		checkAgainstReference(t, data)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte("a route or two"))
	f.Add([]byte{4, 2, 0, 4, 6, 0, 1, 7, 3, 2, 4, 1, 1, 0, 0})
	f.Fuzz(checkAgainstReference)
}
