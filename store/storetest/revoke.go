package storetest

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var revokeCases = []testCase{
	{"grant dies once", func(w *world) {
		w.issue("g")
		rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: "g", At: now, Expires: now.Add(retain), Reason: "by hand"}
		got, err := w.Revoke(w.ctx, rev, store.Event{})
		w.must(err)
		w.equal("revocation", got, rev)
		again := rev
		again.At, again.Reason = now.Add(time.Hour), "again"
		got, err = w.Revoke(w.ctx, again, store.Event{})
		w.must(err)
		w.equal("second answer", got, rev)
		w.logged(rev)
		w.equal("reason", w.grant("g").Reason, "by hand")
		_, st, err := w.TokenByHash(w.ctx, env, hash("token g"))
		w.must(err)
		w.equal("dead", st.Dead(), true)
	}},
	{"token with a row dies once", func(w *world) {
		w.issue("g")
		rev := w.kill(store.KindToken, "id-token g")
		w.equal("revoked", w.token("token g").Revoked, now)
		w.kill(store.KindToken, "id-token g")
		w.logged(rev)
	}},
	{"token without a row is logged once", func(w *world) {
		rev := w.kill(store.KindToken, "a jti")
		w.equal("second answer", w.kill(store.KindToken, "a jti"), rev)
		w.logged(rev)
	}},
	{"unknown targets", func(w *world) {
		for _, kind := range []store.Kind{
			store.KindGrant, store.KindPrincipal, store.KindClient, store.KindAccount,
			store.KindKey, store.KindRights, store.KindClientRights,
			store.KindRightsGiven, store.KindClientRightsGiven,
		} {
			_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: kind, Target: "nothing", At: now}, store.Event{})
			w.fails(err, store.ErrNotFound)
		}
		w.logged()
	}},
	{"malformed", func(w *world) {
		for _, rev := range []store.Revocation{
			{Environment: env, Kind: "all", Target: ann, At: now},
			{Environment: env, Kind: store.KindPrincipal, Target: ann},
			{Environment: env, Kind: store.KindToken, At: now},
		} {
			if _, err := w.Revoke(w.ctx, rev, store.Event{}); err == nil {
				w.Errorf("%+v was accepted", rev)
			}
		}
		w.logged()
	}},
	{"numbers only rise", func(w *world) {
		w.update(func(x store.Writer) error {
			return x.PutSigningKey(store.SigningKey{Environment: env, ID: "key", Algorithm: "ES256", Sealed: []byte{1}, Created: now})
		})
		last := int64(0)
		var all []store.Revocation
		for _, c := range []struct {
			kind   store.Kind
			target string
		}{
			{store.KindPrincipal, ann}, {store.KindClient, app}, {store.KindAccount, full}, {store.KindKey, "key"},
			{store.KindRights, ann}, {store.KindClientRights, app}, {store.KindPrincipal, ann},
			{store.KindRightsGiven, ann}, {store.KindClientRightsGiven, app},
		} {
			rev := w.kill(c.kind, c.target)
			if rev.Number <= last {
				w.Fatalf("%s got number %d after %d", c.kind, rev.Number, last)
			}
			last = rev.Number
			all = append(all, rev)
		}
		w.logged(all...)
		w.view(func(r store.Reader) error {
			p, _ := r.Principal(env, ann)
			c, _ := r.Client(env, app)
			a, _ := r.Account(env, full)
			k, err := r.SigningKeys(env)
			got := []int64{p.Epoch, c.Epoch, a.Epoch, k[0].Epoch, p.Rights, c.Rights}
			w.equal("numbers on file", got,
				[]int64{all[6].Number, all[1].Number, all[2].Number, all[3].Number, all[7].Number, all[8].Number})
			return err
		})
	}},
	{"grants made after a kill are alive", func(w *world) {
		w.kill(store.KindPrincipal, ann)
		rev := w.kill(store.KindAccount, full)
		st := w.issue("g", full)
		w.equal("epoch", st.Grant.Epoch, rev.Number)
		w.equal("epoch on file", w.grant("g").Epoch, rev.Number)
		_, err := w.redeem("g")
		w.must(err)
	}},
	{"killed account kills its grants for good, closed or unbound as it is", func(w *world) {
		w.issue("disabled", full, part)
		w.issue("unbound", full, part)
		w.kill(store.KindAccount, full)
		w.update(func(x store.Writer) error {
			closed := account(env, full)
			closed.Status = store.Disabled
			return errors.Join(x.PutAccount(closed), x.DeleteBinding(env, ann, full))
		})
		for _, id := range []string{"disabled", "unbound"} {
			_, err := w.redeem(id)
			w.fails(err, store.ErrRevoked)
		}
	}},
	{"rights kill nothing", func(w *world) {
		w.issue("g")
		rev := w.kill(store.KindRights, ann)
		st, err := w.redeem("g")
		w.must(err)
		w.equal("rights", st.Rights(), rev.Number)
	}},
	{"killed client that is enabled again revives nothing", func(w *world) {
		w.issue("g")
		w.disable(app, store.Disabled)
		w.kill(store.KindClient, app)
		w.disable(app, store.Active)
		_, err := w.redeem("g")
		w.fails(err, store.ErrRevoked)
		_, err = w.renew("token g", "second")
		w.fails(err, store.ErrRevoked)
		w.issue("h")
	}},
	{"failed kill draws no number", func(w *world) {
		first := w.kill(store.KindPrincipal, ann)
		_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: "nobody", At: now}, store.Event{})
		w.fails(err, store.ErrNotFound)
		w.logged(first)
	}},
}
