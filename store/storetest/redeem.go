package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// replayed is the revocation that a replay of g's code brings about.
func replayed(at time.Time) store.Revocation {
	return store.Revocation{
		Environment: env, Kind: store.KindGrant, Target: "g", At: at, Expires: at.Add(retain), Reason: "code_replayed",
	}
}

var redeemCases = []testCase{
	{"winner gets the refresh token", func(w *world) {
		issued := w.issue("g", full)
		st, err := w.redeem("g")
		w.must(err)
		w.equal("standing", st, issued)
		want := refresh("redeemed g")
		want.Grant = "g"
		w.equal("token", w.token("redeemed g"), want)
		w.logged()
	}},
	{"winner without a refresh token", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g", func(r *store.Redeem) { r.Token = store.Token{} })
		w.must(err)
		w.view(func(r store.Reader) error {
			tokens, err := r.TokensOf(env, "g")
			w.equal("tokens", len(tokens), 1)
			return err
		})
	}},
	{"unknown code", func(w *world) {
		_, err := w.redeem("nothing")
		w.fails(err, store.ErrNotFound)
	}},
	{"expired code", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g", redeemAfter(time.Minute))
		w.fails(err, store.ErrExpired)
		_, err = w.redeem("g", redeemAfter(time.Minute-time.Millisecond))
		w.must(err) // nothing had changed
	}},
	{"expired grant", func(w *world) {
		g := grant("g")
		g.Expires = now.Add(time.Second)
		w.issueTo(g)
		_, err := w.redeem("g", redeemAfter(time.Second))
		w.fails(err, store.ErrExpired)
	}},
	{"sent again by the same client within the grace", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		_, err = w.redeem("g", redeemAfter(5*time.Second))
		w.fails(err, store.ErrResent)
		w.logged()
		_, err = w.renew("redeemed g", "next")
		w.must(err)
	}},
	{"replay kills the grant and the kill is committed", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		at := now.Add(6 * time.Second)
		_, err = w.redeem("g", redeemAfter(6*time.Second))
		w.fails(err, store.ErrReplayed)
		w.logged(replayed(at))
		w.equal("revoked", w.grant("g").Revoked, at)
		w.equal("reason", w.grant("g").Reason, "code_replayed")
		_, err = w.renew("redeemed g", "next")
		w.fails(err, store.ErrRevoked)
	}},
	{"replay at once when there is no grace", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		_, err = w.redeem("g", func(r *store.Redeem) { r.ResendGrace, r.Retain = 0, 0 })
		w.fails(err, store.ErrReplayed)
		forever := replayed(now)
		forever.Expires = time.Time{}
		w.logged(forever)
	}},
	{"replay of an old code", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		_, err = w.redeem("g", redeemAfter(time.Hour))
		w.fails(err, store.ErrReplayed)
		w.logged(replayed(now.Add(time.Hour)))
	}},
	{"replay again and again is logged once", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		for i := range 3 {
			_, err = w.redeem("g", redeemAfter(time.Duration(6+i)*time.Second))
			w.fails(err, store.ErrReplayed)
		}
		w.logged(replayed(now.Add(6 * time.Second)))
	}},
	{"another client burns the code", func(w *world) {
		stolen := func(r *store.Redeem) { r.Client = thief }
		w.issue("g")
		_, err := w.redeem("g", stolen)
		w.fails(err, store.ErrOtherClient)
		w.logged()
		_, err = w.redeem("g", stolen)
		w.fails(err, store.ErrOtherClient)
		// Its owner learns that somebody was there before.
		_, err = w.redeem("g")
		w.fails(err, store.ErrReplayed)
		w.logged(replayed(now))
	}},
	{"another client after the winner changes nothing", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		lines := len(w.audit())
		_, err = w.redeem("g", redeemAfter(time.Minute), func(r *store.Redeem) { r.Client = thief })
		w.fails(err, store.ErrOtherClient)
		w.logged()
		w.equal("audit lines", len(w.audit()), lines)
	}},
	{"dead grant leaves the code alone", func(w *world) {
		w.issue("g")
		w.disable(app, store.Disabled)
		_, err := w.redeem("g")
		w.fails(err, store.ErrRevoked)
		w.disable(app, store.Active)
		_, err = w.redeem("g")
		w.must(err)
	}},
	{"killed since it was issued", func(w *world) {
		for _, c := range []struct {
			kind   store.Kind
			target string
		}{{store.KindPrincipal, ann}, {store.KindClient, app}, {store.KindAccount, full}, {store.KindGrant, "grant"}} {
			id := string(c.kind)
			w.issue(id, full)
			w.kill(c.kind, c.target)
			_, err := w.redeem(id)
			w.fails(err, store.ErrRevoked)
		}
	}},
	{"unbound since it was issued", func(w *world) {
		w.issue("g", full, part)
		w.update(func(x store.Writer) error { return x.DeleteBinding(env, ann, full) })
		st, err := w.redeem("g")
		w.must(err)
		w.equal("usable", len(st.Accounts), 1)
		w.equal("consented", st.Grant.Accounts, []string{full, part})
	}},
	{"fifty at once have one winner", func(w *world) {
		w.issue("g")
		errs := race(50, func(i int) error {
			_, err := w.redeem("g", func(r *store.Redeem) { r.Token = refresh(fmt.Sprintf("racer %d", i)) })
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrResent) {
				w.Errorf("a loser got %v", err)
			}
		}
		w.equal("winners", won, 1)
		w.view(func(r store.Reader) error {
			tokens, err := r.TokensOf(env, "g")
			w.equal("tokens", len(tokens), 2)
			return err
		})
	}},
}
