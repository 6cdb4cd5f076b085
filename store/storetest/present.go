package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// year is how long shared refresh tokens live here.
const year = 365 * 24 * time.Hour

// openTrading puts there what shared refresh tokens of the account full need.
func (w *world) openTrading() {
	w.Helper()
	w.update(func(x store.Writer) error {
		return errors.Join(x.PutPrincipal(trader(full)), x.PutPrincipal(trader(part)), x.PutClient(client(env, store.TradingClient)),
			x.PutBinding(store.Binding{Environment: env, Principal: full, Account: full, Access: store.Full, Source: store.BuiltIn}),
			x.PutBinding(store.Binding{Environment: env, Principal: part, Account: part, Access: store.Full, Source: store.BuiltIn}))
	})
}

// trader is an account that acts for itself.
func trader(id string) store.Principal {
	return store.Principal{Environment: env, ID: id, Kind: store.AccountPrincipal, Status: store.Active, Source: store.BuiltIn, Created: now}
}

// tradingToken is one that ann made. Its grant is named after it.
func tradingToken(secret string) store.Token {
	return store.Token{
		Environment: env, ID: "id-" + secret, Hash: hash(secret), Class: store.SharedRefresh, Grant: "grant " + secret,
		KeyID: "k1", Created: now, Expires: now.Add(year), Creator: ann, Sealed: []byte("sealed " + secret),
	}
}

// trade makes a shared refresh token of the account full.
func (w *world) trade(secret string, change ...func(*store.Token)) {
	w.Helper()
	w.tradeOf(full, secret, change...)
}

func (w *world) tradeOf(account, secret string, change ...func(*store.Token)) {
	w.Helper()
	token := tradingToken(secret)
	for _, c := range change {
		c(&token)
	}
	g := grant(token.Grant, account)
	g.Principal, g.Client, g.Created, g.Expires = account, store.TradingClient, token.Created, token.Expires
	_, err := w.Issue(w.ctx, store.Issue{Grant: g, Tokens: []store.Token{token}})
	w.must(err)
}

// present shows a token after a while.
func (w *world) present(secret string, after time.Duration) (store.Token, store.Standing, error) {
	return w.Present(w.ctx, store.Present{Environment: env, Token: hash(secret), Now: now.Add(after)})
}

// listed is what lists and flows return of a token: everything but the sealed copy.
func listed(token store.Token) store.Token {
	token.Sealed = nil
	return token
}

var presentCases = []testCase{
	{"nothing rotates, everything is audited", func(w *world) {
		w.openTrading()
		w.trade("a")
		lines := len(w.audit())
		for i := range 3 {
			token, st, err := w.present("a", time.Duration(i)*time.Hour)
			w.must(err)
			w.equal("token", token, listed(tradingToken("a")))
			w.equal("principal", st.Principal, trader(full))
			w.equal("client", st.Client.ID, store.TradingClient)
			w.equal("accounts", len(st.Accounts), 1)
			w.equal("account", st.Accounts[0].Account.ID, full)
		}
		w.equal("token on file", w.token("a"), listed(tradingToken("a")))
		w.view(func(r store.Reader) error {
			tokens, err := r.TokensOf(env, "grant a")
			w.equal("tokens", len(tokens), 1)
			return err
		})
		w.equal("audit lines", len(w.audit()), lines+3)
		w.equal("audited", trail(w)[lines], [4]string{"account:" + full, "token.present", "grant:grant a", "ok"})
		_, _, err := w.Present(w.ctx, store.Present{Environment: env, Token: hash("a"), Now: now,
			Event: store.Event{Actor: "account:x", Action: "renew", Address: "192.0.2.1", RequestID: "r"}})
		w.must(err)
		last := w.audit()[0]
		w.equal("caller's words", []string{last.Actor, last.Action, last.Address, last.RequestID}, []string{"account:x", "renew", "192.0.2.1", "r"})
	}},
	{"unknown, of another class, of another environment", func(w *world) {
		w.openTrading()
		w.issue("g", full)
		w.issuePersonal("p", limited("personal"))
		exchanged := limited("exchanged")
		exchanged.Class = store.ExchangeAccess
		w.issuePersonal("e", exchanged)
		lines := len(w.audit())
		for _, secret := range []string{"nothing", "token g", "personal", "exchanged", "code g"} {
			token, st, err := w.present(secret, 0)
			w.fails(err, store.ErrNotFound)
			w.equal("token", token, store.Token{})
			w.equal("standing", st, store.Standing{})
		}
		w.trade("a")
		lines++
		_, _, err := w.Present(w.ctx, store.Present{Environment: store.Production, Token: hash("a"), Now: now})
		w.fails(err, store.ErrNotFound)
		w.equal("audit lines", len(w.audit()), lines)
	}},
	{"a shared token is no other token", func(w *world) {
		w.openTrading()
		w.trade("a")
		_, err := w.renew("a", "next", func(r *store.Renew) { r.Client = store.TradingClient })
		w.fails(err, store.ErrNotFound)
		_, _, err = w.present("a", 0)
		w.must(err)
	}},
	{"expired", func(w *world) {
		w.openTrading()
		w.trade("a")
		_, _, err := w.present("a", year-time.Millisecond)
		w.must(err)
		_, _, err = w.present("a", year)
		w.fails(err, store.ErrExpired)
		g := grant("short", full)
		g.Expires = now.Add(time.Minute)
		token := tradingToken("b")
		_, err = w.Issue(w.ctx, store.Issue{Grant: g, Tokens: []store.Token{token}})
		w.must(err)
		_, _, err = w.present("b", time.Minute)
		w.fails(err, store.ErrExpired)
	}},
	{"revoked, and killed with what it stands on", func(w *world) {
		w.openTrading()
		for _, c := range []struct {
			kind   store.Kind
			target string
		}{
			{store.KindToken, "id-token"}, {store.KindGrant, "grant grant"}, {store.KindPrincipal, full},
			{store.KindClient, store.TradingClient}, {store.KindAccount, full},
		} {
			secret := string(c.kind)
			w.trade(secret)
			w.kill(c.kind, c.target)
			token, _, err := w.present(secret, 0)
			w.fails(err, store.ErrRevoked)
			w.equal("token", token, store.Token{})
			_, _, err = w.present(secret, 2*year)
			w.fails(err, store.ErrRevoked)
		}
		w.trade("afterwards")
		_, _, err := w.present("afterwards", 0)
		w.must(err)
	}},
	{"disabled and enabled again", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.disable(store.TradingClient, store.Disabled)
		_, _, err := w.present("a", 0)
		w.fails(err, store.ErrRevoked)
		w.disable(store.TradingClient, store.Active)
		off := trader(full)
		off.Status = store.Disabled
		w.update(func(x store.Writer) error { return x.PutPrincipal(off) })
		_, _, err = w.present("a", 0)
		w.fails(err, store.ErrRevoked)
		w.openTrading()
		_, _, err = w.present("a", 0)
		w.must(err)
	}},
	{"closed account carries nothing", func(w *world) {
		w.openTrading()
		w.trade("a")
		closed := account(env, full)
		closed.Status = store.Disabled
		w.update(func(x store.Writer) error { return x.PutAccount(closed) })
		_, st, err := w.present("a", 0)
		w.must(err)
		w.equal("usable accounts", len(st.Accounts), 0)
	}},
	{"it doesn't stand on who made it", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.kill(store.KindPrincipal, ann)
		_, _, err := w.present("a", 0)
		w.must(err)
	}},
	{"without an instant, and of callers that are gone", func(w *world) {
		w.openTrading()
		w.trade("a")
		if _, _, err := w.Present(w.ctx, store.Present{Environment: env, Token: hash("a")}); err == nil {
			w.Error("it was accepted")
		}
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		_, _, err := w.Present(gone, store.Present{Environment: env, Token: hash("a"), Now: now})
		w.fails(err, context.Canceled)
	}},
	{"none that begins after a revocation has returned succeeds", func(w *world) {
		w.openTrading()
		for i, c := range []struct {
			kind   store.Kind
			target string
		}{{store.KindToken, "id-token"}, {store.KindGrant, "grant grant"}, {store.KindAccount, full}} {
			secret := string(c.kind)
			w.trade(secret)
			var revoked atomic.Bool
			var shown atomic.Int64
			race(9, func(caller int) error {
				if caller == 0 {
					for shown.Load() < 20 {
						if _, _, err := w.present(secret, 0); err != nil {
							w.Errorf("before the revocation: %v", err)
							break
						}
						shown.Add(1)
					}
					_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: c.kind, Target: c.target, At: now}, store.Event{})
					revoked.Store(true)
					if err != nil {
						w.Error(err)
					}
					return err
				}
				for {
					late := revoked.Load()
					_, _, err := w.present(secret, 0)
					switch {
					case err == nil && late:
						w.Errorf("round %d: it was good after the revocation by %s", i, c.kind)
						return nil
					case err == nil:
						shown.Add(1)
					case errors.Is(err, store.ErrRevoked):
						return nil
					default:
						w.Error(err)
						return err
					}
				}
			})
		}
	}},
}
