package gate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// limited returns a personal token with these limits.
func (w *world) limited(t testing.TB, limits store.Token, scopes ...string) string {
	t.Helper()
	raw, hash := w.authority.Keyring().NewOpaque(store.Personal)
	limits.Environment, limits.ID, limits.Hash = store.Sandbox, token.NewID(), hash
	limits.Class, limits.Created = store.Personal, w.now()
	w.issue(t, scopes, limits)
	return raw
}

// in is an allow-list.
func in(networks ...string) store.Token {
	var limits store.Token
	for _, network := range networks {
		limits.Networks = append(limits.Networks, netip.MustParsePrefix(network))
	}
	return limits
}

// per is a rate. The tests' rates are slow, so that a slow machine changes nothing.
func per(requests int, span time.Duration) store.Token {
	return store.Token{Rate: store.Rate{Requests: requests, Per: span}}
}

// from answers the gate's question about the address with the same each time.
func from(address *string) func(*Options) {
	return func(o *Options) { o.ClientIP = func(*http.Request) string { return *address } }
}

func TestAllowList(t *testing.T) {
	address := ""
	w := openWorld(t, from(&address))
	for _, tt := range []struct {
		name     string
		networks []string
		address  string
		passes   bool
	}{
		{"no list", nil, "198.51.100.7", true},
		{"no list, no address", nil, "", true},
		{"inside", []string{"192.0.2.0/24"}, "192.0.2.255", true},
		{"outside", []string{"192.0.2.0/24"}, "192.0.3.0", false},
		{"in the second", []string{"192.0.2.0/24", "198.51.100.7/32"}, "198.51.100.7", true},
		{"beside a single address", []string{"198.51.100.7/32"}, "198.51.100.6", false},
		{"IPv4-mapped IPv6 is IPv4", []string{"192.0.2.0/24"}, "::ffff:192.0.2.9", true},
		{"IPv4-mapped IPv6 outside", []string{"192.0.2.0/24"}, "::ffff:198.51.100.7", false},
		{"IPv4 is not within all of IPv6", []string{"::/0"}, "192.0.2.9", false},
		{"IPv6 is not within all of IPv4", []string{"0.0.0.0/0"}, "2001:db8::1", false},
		{"IPv6 inside", []string{"2001:db8::/32"}, "2001:db8:ffff::1", true},
		{"IPv6 outside", []string{"2001:db8::/32"}, "2001:db9::1", false},
		{"IPv6 with a zone", []string{"fe80::/10"}, "fe80::1%eth0", true},
		{"no address", []string{"0.0.0.0/0"}, "", false},
		{"address with a port", []string{"0.0.0.0/0"}, "192.0.2.9:1234", false},
		{"list of addresses", []string{"192.0.2.0/24"}, "192.0.2.9, 198.51.100.7", false},
		{"leading zeros", []string{"192.0.2.0/24"}, "192.0.2.009", false},
		{"name", []string{"127.0.0.0/8"}, "localhost", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := w.limited(t, in(tt.networks...), "read:accounts")
			address = tt.address
			if tt.passes {
				w.expect(t, "GET", "/accounts", raw, 200, "")
			} else {
				w.expect(t, "GET", "/accounts", raw, 403, "address_not_allowed")
			}
		})
	}
}

// Whoever stole a token sends whatever headers he likes.
func TestSpoofedAddressHeadersDoNotOpenAnAllowList(t *testing.T) {
	w := openWorld(t, nil)
	token := w.limited(t, in("198.51.100.0/24"), "read:accounts")
	server := w.serve(t, nothing)
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"} {
		value := "198.51.100.7"
		if name == "Forwarded" {
			value = "for=" + value
		}
		resp := raw(t, server, get("/accounts", "Authorization: Bearer "+token, name+": "+value))
		if got := body(t, resp); resp.StatusCode != 403 || !strings.Contains(got, `"code":"address_not_allowed"`) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, got)
		}
	}
}

// Out of place, a token opens no public route less, and no error tells what it
// would open.
func TestWrongAddressIsToldNothingOfScopes(t *testing.T) {
	address := "203.0.113.1"
	w := openWorld(t, from(&address))
	raw := w.limited(t, in("192.0.2.0/24"), "read:market")
	for _, target := range []string{"/accounts", "/desk", "/either"} {
		refusal, _ := w.ask(t, "GET", target, raw)
		if refusal == nil || refusal.Code != CodeAddressNotAllowed || refusal.Missing != nil || refusal.challenge != "" || refusal.Route == nil {
			t.Errorf("%s: %+v", target, refusal)
		}
	}
	w.expect(t, "GET", "/health", raw, 200, "")
	w.revoke(t, raw)
	w.expect(t, "GET", "/accounts", raw, 401, "revoked") // what is dead is dead from anywhere
}

func TestRate(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.limited(t, per(2, time.Hour), "read:accounts")
	other := w.limited(t, per(2, time.Hour), "read:accounts")
	pass := func() { t.Helper(); w.expect(t, "GET", "/accounts", raw, 200, "") }
	refused := func() *Refusal {
		t.Helper()
		refusal, _ := w.ask(t, "GET", "/accounts", raw)
		if refusal == nil || refusal.Status != 429 || refusal.Code != CodeRateLimited {
			t.Fatalf("%+v", refusal)
		}
		return refusal
	}
	pass()
	pass()
	if got := refused().RetryAfter; got <= 29*time.Minute || got > 30*time.Minute {
		t.Errorf("retry after %s", got)
	}
	for range 10 {
		refused() // insisting makes the wait no longer
	}
	w.expect(t, "GET", "/accounts", other, 200, "") // another token's rate is its own
	w.offset.Add(int64(30 * time.Minute))
	pass()
	refused()
	w.offset.Add(int64(10 * time.Hour)) // what was not used is not saved up
	pass()
	pass()
	refused()
}

// The facts of a token are looked up again every few minutes, and a cache may
// forget them at any time: neither gives the rate anew.
func TestForgettingTheFactsDoesNotForgetTheRate(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.limited(t, per(1, 24*time.Hour), "read:accounts")
	w.expect(t, "GET", "/accounts", raw, 200, "")
	for _, forget := range []func(){
		func() { w.forget(t) },
		func() { w.offset.Add(int64(6 * time.Minute)) },
		func() { w.offset.Add(int64(3 * time.Hour)); w.forget(t) },
		func() { w.kill(t, store.KindRights, "alice") },
	} {
		forget()
		w.expect(t, "GET", "/accounts", raw, 429, "rate_limited")
	}
}

func TestRefusedRequestsCostNoRate(t *testing.T) {
	address := "192.0.2.1"
	w := openWorld(t, from(&address))
	limits := in("192.0.2.0/24")
	limits.Rate = store.Rate{Requests: 1, Per: time.Hour}
	raw := w.limited(t, limits, "read:accounts")
	for range 3 {
		w.expect(t, "GET", "/desk", raw, 403, "insufficient_scope")
		w.expect(t, "GET", "/nowhere", raw, 403, "no_route")
		address = "203.0.113.1"
		w.expect(t, "GET", "/accounts", raw, 403, "address_not_allowed")
		address = "192.0.2.1"
	}
	w.expect(t, "GET", "/health", raw, 200, "") // public: the token is not asked for
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.expect(t, "GET", "/desk", raw, 403, "insufficient_scope") // and not 429: it tells nothing of the rate
	w.expect(t, "GET", "/accounts", raw, 429, "rate_limited")
}

// A policy that is swapped makes the gate decide again. The request is still one.
func TestPolicySwapCountsARequestOnce(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.limited(t, per(2, time.Hour), "read:accounts")
	w.afterJoin = func() { w.afterJoin = nil; w.rules.Store(loadPolicy(t, testPolicy)) }
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.expect(t, "GET", "/accounts", raw, 200, "")
	w.expect(t, "GET", "/accounts", raw, 429, "rate_limited")
}

func TestRaceForTheRateHasExactlySoManyWinners(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.limited(t, per(20, 24*time.Hour), "read:accounts")
	var passed, limited atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				r := httptest.NewRequest("GET", "/accounts", nil)
				r.Header.Set("Authorization", "Bearer "+raw)
				switch err := w.ServeHTTP(httptest.NewRecorder(), r, nothing).(type) { //nolint:errorlint // exactly this is promised
				case nil:
					passed.Add(1)
				case *Refusal:
					if err.Status == 429 {
						limited.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 20 || limited.Load() != 60 {
		t.Errorf("%d passed and %d were refused", passed.Load(), limited.Load())
	}
}

func TestRateLimitHeaders(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Add("RateLimit", `"upstream";r=7;t=1`)
		return nil
	}))
	ask := func(path, token string) *http.Response {
		t.Helper()
		return raw(t, server, get(path, "Authorization: Bearer "+token))
	}
	want := func(resp *http.Response, status int, policy, limit, retry string) {
		t.Helper()
		own := strings.TrimSuffix(strings.Join(resp.Header.Values("RateLimit"), ", "), `, "upstream";r=7;t=1`)
		if resp.StatusCode != status || resp.Header.Get("RateLimit-Policy") != policy || own != limit || resp.Header.Get("Retry-After") != retry {
			t.Errorf("%d %v\nwant %d %s %s %s", resp.StatusCode, resp.Header, status, policy, limit, retry)
		}
	}
	raw := w.limited(t, per(2, 1000*time.Hour), "read:accounts")
	const policyField = `"token";q=2;w=3600000`
	want(ask("/accounts", raw), 200, policyField, `"token";r=1;t=1800000`, "")
	last := ask("/accounts", raw)
	if got := last.Header.Get("RateLimit"); last.StatusCode != 200 || !strings.HasPrefix(got, `"token";r=0;t=`) {
		t.Errorf("%d %v", last.StatusCode, last.Header)
	}
	refused := ask("/accounts", raw)
	retry := refused.Header.Get("Retry-After")
	want(refused, 429, policyField, `"token";r=0;t=`+retry, retry)
	if got := body(t, refused); got != `{"type":"https://as.test/problems/rate-limited","title":"The token is used too often","status":429,"code":"rate_limited","detail":"The token is good for 2 requests in 3600000 s.","request_id":"req-1"}`+"\n" {
		t.Errorf("body %s", got)
	}
	want(ask("/desk", raw), 403, "", "", "")
	want(ask("/accounts", w.limited(t, store.Token{}, "read:accounts")), 200, "", `"upstream";r=7;t=1`, "")
	want(ask("/accounts", w.mint(t)), 200, "", `"upstream";r=7;t=1`, "")
}

func TestUseIsRecordedToTheMinute(t *testing.T) {
	address := "192.0.2.1"
	w := openWorld(t, from(&address))
	raw := w.limited(t, in("192.0.2.0/24"), "read:accounts")
	lease, err := w.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	used := func() (at time.Time) {
		t.Helper()
		if err := w.authority.RecordUses(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.store.View(context.Background(), func(tx store.Reader) error {
			rows, err := tx.TokensOf(store.Sandbox, lease.Grant)
			at = rows[0].Used
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return at
	}
	w.expect(t, "GET", "/desk", raw, 403, "insufficient_scope")
	address = "203.0.113.1"
	w.expect(t, "GET", "/accounts", raw, 403, "address_not_allowed")
	address = "192.0.2.1"
	if at := used(); !at.IsZero() {
		t.Errorf("a refused request is a use, at %s", at)
	}
	before := w.now()
	w.expect(t, "GET", "/accounts", raw, 200, "")
	first := used()
	if first.Before(before.Truncate(time.Microsecond)) || first.After(w.now()) {
		t.Errorf("used at %s, not after %s", first, before)
	}
	w.offset.Add(int64(time.Hour))
	w.expect(t, "GET", "/accounts", raw, 200, "")
	if again := used(); again.Sub(first) < time.Hour {
		t.Errorf("used at %s and again at %s", first, again)
	}
}

func TestCheckOfALimitedTokenAllocatesNothing(t *testing.T) {
	w := openWorld(t, nil)
	limits := in("198.51.100.0/24", "192.0.2.0/24") // of httptest's clients
	limits.Rate = store.Rate{Requests: 1_000_000, Per: 24 * time.Hour}
	raw := w.limited(t, limits, everyScope...)
	r := httptest.NewRequest("POST", "/accounts/42/orders?symbol=BTC-USD", nil)
	r.Header = usualHeader("Bearer " + raw)
	w.warm(t, raw)
	if n := testing.AllocsPerRun(1000, func() { w.checkOnce(t, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheckPersonal(b *testing.B) {
	w := openWorld(b, nil)
	limits := in("192.0.2.0/24")
	limits.Rate = store.Rate{Requests: 1_000_000_000, Per: time.Second}
	for name, raw := range map[string]string{
		"unlimited": w.limited(b, store.Token{}, everyScope...),
		"limited":   w.limited(b, limits, everyScope...),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("POST", "/accounts/42/orders", nil)
			r.Header = usualHeader("Bearer " + raw)
			w.warm(b, raw)
			b.ReportAllocs()
			for b.Loop() {
				w.checkOnce(b, r)
			}
		})
	}
}
