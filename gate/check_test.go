package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// ask sends a request through the gate alone.
func (w *world) ask(t testing.TB, method, target, token string) (*Refusal, *http.Request) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	var passed *http.Request
	err := w.ServeHTTP(httptest.NewRecorder(), r, handlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		passed = r
		return nil
	}))
	if n := w.authority.Riders(); n != 0 {
		t.Errorf("%d riders are left", n)
	}
	if err == nil {
		return nil, passed
	}
	refusal, ok := err.(*Refusal) //nolint:errorlint // exactly this is promised
	if !ok || passed != nil {
		t.Fatalf("error %v, passed %v", err, passed != nil)
	}
	return refusal, nil
}

func (w *world) expect(t testing.TB, method, target, token string, status int, reason string) {
	t.Helper()
	refusal, _ := w.ask(t, method, target, token)
	switch {
	case refusal == nil && status != 200:
		t.Errorf("%s %s passed, want %d %s", method, target, status, reason)
	case refusal != nil && (refusal.Status != status || refusal.Reason != reason):
		t.Errorf("%s %s: %v, want %d %s", method, target, refusal, status, reason)
	}
}

func TestDecisions(t *testing.T) {
	w := openWorld(t, nil)
	all, reader, desk := w.mint(t), w.mint(t, "read:accounts"), w.mint(t, "admin:desk")
	for _, tt := range []struct {
		name, method, target, token string
		status                      int
		reason                      string
	}{
		{"scope held", "GET", "/accounts", all, 200, ""},
		{"HEAD as GET", "HEAD", "/accounts", reader, 200, ""},
		{"scope lacking", "POST", "/accounts/42/orders", reader, 403, "insufficient_scope"},
		{"hidden scope held", "POST", "/accounts/42/orders", desk, 200, ""},
		{"account granted", "POST", "/accounts/43/orders", all, 200, ""},
		{"account of another", "POST", "/accounts/44/orders", all, 403, "account_not_granted"},
		{"scope comes before the account", "POST", "/accounts/44/orders", reader, 403, "insufficient_scope"},
		{"no route", "GET", "/nowhere", all, 403, "no_route"},
		{"no route, anonymous", "GET", "/nowhere", "", 403, "no_route"},
		{"slash is another path", "GET", "/accounts/", all, 403, "no_route"},
		{"case matters", "GET", "/Accounts", all, 403, "no_route"},
		{"public, anonymous", "GET", "/health", "", 200, ""},
		{"public, with a token", "GET", "/health", all, 200, ""},
		{"anonymous", "GET", "/accounts", "", 401, "no_credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) { w.expect(t, tt.method, tt.target, tt.token, tt.status, tt.reason) })
	}
	t.Run("policy removed", func(t *testing.T) {
		rules := w.rules.Swap(nil)
		defer w.rules.Store(rules)
		w.expect(t, "GET", "/accounts", all, 403, "no_route")
		w.expect(t, "GET", "/health", "", 403, "no_route")
	})
}

func TestDeadTokens(t *testing.T) {
	w := openWorld(t, nil)
	t.Run("revoked, in the cache", func(t *testing.T) {
		raw := w.mint(t)
		w.expect(t, "GET", "/accounts", raw, 200, "")
		w.revoke(t, raw)
		w.expect(t, "GET", "/accounts", raw, 401, "revoked")
	})
	t.Run("revoked, never seen", func(t *testing.T) {
		raw := w.personal(t, "read:accounts")
		w.revoke(t, raw)
		w.expect(t, "GET", "/accounts", raw, 401, "revoked")
	})
	t.Run("rights taken, signed", func(t *testing.T) {
		raw := w.mint(t)
		w.expect(t, "GET", "/accounts", raw, 200, "")
		w.kill(t, store.KindRights, "alice")
		w.expect(t, "GET", "/accounts", raw, 401, "rights_changed")
	})
	t.Run("rights taken, opaque", func(t *testing.T) {
		raw := w.personal(t, "read:accounts", "trade:orders")
		w.expect(t, "POST", "/accounts/42/orders", raw, 200, "")
		w.update(t, func(tx store.Writer) error {
			return tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: []string{"read:accounts"}, Status: store.Active})
		})
		w.kill(t, store.KindRights, "alice")
		w.expect(t, "POST", "/accounts/42/orders", raw, 403, "insufficient_scope")
		w.expect(t, "GET", "/accounts", raw, 200, "")
	})
	t.Run("expired, in the cache", func(t *testing.T) {
		raw := w.mint(t, "read:accounts")
		w.warm(t, raw)
		w.offset.Add(int64(time.Hour + 12*time.Second))
		refusal, _ := w.ask(t, "GET", "/accounts", raw)
		if refusal == nil || refusal.Reason != "expired" || !strings.HasPrefix(refusal.Detail, "The token expired 1") {
			t.Errorf("%+v", refusal)
		}
	})
}

// The interleavings that a test of the whole would hit once in a million runs.
func TestRevokedBetweenJoiningAndJudging(t *testing.T) {
	w := openWorld(t, nil)
	for name, raw := range map[string]string{"signed": w.mint(t), "opaque": w.personal(t, "read:accounts")} {
		t.Run(name, func(t *testing.T) {
			w.expect(t, "GET", "/accounts", raw, 200, "")
			w.afterJoin = func() { w.afterJoin = nil; w.revoke(t, raw) }
			w.expect(t, "GET", "/accounts", raw, 401, "revoked")
		})
	}
}

func TestPolicySwappedBetweenJoiningAndJudging(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.mint(t, "read:accounts")
	swap := func(old, now string) *policy.Policy {
		changed := strings.Replace(testPolicy, old, now, 1)
		if changed == testPolicy {
			t.Fatal("nothing to replace: " + old)
		}
		return loadPolicy(t, changed)
	}
	const list = "path: /accounts}, require: {scopes: [read:accounts]}"
	for _, tt := range []struct {
		name           string
		target, token  string
		before, during *policy.Policy
		status         int
		reason         string
	}{
		{"scope raised", "/accounts", raw, w.rules.Load(), swap(list, "path: /accounts}, require: {scopes: [trade:orders]}"), 403, "insufficient_scope"},
		{"scope lowered", "/accounts", raw, swap(list, "path: /accounts}, require: {scopes: [trade:orders]}"), w.rules.Load(), 200, ""},
		{"route gone", "/accounts", raw, w.rules.Load(), swap("path: /accounts}", "path: /elsewhere}"), 403, "no_route"},
		{"public no more", "/health", "", w.rules.Load(), swap("path: /health}, public: true", "path: /health}, require: {scopes: [read:accounts]}"), 401, "no_credentials"},
		{"policy removed", "/accounts", raw, w.rules.Load(), nil, 403, "no_route"},
		{"policy removed under anonymous", "/health", "", w.rules.Load(), nil, 403, "no_route"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.rules.Store(tt.before)
			w.afterJoin = func() { w.afterJoin = nil; w.rules.Store(tt.during) }
			w.expect(t, "GET", tt.target, tt.token, tt.status, tt.reason)
			w.afterJoin = nil
		})
	}
}

// A look-up that began before a revocation and fills the cache after it must
// not bring the token back to life.
func TestLateCacheFillAfterRevocation(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.personal(t, "read:accounts")
	lease, err := w.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	w.forget(t)
	w.afterFound = func() { w.afterFound = nil; w.kill(t, store.KindGrant, lease.Grant) }
	w.expect(t, "GET", "/accounts", raw, 401, "revoked")
	w.expect(t, "GET", "/accounts", raw, 401, "revoked")
}

// forget empties the cache.
func (w *world) forget(t testing.TB) {
	t.Helper()
	w.settings.CacheBytes++
	if err := w.authority.Configure(w.settings); err != nil {
		t.Fatal(err)
	}
}

func TestEvictedBetweenJoiningAndJudging(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.mint(t)
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.afterJoin = func() { w.afterJoin = nil; w.forget(t) }
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.afterJoin = func() { w.afterJoin = nil; w.forget(t); w.revoke(t, raw); w.forget(t) }
	w.expect(t, "GET", "/accounts", raw, 401, "revoked")
	w.expect(t, "GET", "/accounts", raw, 401, "revoked")
}

// Rights that change faster than they can be looked up are nobody's fault.
func TestRightsChangeAgainAndAgain(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.personal(t, "read:accounts")
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.afterJoin = func() { w.kill(t, store.KindRights, "alice") }
	w.expect(t, "GET", "/accounts", raw, 503, "rights")
	w.afterJoin = nil
	w.expect(t, "GET", "/accounts", raw, 200, "")
}

// Allowed sees what next sees, once.
func TestAllowed(t *testing.T) {
	var told []string
	var seen *http.Request
	w := openWorld(t, func(o *Options) {
		o.Allowed = func(r *http.Request, d Decision) {
			seen = r
			told = append(told, fmt.Sprint(d.Route.ID, " ", d.Reason, " ", d.Lease != nil, " ", r.Header.Get("X-Auth-Subject")))
		}
	})
	raw := w.mint(t)
	_, passed := w.ask(t, "GET", "/accounts", raw)
	if seen != passed {
		t.Error("another request than the one that next got")
	}
	w.ask(t, "GET", "/health", raw)
	w.ask(t, "GET", "/nowhere", raw)
	if got := strings.Join(told, "; "); got != "list allowed true alice; health public false " {
		t.Errorf("told %q", got)
	}
}

func TestErrorsOfNextPassThrough(t *testing.T) {
	w := openWorld(t, nil)
	r := httptest.NewRequest("GET", "/health", nil)
	if err := w.ServeHTTP(httptest.NewRecorder(), r, handlerFunc(func(http.ResponseWriter, *http.Request) error {
		return context.DeadlineExceeded
	})); err != context.DeadlineExceeded { //nolint:errorlint // as it is
		t.Errorf("%v", err)
	}
	defer func() {
		if got := recover(); got != "mine" || w.authority.Riders() != 0 {
			t.Errorf("panic %v, %d riders", got, w.authority.Riders())
		}
	}()
	_ = w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil), handlerFunc(func(http.ResponseWriter, *http.Request) error {
		panic("mine")
	}))
}

// checkOnce is a decision without the exchange.
func (w *world) checkOnce(tb testing.TB, r *http.Request) {
	x := w.take()
	if _, refusal := w.check(x, r); refusal != nil {
		tb.Fatal(refusal)
	}
	w.leave(x)
}

func TestCheckAllocatesNothing(t *testing.T) {
	w := openWorld(t, nil)
	r := httptest.NewRequest("POST", "/accounts/42/orders?symbol=BTC-USD", nil)
	good := w.mint(t)
	r.Header = usualHeader("Bearer " + good)
	w.warm(t, good)
	if n := testing.AllocsPerRun(1000, func() { w.checkOnce(t, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// warm waits until the cache has the token: it fills from another goroutine.
func (w *world) warm(tb testing.TB, raw string) {
	tb.Helper()
	var last *token.Lease
	eventually(tb, "cached", func() bool {
		lease, err := w.authority.Check(raw)
		known := lease == last && err == nil
		last = lease
		return known
	})
}

func BenchmarkCheck(b *testing.B) {
	w := openWorld(b, nil)
	b.Run("hot", func(b *testing.B) {
		r := httptest.NewRequest("POST", "/accounts/42/orders", nil)
		good := w.mint(b)
		r.Header = usualHeader("Bearer " + good)
		w.warm(b, good)
		b.ReportAllocs()
		for b.Loop() {
			w.checkOnce(b, r)
		}
	})
	b.Run("public", func(b *testing.B) {
		r := httptest.NewRequest("GET", "/health", nil)
		r.Header = usualHeader("Bearer x")
		b.ReportAllocs()
		for b.Loop() {
			w.checkOnce(b, r)
		}
	})
	// The request is one, and hot, as it is when it has just been read; what is
	// cold is the token and what is known of it.
	b.Run("100000 tokens", func(b *testing.B) {
		r := httptest.NewRequest("POST", "/accounts/42/orders", nil)
		r.Header = usualHeader("")
		crowd := w.crowd(b, r, 100_000)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r.Header["Authorization"] = crowd[i%len(crowd)]
			w.checkOnce(b, r)
		}
	})
}

// crowd returns Authorization headers with n different tokens that are in the cache.
func (w *world) crowd(b *testing.B, r *http.Request, n int) [][]string {
	w.settings.CacheBytes = max(w.settings.CacheBytes+1, 256<<20) // another cache each time
	if err := w.authority.Configure(w.settings); err != nil {
		b.Fatal(err)
	}
	standing := w.issue(b, everyScope)
	crowd := make([][]string, n)
	for i := range crowd {
		minted, err := w.authority.Mint(&standing, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		crowd[i] = []string{"Bearer " + minted.Raw}
	}
	for range 3 { // under a burst the cache drops some
		for _, authorization := range crowd {
			r.Header["Authorization"] = authorization
			w.checkOnce(b, r)
		}
	}
	return crowd
}

// idle is a response writer that does nothing at no cost.
type idle struct{ header http.Header }

func (w idle) Header() http.Header         { return w.header }
func (w idle) Write(p []byte) (int, error) { return len(p), nil }
func (w idle) WriteHeader(int)             {}

// BenchmarkMiddleware is all that the gate costs. "again" uses one request all the
// time: the first derived context and the first added headers of a request, which
// others pay for as well, are left out, and deleting what was set the time before
// is in it. In "fresh" each request is one that has just come in; they are made
// some at a time, while the clock stands.
func BenchmarkMiddleware(b *testing.B) {
	w := openWorld(b, nil)
	good := w.mint(b)
	w.warm(b, good)
	parent, end := context.WithCancel(context.Background())
	defer end()
	rw := idle{http.Header{}}
	newRequest := func() (*http.Request, func()) {
		ctx, cancel := context.WithCancel(parent)
		r := httptest.NewRequestWithContext(ctx, "POST", "/accounts/42/orders", nil)
		r.Header = usualHeader("Bearer " + good)
		return r, cancel
	}
	b.Run("again", func(b *testing.B) {
		r, cancel := newRequest()
		defer cancel()
		authorization := r.Header["Authorization"]
		b.ReportAllocs()
		for b.Loop() {
			r.Header["Authorization"] = authorization
			if err := w.ServeHTTP(rw, r, nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fresh", func(b *testing.B) {
		var fresh [256]*http.Request
		var ends [len(fresh)]func()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(fresh) == 0 {
				b.StopTimer()
				for k := range fresh {
					if ends[k] != nil {
						ends[k]()
					}
					fresh[k], ends[k] = newRequest()
				}
				b.StartTimer()
			}
			if err := w.ServeHTTP(rw, fresh[i%len(fresh)], nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
}
