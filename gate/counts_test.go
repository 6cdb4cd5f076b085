package gate

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// through sends a request through the gate without a network.
func (w *world) through(t testing.TB, method, path, bearer string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	_ = w.ServeHTTP(idle{http.Header{}}, r, nothing) // what it decides is what is counted
}

func (w *world) wantDecisions(t testing.TB, want map[DecisionKind]uint64) {
	t.Helper()
	if got := w.counts.Decisions(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestEachDecisionIsCountedOnce(t *testing.T) {
	w := openWorld(t, nil)
	good, narrow, dead := w.mint(t), w.mint(t, "read:market"), w.mint(t)
	w.revoke(t, dead)
	failed := store.ErrUnavailable
	opaque := w.personal(t, "read:accounts")
	for range 3 {
		w.through(t, "GET", "/accounts", good)
	}
	w.through(t, "POST", "/accounts/42/orders", good)
	w.through(t, "GET", "/health", "")
	w.through(t, "GET", "/accounts", narrow)
	w.through(t, "GET", "/accounts", dead)
	w.through(t, "GET", "/accounts", "")
	w.through(t, "GET", "/nowhere", good)
	w.through(t, "GET", "/a//b", good)
	w.broken.Store(&failed)
	w.through(t, "GET", "/accounts", opaque)
	w.RefuseUnready(httptest.NewRequest("GET", "/accounts", nil))
	w.wantDecisions(t, map[DecisionKind]uint64{
		{"", Fault, "not_ready"}:               1,
		{"list", Allow, "allowed"}:             3,
		{"order", Allow, "allowed"}:            1,
		{"health", Allow, "public"}:            1,
		{"list", Deny, "insufficient_scope"}:   1,
		{"list", Deny, token.Revoked.String()}: 1,
		{"list", Deny, "no_credentials"}:       1,
		{"", Deny, "no_route"}:                 1,
		{"", Deny, "path"}:                     1,
		{"list", Fault, "store"}:               1,
	})
	// The first use of each token is a miss, but for the one that was revoked: it was
	// looked up for that.
	if hits, misses := w.counts.Tokens(); hits != 4 || misses != 3 {
		t.Errorf("%d hits and %d misses", hits, misses)
	}
}

// A new revision of the policy has routes of its own, with the counters of before;
// those of routes that are gone are forgotten when that is asked for, and begin anew.
func TestCountersSurviveThePolicy(t *testing.T) {
	w := openWorld(t, nil)
	good, before := w.mint(t), w.rules.Load()
	w.through(t, "GET", "/accounts", good)
	w.through(t, "GET", "/sse", good)
	w.through(t, "GET", "/sse", "")

	w.rules.Store(loadPolicy(t, strings.Replace(testPolicy, "  - {id: list,", "  - {id: first, match: {methods: [GET], path: /first}, public: true}\n  - {id: list,", 1)))
	w.through(t, "GET", "/accounts", good)
	list, sse, none := DecisionKind{"list", Allow, "allowed"}, DecisionKind{"sse", Allow, "allowed"}, DecisionKind{"sse", Deny, "no_credentials"}
	w.wantDecisions(t, map[DecisionKind]uint64{list: 2, sse: 1, none: 1})

	w.counts.Forget(func(route string) bool { return route == "list" })
	w.wantDecisions(t, map[DecisionKind]uint64{list: 2})
	w.through(t, "GET", "/sse", good)
	w.wantDecisions(t, map[DecisionKind]uint64{list: 2, sse: 1})
	w.rules.Store(before)
	w.through(t, "GET", "/sse", good)
	w.wantDecisions(t, map[DecisionKind]uint64{list: 2, sse: 2})
}

// Nothing is lost between processors, nor while somebody reads and forgets.
func TestCountingAtOnce(t *testing.T) {
	w := openWorld(t, nil)
	good := w.mint(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				w.through(t, "GET", "/accounts", good)
				w.counts.Forget(func(route string) bool { return route == "list" })
			}
		})
	}
	all.Wait()
	w.wantDecisions(t, map[DecisionKind]uint64{{"list", Allow, "allowed"}: 1600})
	if hits, misses := w.counts.Tokens(); hits+misses != 1600 {
		t.Errorf("%d hits and %d misses", hits, misses)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	w := openWorld(t, nil)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header = usualHeader("Bearer " + w.mint(t))
	x := w.take()
	d, refusal := w.measured(x, r)
	if refusal != nil {
		t.Fatal(refusal)
	}
	w.authority.Leave(&x.Ride)
	if n := testing.AllocsPerRun(100, func() { w.allow(x, &d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// How long a decision took is told of the first and then of each sixteenth.
func TestSomeDecisionsAreMeasured(t *testing.T) {
	took := map[string]int{}
	w := openWorld(t, func(o *Options) {
		o.Took = func(decision string, d time.Duration) {
			if d < 0 || d > time.Minute {
				t.Errorf("it took %s", d)
			}
			took[decision]++
		}
	})
	good := w.mint(t)
	x := w.take()
	r := httptest.NewRequest("GET", "/accounts", nil)
	for i := range 2 * measureEvery {
		r.Header = usualHeader("Bearer " + good)
		if i == measureEvery {
			r.Header.Del("Authorization")
		}
		if _, refusal := w.measured(x, r); refusal == nil {
			w.authority.Leave(&x.Ride)
		}
	}
	if took[Allow] != 1 || took[Deny] != 1 {
		t.Errorf("measured %v", took)
	}
}

// Whatever a stream is cut for has a counter of its own.
func TestEachCauseIsCounted(t *testing.T) {
	source, err := os.ReadFile("stream.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func eventOf(")
	body, _, _ = strings.Cut(body, "\n}\n")
	words := regexp.MustCompile(`return "(\w+)"`).FindAllStringSubmatch(body, -1)
	for _, word := range words {
		if !slices.Contains(StreamEnds(), word[1]) {
			t.Errorf("%s has no counter", word[1])
		}
	}
	if len(words) != len(StreamEnds()) {
		t.Errorf("%d words for %d counters", len(words), len(StreamEnds()))
	}
}

func TestStreamsAreCountedAndTold(t *testing.T) {
	var mu sync.Mutex
	var told []StreamEvent
	w := openWorld(t, func(o *Options) {
		o.Streams = func(_ *http.Request, e StreamEvent) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e)
		}
	})
	server := w.serve(t, plainly(feed(nil, "data: 1\n\n")))
	for _, end := range []string{"revoked", ended} {
		good := w.mint(t)
		resp := ask(t, server.Client(), "GET", server.URL+"/sse", good)
		eventually(t, "it is open", func() bool { return w.counts.Streams() == 1 })
		if end == ended {
			resp.Body.Close()
		} else {
			w.revoke(t, good)
		}
		eventually(t, "it has ended", func() bool { return w.counts.Streams() == 0 && w.counts.StreamsEnded()[end] == 1 })
	}
	eventually(t, "all is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 4
	})
	for i, want := range []string{"", "revoked", "", ended} {
		e := told[i]
		if e.Ended != want || e.Decision.Route.ID != "sse" || e.Decision.Lease.Client != "bot" || (e.Lasted > 0) != (want != "") {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	for word, n := range w.counts.StreamsEnded() {
		if want := map[string]uint64{"revoked": 1, ended: 1}[word]; n != want {
			t.Errorf("%d ended for %s", n, word)
		}
	}
}

// BenchmarkCount is what counting adds to a request that passes.
func BenchmarkCount(b *testing.B) {
	w := openWorld(b, nil)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header = usualHeader("Bearer " + w.mint(b))
	x := w.take()
	d, refusal := w.measured(x, r)
	if refusal != nil {
		b.Fatal(refusal)
	}
	defer w.authority.Leave(&x.Ride)
	b.ReportAllocs()
	for b.Loop() {
		w.counts.tokens[x.lane].hits.Add(1)
		w.allow(x, &d)
	}
}
