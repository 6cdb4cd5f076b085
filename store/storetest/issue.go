package storetest

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var issueCases = []testCase{
	{"grant stands on its parties", func(w *world) {
		st := w.issue("g", part, full)
		want := grant("g", part, full)
		w.equal("grant", st.Grant, want)
		w.equal("grant on file", w.grant("g"), want)
		w.equal("principal", st.Principal, principal(env))
		w.equal("client", st.Client, client(env, app))
		w.equal("accounts", len(st.Accounts), 2)
		w.equal("first account", st.Accounts[0].Account, account(env, part))
		w.equal("its scopes", st.Accounts[0].Binding.Scopes, []string{"read"})
		w.equal("second access", st.Accounts[1].Binding.Access, store.Full)
	}},
	{"token is found by its hash alone", func(w *world) {
		issued := w.issue("g", full)
		want := refresh("token g")
		want.Grant = "g"
		token, st, err := w.TokenByHash(w.ctx, env, hash("token g"))
		w.must(err)
		w.equal("token", token, want)
		w.equal("standing", st, issued)
		_, _, err = w.TokenByHash(w.ctx, env, hash("token of nobody"))
		w.fails(err, store.ErrNotFound)
	}},
	{"several tokens at once", func(w *world) {
		personal := refresh("forever")
		personal.Class, personal.Expires = store.Personal, time.Time{}
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("g"), Tokens: []store.Token{refresh("hour"), personal}})
		w.must(err)
		w.equal("permanent", w.token("forever").Expires.IsZero(), true)
		w.view(func(r store.Reader) error {
			tokens, err := r.TokensOf(env, "g")
			w.equal("tokens of the grant", len(tokens), 2)
			return err
		})
	}},
	{"unbound and disabled accounts carry nothing", func(w *world) {
		st := w.issue("g", full, hidden, part)
		w.equal("asked for", st.Grant.Accounts, []string{full, hidden, part})
		w.equal("usable", len(st.Accounts), 2)
		off := account(env, full)
		off.Status = store.Disabled
		w.update(func(x store.Writer) error { return x.PutAccount(off) })
		_, st, err := w.TokenByHash(w.ctx, env, hash("token g"))
		w.must(err)
		w.equal("usable now", len(st.Accounts), 1)
		w.equal("left", st.Accounts[0].Account.ID, part)
	}},
	{"unknown parties", func(w *world) {
		for _, change := range []func(*store.Grant){
			func(g *store.Grant) { g.Principal = "nobody" },
			func(g *store.Grant) { g.Client = "nothing" },
			func(g *store.Grant) { g.Accounts = []string{full, "404"} },
		} {
			g := grant("g")
			change(&g)
			_, err := w.Issue(w.ctx, store.Issue{Grant: g})
			w.fails(err, store.ErrNotFound)
		}
		w.issue("g") // nothing of those is left
	}},
	{"disabled parties", func(w *world) {
		w.disable(app, store.Disabled)
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("g")})
		w.fails(err, store.ErrRevoked)
		w.disable(app, store.Active)
		off := principal(env)
		off.Status = store.Disabled
		w.update(func(x store.Writer) error { return x.PutPrincipal(off) })
		_, err = w.Issue(w.ctx, store.Issue{Grant: grant("g")})
		w.fails(err, store.ErrRevoked)
	}},
	{"the same id, code or token twice", func(w *world) {
		w.issue("g")
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("g")})
		w.fails(err, store.ErrExists)
		_, err = w.Issue(w.ctx, store.Issue{Grant: grant("h"), Code: &store.Code{Hash: hash("code g"), Expires: now}})
		w.fails(err, store.ErrExists)
		_, err = w.Issue(w.ctx, store.Issue{Grant: grant("h"), Tokens: []store.Token{refresh("token g")}})
		w.fails(err, store.ErrExists)
		w.issue("h") // the failures left no half of it
	}},
	{"environments are separate", func(w *world) {
		w.populate(store.Production)
		w.issue("g")
		_, _, err := w.TokenByHash(w.ctx, store.Production, hash("token g"))
		w.fails(err, store.ErrNotFound)
		_, err = w.redeem("g", func(r *store.Redeem) { r.Environment = store.Production })
		w.fails(err, store.ErrNotFound)
		_, err = w.renew("token g", "x", func(r *store.Renew) { r.Environment = store.Production })
		w.fails(err, store.ErrNotFound)
		other := grant("g")
		other.Environment = store.Production
		w.issueTo(other) // the same ids, code and token
		_, err = w.Revoke(w.ctx, store.Revocation{Environment: store.Production, Kind: store.KindGrant, Target: "g", At: now}, store.Event{})
		w.must(err)
		_, err = w.redeem("g")
		w.must(err)
		_, err = w.redeem("g", func(r *store.Redeem) { r.Environment = store.Production })
		w.fails(err, store.ErrRevoked)
	}},
}
