package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func reused(at time.Time) store.Revocation {
	return store.Revocation{
		Environment: env, Kind: store.KindGrant, Target: "g", At: at, Expires: at.Add(retain), Reason: "refresh_reused",
	}
}

// rotated makes a family of three: token g, second, third.
func rotated(w *world) {
	w.Helper()
	w.issue("g", full)
	_, err := w.renew("token g", "second")
	w.must(err)
	_, err = w.renew("second", "third")
	w.must(err)
}

func secrets(chain []store.Token) (ids []string) {
	for _, t := range chain {
		ids = append(ids, t.ID)
	}
	return ids
}

var renewCases = []testCase{
	{"head gets a successor", func(w *world) {
		issued := w.issue("g", full)
		r, err := w.renew("token g", "second", renewAfter(time.Second))
		w.must(err)
		w.equal("retried", r.Retried, false)
		w.equal("standing", r.Standing, issued)
		w.equal("presented", r.Chain[0], w.token("token g"))
		w.equal("head", *r.Head(), w.token("second"))
		w.equal("successor", r.Chain[0].Successor, hash("second"))
		w.equal("rotated", r.Chain[0].Rotated, now.Add(time.Second))
		w.equal("grant", r.Head().Grant, "g")
	}},
	{"lost answer is repeated", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second")
		w.must(err)
		r, err := w.renew("token g", "unused", renewAfter(30*time.Second))
		w.must(err)
		w.equal("retried", r.Retried, true)
		w.equal("chain", secrets(r.Chain), []string{"id-token g", "id-second"})
		w.equal("head", r.Head().Head(), true)
		_, _, err = w.TokenByHash(w.ctx, env, hash("unused"))
		w.fails(err, store.ErrNotFound)
		w.equal("retries are counted beyond the window only", r.Chain[0].Retries, 0)
	}},
	{"retry within the window leads to the head of a longer family", func(w *world) {
		rotated(w)
		r, err := w.renew("token g", "unused", renewAfter(10*time.Second))
		w.must(err)
		w.equal("chain", secrets(r.Chain), []string{"id-token g", "id-second", "id-third"})
	}},
	{"while the successor is unused, three times", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second")
		w.must(err)
		for i := range 3 {
			r, err := w.renew("token g", "unused", renewAfter(10*time.Minute))
			w.must(err)
			w.equal("retries", r.Chain[0].Retries, i+1)
		}
		w.logged()
		_, err = w.renew("token g", "unused", renewAfter(10*time.Minute))
		w.fails(err, store.ErrReused)
		w.logged(reused(now.Add(10 * time.Minute)))
	}},
	{"too late for an unused successor", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second")
		w.must(err)
		_, err = w.renew("token g", "unused", renewAfter(10*time.Minute+time.Millisecond))
		w.fails(err, store.ErrReused)
	}},
	{"reuse kills the grant and the kill is committed", func(w *world) {
		rotated(w)
		_, err := w.renew("token g", "unused", renewAfter(31*time.Second))
		w.fails(err, store.ErrReused)
		w.logged(reused(now.Add(31 * time.Second)))
		w.equal("reason", w.grant("g").Reason, "refresh_reused")
		_, err = w.renew("third", "fourth")
		w.fails(err, store.ErrRevoked)
		_, err = w.renew("token g", "unused", renewAfter(32*time.Second))
		w.fails(err, store.ErrRevoked) // dead already: no second row
		w.logged(reused(now.Add(31 * time.Second)))
	}},
	{"reuse of an expired token", func(w *world) {
		rotated(w)
		_, err := w.renew("token g", "unused", renewAfter(2*time.Hour))
		w.fails(err, store.ErrReused)
	}},
	{"strict rule takes every second use for reuse", func(w *world) {
		w.issue("g")
		strict := func(r *store.Renew) { r.Retry = store.RetryRule{} }
		_, err := w.renew("token g", "second", strict)
		w.must(err)
		_, err = w.renew("token g", "unused", strict)
		w.fails(err, store.ErrReused)
	}},
	{"another client changes nothing", func(w *world) {
		rotated(w)
		stolen := func(r *store.Renew) { r.Client = thief }
		for _, secret := range []string{"token g", "third"} {
			_, err := w.renew(secret, "stolen", stolen, renewAfter(time.Minute))
			w.fails(err, store.ErrOtherClient)
		}
		w.logged()
		_, err := w.renew("third", "fourth")
		w.must(err)
	}},
	{"unknown token, and one of another class", func(w *world) {
		_, err := w.renew("nothing", "x")
		w.fails(err, store.ErrNotFound)
		personal := refresh("personal")
		personal.Class = store.Personal
		_, err = w.Issue(w.ctx, store.Issue{Grant: grant("g"), Tokens: []store.Token{personal}})
		w.must(err)
		_, err = w.renew("personal", "x")
		w.fails(err, store.ErrNotFound)
	}},
	{"expired token", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second", renewAfter(time.Hour))
		w.fails(err, store.ErrExpired)
		_, err = w.renew("token g", "second", renewAfter(time.Hour-time.Second))
		w.must(err)
	}},
	{"retry of an expired token, and for an expired head", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second", renewAfter(time.Hour-time.Second))
		w.must(err)
		_, err = w.renew("token g", "unused", renewAfter(time.Hour))
		w.fails(err, store.ErrExpired)
		w.issue("h")
		_, err = w.renew("token h", "short", func(r *store.Renew) { r.Successor.Expires = now.Add(time.Second) })
		w.must(err)
		_, err = w.renew("token h", "unused", renewAfter(time.Second))
		w.fails(err, store.ErrExpired)
		w.logged()
	}},
	{"revoked by itself", func(w *world) {
		w.issue("g")
		w.kill(store.KindToken, "id-token g")
		_, err := w.renew("token g", "second")
		w.fails(err, store.ErrRevoked)
	}},
	{"head revoked by itself", func(w *world) {
		w.issue("g")
		_, err := w.renew("token g", "second")
		w.must(err)
		w.kill(store.KindToken, "id-second")
		_, err = w.renew("token g", "unused")
		w.fails(err, store.ErrRevoked)
	}},
	{"killed since", func(w *world) {
		w.issue("g", full)
		w.kill(store.KindAccount, full)
		_, err := w.renew("token g", "second")
		w.fails(err, store.ErrRevoked)
	}},
	{"fifty at once have one head", func(w *world) {
		w.issue("g")
		heads := make([]store.Hash, 50)
		retried := make([]bool, 50)
		errs := race(50, func(i int) error {
			r, err := w.renew("token g", fmt.Sprintf("racer %d", i))
			if err == nil {
				heads[i], retried[i] = r.Head().Hash, r.Retried
			}
			return err
		})
		first := 0
		for i, err := range errs {
			w.must(err)
			w.equal("head", heads[i], heads[0])
			if !retried[i] {
				first++
			}
		}
		w.equal("rotations", first, 1)
	}},
}
