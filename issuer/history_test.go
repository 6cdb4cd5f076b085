package issuer

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/storetest"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// said turns an answer of the token endpoint back into the store's words.
func said(t testing.TB, a *answer) error {
	t.Helper()
	if a.status == http.StatusOK {
		return nil
	}
	a.wantError(t, http.StatusBadRequest, "invalid_grant")
	for words, fact := range map[string]error{
		"redeemed a moment ago": store.ErrResent, "redeemed before": store.ErrReplayed,
		"is not valid": store.ErrNotFound, "was revoked": store.ErrRevoked, "used before": store.ErrReused,
	} {
		if strings.Contains(a.field(t, "error_description"), words) {
			return fact
		}
	}
	t.Errorf("unexpected %s", a.body)
	return nil
}

// recorder sends requests on many connections and keeps the history.
type recorder struct {
	*bank
	storetest.History
}

func (r *recorder) redeem(name, code string, now time.Time) (got pair) {
	r.Call(storetest.Asked{Grant: name, Verb: storetest.Redeem, Client: botID, Now: now}, func() any {
		a := r.do(redeemCall(code))
		err := said(r, a)
		if err == nil {
			got = r.pairOf(a)
		}
		return storetest.Answer{Token: got.refresh, Err: err}
	})
	return got
}

func (r *recorder) renew(name, refresh string, now time.Time) (head string) {
	r.Call(storetest.Asked{Grant: name, Verb: storetest.Renew, Client: botID, Token: refresh, Now: now}, func() any {
		a := r.do(refreshCall(refresh))
		err := said(r, a)
		if err == nil {
			head = r.pairOf(a).refresh
		}
		return storetest.Answer{Token: head, Err: err}
	})
	return head
}

// ask presents an access token as to a gate.
func (r *recorder) ask(name, access string) {
	r.Call(storetest.Asked{Grant: name, Verb: storetest.Judge}, func() any {
		if r.judge(access) == token.Live {
			return storetest.Answer{}
		}
		return storetest.Answer{Err: store.ErrRevoked}
	})
}

// Several programs redeem the same few codes over the network, again and again:
// each code is won at most once, a replay after the grace ends all that the
// winner got, and nobody is answered what no order of the calls explains.
func TestConcurrentRedemptionOverHTTP(t *testing.T) {
	const codes, callers = 5, 6
	r := &recorder{bank: newBank(t, nil)}
	raw := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e"}[:codes] {
		raw[name] = r.code()
	}
	var mu sync.Mutex
	won := map[string]pair{}
	winner := func(name string) pair {
		mu.Lock()
		defer mu.Unlock()
		return won[name]
	}
	// The second round is within the grace, the third one is not.
	for _, pass := range []time.Duration{0, resendGrace, time.Second} {
		r.clock.advance(pass)
		now := r.clock.Now()
		var round sync.WaitGroup
		for caller := range callers * codes {
			name := string(rune('a' + caller%codes))
			round.Go(func() {
				if got := r.redeem(name, raw[name], now); got.refresh != "" {
					mu.Lock()
					won[name] = got
					mu.Unlock()
				}
				if got := winner(name); got.refresh != "" {
					r.ask(name, got.access)
					r.renew(name, got.refresh, now)
				}
			})
		}
		round.Wait()
	}
	r.Check(t, storetest.CodeModel(botID, resendGrace))
	if n := r.Count(store.ErrReplayed); n != codes*callers {
		t.Errorf("%d answers of the last round say that the code was replayed, want all %d", n, codes*callers)
	}
	for name, got := range won {
		r.wantVerdict(got.access, token.Revoked)
		r.do(refreshCall(got.refresh)).wantError(t, http.StatusBadRequest, "invalid_grant")
		delete(raw, name)
	}
	if len(raw) != 0 {
		t.Errorf("nobody won %v", raw)
	}
}

// Several programs renew with one token at once: they get one and the same
// successor, and one that comes with it long afterwards ends them all.
func TestConcurrentRenewalOverHTTP(t *testing.T) {
	r := &recorder{bank: newBank(t, nil)}
	first := r.tokens().refresh
	for _, pass := range []time.Duration{0, confidentialRetry.Window, confidentialRetry.UnusedWindow} {
		r.clock.advance(pass)
		now := r.clock.Now()
		var round sync.WaitGroup
		for range 6 {
			round.Go(func() {
				if head := r.renew("family", first, now); head != "" {
					r.renew("family", head, now)
				}
			})
		}
		round.Wait()
	}
	r.Check(t, storetest.FamilyModel(func(string) string { return first }, confidentialRetry.Window))
	if n := r.Count(store.ErrReused); n != 1 {
		t.Errorf("%d answers say that the token was used before, want 1", n)
	}
}
