package storetest

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// sealed is the copy that is kept of a token.
func (w *world) sealed(secret string) (copied []byte) {
	w.Helper()
	w.view(func(r store.Reader) error {
		token, err := r.Token(env, "id-"+secret)
		copied = token.Sealed
		return err
	})
	return copied
}

// copies asserts of which tokens there still is a copy.
func (w *world) copies(what string, of map[string]bool) {
	w.Helper()
	for secret, want := range of {
		got := w.sealed(secret)
		if want {
			w.equal(what+": the copy of "+secret, string(got), "sealed "+secret)
		} else {
			w.equal(what+": the copy of "+secret, got, []byte(nil))
		}
	}
}

var copyCases = []testCase{
	{"no list and no flow returns it", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.show("id-a", ann)
		w.view(func(r store.Reader) error {
			ofGrant, err := r.TokensOf(env, "grant a")
			w.must(err)
			ofAccount, err := r.AccountTokens(env, full, store.SharedRefresh)
			w.must(err)
			known, err := r.KnownTokens(env, ann)
			w.must(err)
			for _, token := range []store.Token{ofGrant[0], ofAccount[0].Token, known[0], w.token("a")} {
				w.equal("token", token, listed(tradingToken("a")))
			}
			return nil
		})
		w.copies("by its id", map[string]bool{"a": true})
	}},
	{"destroyed by revocation of the token, or of what it stands on, and no other", func(w *world) {
		for _, c := range []struct {
			kind   store.Kind
			target string
			left   map[string]bool
		}{
			{store.KindToken, "id-token a", map[string]bool{"token a": false, "token b": true, "token c": true}},
			{store.KindGrant, "grant grant a", map[string]bool{"grant a": false, "grant b": true, "grant c": true}},
			{store.KindAccount, full, map[string]bool{"account a": false, "account b": false, "account c": true}},
			{store.KindPrincipal, full, map[string]bool{"principal a": false, "principal b": false, "principal c": true}},
			{store.KindClient, store.TradingClient, map[string]bool{"client a": false, "client b": false, "client c": false}},
		} {
			w.openTrading()
			kind := string(c.kind)
			w.trade(kind + " a")
			w.trade(kind + " b")
			w.tradeOf(part, kind+" c")
			w.kill(c.kind, c.target)
			w.copies(kind, c.left)
		}
	}},
	{"not destroyed by what kills nothing of it", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.issue("g", part)               // so that all of these have something
		w.kill(store.KindPrincipal, ann) // who made it
		w.kill(store.KindClient, app)
		w.kill(store.KindAccount, part)
		w.kill(store.KindToken, "a jti")
		w.kill(store.KindRights, full)
		w.kill(store.KindClientRights, store.TradingClient)
		w.copies("alive", map[string]bool{"a": true})
	}},
	{"the other environment keeps its own", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.populate(store.Production)
		for _, kind := range []store.Kind{store.KindAccount, store.KindToken} {
			target := map[store.Kind]string{store.KindAccount: full, store.KindToken: "id-a"}[kind]
			_, err := w.Revoke(w.ctx, store.Revocation{Environment: store.Production, Kind: kind, Target: target, At: now}, store.Event{})
			w.must(err)
		}
		w.copies("alive", map[string]bool{"a": true})
	}},
	{"destroyed when a replay or a reuse kills the grant", func(w *world) {
		for _, id := range []string{"replay", "reuse"} {
			_, err := w.Issue(w.ctx, store.Issue{
				Grant: grant(id, full), Code: &store.Code{Hash: hash("code " + id), KeyID: "k1", Expires: now.Add(time.Minute)},
				Tokens: []store.Token{tradingToken(id), refresh("first " + id)},
			})
			w.must(err)
		}
		_, err := w.redeem("replay")
		w.must(err)
		_, err = w.renew("first reuse", "second")
		w.must(err)
		w.copies("before", map[string]bool{"replay": true, "reuse": true})
		_, err = w.redeem("replay", redeemAfter(time.Minute))
		w.fails(err, store.ErrReplayed)
		_, err = w.renew("first reuse", "third", renewAfter(time.Hour))
		w.fails(err, store.ErrReused)
		w.copies("afterwards", map[string]bool{"replay": false, "reuse": false})
	}},
	{"kept if the revocation is taken back with its transaction", func(w *world) {
		w.openTrading()
		w.trade("a")
		err := w.Update(w.ctx, func(x store.Writer) error {
			if _, err := x.Revoke(store.Revocation{Environment: env, Kind: store.KindAccount, Target: full, At: now}); err != nil {
				return err
			}
			return errChangedMyMind
		})
		w.fails(err, errChangedMyMind)
		w.copies("alive", map[string]bool{"a": true})
		w.update(func(x store.Writer) error {
			_, err := x.Revoke(store.Revocation{Environment: env, Kind: store.KindAccount, Target: full, At: now})
			return err
		})
		w.copies("dead", map[string]bool{"a": false})
	}},
	{"destroyed as soon as the token has expired", func(w *world) {
		w.openTrading()
		for _, secret := range []string{"a", "b", "c", "d"} { // more than a batch
			w.trade(secret)
		}
		w.trade("longer", func(t *store.Token) { t.Expires = now.Add(2 * year) })
		w.trade("permanent", func(t *store.Token) { t.Expires = time.Time{} })
		w.equal("too early", w.collect(year-time.Millisecond), store.Collected{})
		w.equal("in time", w.collect(year), store.Collected{Copies: 4})
		w.copies("expired", map[string]bool{"a": false, "b": false, "c": false, "d": false, "longer": true, "permanent": true})
		w.equal("still on file", w.token("a"), listed(tradingToken("a")))
		w.equal("once", w.collect(year), store.Collected{})
		done, err := w.Collect(w.ctx, store.Collect{Environment: store.Production, Now: now.Add(3 * year), Keep: keep, Limit: 9})
		w.must(err)
		w.equal("in the other environment", done, store.Collected{})
	}},
}
