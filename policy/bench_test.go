package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// largePolicy has n routes in the shape of a grown API: services of up to 100
// routes each, with parameters, mixed methods and a wide rule per service.
func largePolicy(tb testing.TB, n int) *Policy {
	tb.Helper()
	p, err := Load("large.yaml", largeFile(n))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func largeFile(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nscopes:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  s%d:read: {title: T, risk: read}\n  s%d:trade: {title: T, risk: trade, implies: [s%d:read]}\n", i, i, i)
	}
	b.WriteString("routes:\n")
	shapes := []string{
		`{methods: [GET], path: "/api/v1/svc%d/res%d"}`,
		`{methods: [POST], path: "/api/v1/svc%d/res%d"}`,
		`{methods: [GET], path: "/api/v1/svc%d/res%d/{account}"}`,
		`{methods: [PUT, DELETE], path: "/api/v1/svc%d/res%d/{account}"}`,
		`{methods: [POST], path: "/api/v1/svc%d/res%d/{account}/orders"}`,
	}
	for i := range n {
		service, shape := i/100, shapes[i%len(shapes)]
		match := fmt.Sprintf(shape, service, i%100/len(shapes))
		require := fmt.Sprintf("any_of: [[s%d:trade], [s%d:read, s%d:read]]", i%50, i%50, (i+1)%50)
		if strings.Contains(match, "{account}") {
			require += ", bind: {account: token.account}"
		}
		fmt.Fprintf(&b, "  - {id: r%d, match: %s, require: {%s}}\n", i, match, require)
	}
	return []byte(b.String())
}

// request is a method and a path.
type request struct{ method, path string }

// requestsOf is requests for n routes, picked all over the policy in an order
// without pattern.
func requestsOf(p *Policy, n int) []request {
	requests := make([]request, n)
	for i := range requests {
		r := p.routes[i*7919%len(p.routes)]
		requests[i] = request{r.Methods[0], strings.ReplaceAll(r.Path, "{account}", "40172")}
	}
	return requests
}

// BenchmarkMatchDecide has two kinds of traffic: to 64 routes of the policy, as
// a desk's bots would make, and to every route in turn, which at 10,000 routes
// measures the processor's caches as much as the code.
func BenchmarkMatchDecide(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		p := largePolicy(b, n)
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) { benchmarkDecide(b, p, requestsOf(p, 64)) })
		b.Run(fmt.Sprintf("routes=%d/each-in-turn", n), func(b *testing.B) { benchmarkDecide(b, p, requestsOf(p, n)) })
	}
}

func benchmarkDecide(b *testing.B, p *Policy, requests []request) {
	var names []string
	for _, s := range p.Scopes() {
		names = append(names, s.Name)
	}
	facts := Facts{Scopes: p.Set(names), Accounts: []string{"40171", "40172"}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := &requests[i]
		if i++; i == len(requests) {
			i = 0
		}
		m, _ := p.Match(r.method, r.path)
		if !p.Decide(&m, facts).Allow {
			b.Fatalf("%s %s is denied", r.method, r.path)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	src := largeFile(10_000)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Load("large.yaml", src); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMatchAndDecideDoNotAllocate(t *testing.T) {
	p := largePolicy(t, 1000)
	requests := requestsOf(p, 1000)
	facts := Facts{Scopes: p.Set([]string{"s1:trade"}), Accounts: []string{"40172"}}
	i := 0
	allocs := testing.AllocsPerRun(2000, func() {
		r := requests[i%len(requests)]
		i++
		m, _ := p.Match(r.method, r.path)
		p.Decide(&m, facts)
		m.Param("account")
	})
	if allocs != 0 {
		t.Errorf("%v allocations per request, want 0", allocs)
	}
	if allocs := testing.AllocsPerRun(100, func() { p.Covers([]string{"s1:trade"}, "s1:read") }); allocs != 0 {
		t.Errorf("Covers: %v allocations, want 0", allocs)
	}
}

// The search for conflicts must not be quadratic, whatever the shape of the
// paths. The limit is generous: a quadratic search takes minutes here.
func TestConflictSearchIsFast(t *testing.T) {
	const n = 10_000
	shapes := map[string]func(i int) string{
		"literal":           func(i int) string { return fmt.Sprintf("/a/b%d", i) },
		"wild then literal": func(i int) string { return fmt.Sprintf([]string{"/{x}/a%d", "/b%d/c"}[i%2], i) },
		"rest under all":    func(i int) string { return fmt.Sprintf([]string{"/a%d/{rest...}", "/a%d/b"}[i%2], i/2) },
		"deep":              func(i int) string { return fmt.Sprintf("/{a}/{b}/{c}/x%d/{d}/y", i) },
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			c := compiler{reporter: &reporter{}, policy: &Policy{}}
			for i := range n {
				c.policy.routes = append(c.policy.routes, testRoute(t, c.policy, shape(i), "GET"))
			}
			start := time.Now()
			c.checkConflicts(newTrie(c.policy.routes))
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v for %d routes", took, n)
			}
			if len(c.findings) > 0 {
				t.Errorf("unexpected: %v", c.findings)
			}
		})
	}
}

// testRoute is a route that only matches.
func testRoute(tb testing.TB, p *Policy, path string, methods ...string) *Route {
	tb.Helper()
	segments, err := parsePattern(path)
	if err != nil {
		tb.Fatal(err)
	}
	set, _ := p.methods.set(methods)
	r := &Route{ID: path, Path: path, Methods: methods, owner: p, segments: segments, methods: set}
	for _, s := range segments {
		if s.kind != literalSegment {
			r.params = append(r.params, s.text)
		}
	}
	return r
}
