package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// keep is the memory of what has ended. Grants made by world.issue end after
// their tokens' hour.
const (
	keep    = 24 * time.Hour
	hourEnd = time.Hour + keep
)

func collecting(after time.Duration) store.Collect {
	return store.Collect{Environment: env, Now: now.Add(after), Keep: keep, Limit: 3}
}

// collect deletes batch by batch what is over by then, and sums up.
func (w *world) collect(after time.Duration) (sum store.Collected) {
	w.Helper()
	for more := true; more; {
		done, err := w.Collect(w.ctx, collecting(after))
		w.must(err)
		if n := done.Revocations + done.Tokens + done.Grants + done.Sessions + done.Copies + done.Deliveries; n > 3 {
			w.Fatalf("%d rows in a batch of 3", n)
		}
		sum.Revocations += done.Revocations
		sum.Tokens += done.Tokens
		sum.Grants += done.Grants
		sum.Sessions += done.Sessions
		sum.Copies += done.Copies
		sum.Deliveries += done.Deliveries
		more = done.More
	}
	return sum
}

// gone asserts that a grant is not on file.
func (w *world) gone(id string) {
	w.Helper()
	w.view(func(r store.Reader) error {
		_, err := r.Grant(env, id)
		w.fails(err, store.ErrNotFound)
		return nil
	})
}

// live gives a successor a month.
func live(r *store.Renew) { r.Successor.Expires = now.Add(31 * 24 * time.Hour) }

var collectCases = []testCase{
	{"what has just ended stays", func(w *world) {
		w.issue("g", full)
		_, err := w.redeem("g")
		w.must(err)
		for _, after := range []time.Duration{0, time.Hour, hourEnd - time.Millisecond} {
			w.equal("collected", w.collect(after), store.Collected{})
		}
		w.grant("g")
		_, err = w.renew("redeemed g", "next")
		w.must(err)
	}},
	{"ended grant goes with all that was below it", func(w *world) {
		w.issue("g", full, part)
		_, err := w.redeem("g")
		w.must(err)
		w.equal("collected", w.collect(hourEnd), store.Collected{Tokens: 2, Grants: 1})
		w.gone("g")
		_, err = w.redeem("g")
		w.fails(err, store.ErrNotFound)
		_, err = w.renew("token g", "next")
		w.fails(err, store.ErrNotFound)
		w.issue("g", full, part) // nothing is in its way
	}},
	{"code that nobody came for", func(w *world) {
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("g", full),
			Code: &store.Code{Hash: hash("code g"), KeyID: "k1", Expires: now.Add(time.Minute)}})
		w.must(err)
		w.equal("early", w.collect(keep), store.Collected{})
		w.equal("late", w.collect(keep+time.Minute), store.Collected{Grants: 1})
		w.gone("g")
	}},
	{"old links of a living family go, the family lives", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second", live, renewAfter(30*time.Minute))
		w.must(err)
		w.equal("collected", w.collect(hourEnd), store.Collected{Tokens: 1})
		_, err = w.renew("token g", "stolen", renewAfter(hourEnd))
		w.fails(err, store.ErrNotFound)
		_, err = w.renew("second", "third", live, renewAfter(hourEnd))
		w.must(err)
	}},
	{"reuse is remembered", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second", live)
		w.must(err)
		w.collect(hourEnd - time.Millisecond)
		_, err = w.renew("token g", "stolen", renewAfter(hourEnd))
		w.fails(err, store.ErrReused)
	}},
	{"reuse of a link that outlived its successor", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "long", live)
		w.must(err)
		_, err = w.renew("long", "short", func(r *store.Renew) { r.Successor.Expires = now.Add(time.Minute) })
		w.must(err)
		_, err = w.renew("short", "head", live)
		w.must(err)
		w.equal("collected", w.collect(keep+time.Minute), store.Collected{Tokens: 1})
		_, err = w.renew("long", "stolen", renewAfter(keep+time.Minute))
		w.fails(err, store.ErrReused)
		_, err = w.renew("head", "next")
		w.fails(err, store.ErrRevoked)
	}},
	{"replayed code kills a living family however old it is", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		_, err = w.renew("redeemed g", "second", live)
		w.must(err)
		w.collect(20 * keep)
		_, err = w.redeem("g", redeemAfter(20*keep))
		w.fails(err, store.ErrReplayed)
		_, err = w.renew("second", "third", renewAfter(20*keep))
		w.fails(err, store.ErrRevoked)
	}},
	{"permanent token keeps its grant, revoked or not", func(w *world) {
		personal := refresh("personal")
		personal.Class, personal.Expires = store.Personal, time.Time{}
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("g", full), Tokens: []store.Token{personal, refresh("token g")}})
		w.must(err)
		w.equal("collected", w.collect(10*365*24*time.Hour), store.Collected{Tokens: 1})
		w.kill(store.KindGrant, "g")
		w.equal("collected", w.collect(20*365*24*time.Hour), store.Collected{})
		_, st, err := w.TokenByHash(w.ctx, env, hash("personal"))
		w.must(err)
		w.equal("dead", st.Dead(), true)
	}},
	{"grant with an end of its own", func(w *world) {
		for _, id := range []string{"kept", "revoked"} {
			g := grant(id)
			g.Expires = now.Add(100 * 24 * time.Hour)
			w.issueTo(g)
		}
		w.kill(store.KindGrant, "revoked")
		w.equal("after the tokens", w.collect(hourEnd), store.Collected{Tokens: 2, Grants: 1})
		w.gone("revoked")
		w.equal("before its end", w.collect(100*24*time.Hour+keep-time.Second), store.Collected{})
		w.equal("at its end", w.collect(100*24*time.Hour+keep), store.Collected{Grants: 1})
	}},
	{"revoked grant is remembered", func(w *world) {
		w.issue("g")
		rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: "g", Reason: "test",
			At: now.Add(20 * time.Hour), Expires: now.Add(20 * time.Hour).Add(time.Minute)}
		_, err := w.Revoke(w.ctx, rev, store.Event{})
		w.must(err)
		w.equal("tokens and the log", w.collect(hourEnd), store.Collected{Revocations: 1, Tokens: 1})
		again, err := w.Revoke(w.ctx, rev, store.Event{})
		w.must(err)
		w.equal("revoked", again.At, rev.At)
		w.equal("told", len(w.told()), 1)
		w.equal("the grant", w.collect(20*time.Hour+keep), store.Collected{Grants: 1})
	}},
	{"revocations go when they expire, numbers stay", func(w *world) {
		_, before := w.snapshot()
		epoch := w.kill(store.KindPrincipal, ann)
		_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: store.KindToken, Target: "jti",
			At: now, Expires: now.Add(time.Hour)}, store.Event{})
		w.must(err)
		lasting := w.kill(store.KindToken, "for ever")
		_, behind := w.snapshot()
		w.equal("early", w.collect(time.Hour-time.Millisecond), store.Collected{})
		w.equal("in time", w.collect(time.Hour), store.Collected{Revocations: 1})
		w.equal("much later", w.collect(10*365*24*time.Hour), store.Collected{})
		revs, _ := w.snapshot()
		w.equal("the log", revs, []store.Revocation{epoch, lasting})
		revs, _, err = w.Tail(w.ctx, before)
		w.must(err)
		w.equal("the tail", revs, []store.Revocation{epoch, lasting})
		_, _, err = w.Tail(w.ctx, behind)
		w.must(err)
	}},
	{"token stays dead after the log forgot it", func(w *world) {
		w.issue("g")
		rev := store.Revocation{Environment: env, Kind: store.KindToken, Target: "id-token g", At: now, Expires: now.Add(time.Minute)}
		_, err := w.Revoke(w.ctx, rev, store.Event{})
		w.must(err)
		w.equal("collected", w.collect(time.Minute), store.Collected{Revocations: 1})
		again := rev
		again.At = now.Add(time.Minute)
		got, err := w.Revoke(w.ctx, again, store.Event{})
		w.must(err)
		w.equal("revoked", got.At, now)
		w.equal("told", len(w.told()), 1)
		_, err = w.renew("token g", "second", renewAfter(time.Minute))
		w.fails(err, store.ErrRevoked)
	}},
	{"batches have a limit and an end", func(w *world) {
		for i := range 5 {
			w.issue(fmt.Sprintf("g%d", i), full, part)
			_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: store.KindToken, Target: fmt.Sprint(i),
				At: now, Expires: now.Add(time.Hour)}, store.Event{})
			w.must(err)
		}
		done, err := w.Collect(w.ctx, collecting(hourEnd))
		w.must(err)
		w.equal("first batch", done.More, true)
		rest := w.collect(hourEnd)
		w.equal("all", []int{done.Revocations + rest.Revocations, done.Tokens + rest.Tokens, done.Grants + rest.Grants}, []int{5, 5, 5})
	}},
	{"other environment is untouched", func(w *world) {
		w.populate(store.Production)
		w.issue("g")
		other := grant("g")
		other.Environment = store.Production
		_, err := w.Issue(w.ctx, store.Issue{Grant: other, Tokens: []store.Token{refresh("token g")}})
		w.must(err)
		rev := store.Revocation{Environment: store.Production, Kind: store.KindToken, Target: "jti", At: now, Expires: now.Add(time.Hour)}
		_, err = w.Revoke(w.ctx, rev, store.Event{})
		w.must(err)
		w.equal("collected", w.collect(100*keep), store.Collected{Tokens: 1, Grants: 1})
		_, _, err = w.TokenByHash(w.ctx, store.Production, hash("token g"))
		w.must(err)
		w.logged(rev)
	}},
	{"audit trail and the hook don't notice", func(w *world) {
		w.issue("g")
		before := w.audit()
		w.collect(hourEnd)
		w.equal("audit", w.audit(), before)
		w.equal("told", len(w.told()), 0)
	}},
	{"collecting without an instant or a limit", func(w *world) {
		for _, req := range []store.Collect{{Environment: env, Limit: 1}, {Environment: env, Now: now}} {
			_, err := w.Collect(w.ctx, req)
			if err == nil || errors.Is(err, store.ErrUnavailable) {
				w.Errorf("%+v: %v", req, err)
			}
		}
	}},
}
