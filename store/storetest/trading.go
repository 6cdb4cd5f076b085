package storetest

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// accountTokens are the ids of what an account's list shows.
func (w *world) accountTokens(account string, class store.Class) (ids []string) {
	w.Helper()
	w.view(func(r store.Reader) error {
		tokens, err := r.AccountTokens(env, account, class)
		for i := range tokens {
			ids = append(ids, tokens[i].ID)
		}
		return err
	})
	return ids
}

// known are the ids of the shared tokens that a principal knows.
func (w *world) known(principal string) (ids []string) {
	w.Helper()
	w.view(func(r store.Reader) error {
		tokens, err := r.KnownTokens(env, principal)
		for i := range tokens {
			ids = append(ids, tokens[i].ID)
			w.equal("sealed", len(tokens[i].Sealed), 0)
		}
		return err
	})
	return ids
}

func (w *world) shownTo(token string) (principals []string) {
	w.Helper()
	w.view(func(r store.Reader) (err error) {
		principals, err = r.ShownTo(env, token)
		return err
	})
	return principals
}

func (w *world) show(token, principal string) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.MarkShown(env, token, principal, now) })
}

// madeAt gives a token its instant.
func madeAt(after time.Duration) func(*store.Token) {
	return func(t *store.Token) { t.Created = now.Add(after) }
}

func madeBy(principal string) func(*store.Token) {
	return func(t *store.Token) { t.Creator = principal }
}

var tradingCases = []testCase{
	{"an account's list is newest first, with what has ended", func(w *world) {
		w.openTrading()
		w.trade("old")
		w.trade("new", madeAt(2*time.Hour))
		w.trade("mid", madeAt(time.Hour))
		w.trade("mid too", madeAt(time.Hour))
		w.tradeOf(part, "of another account")
		w.kill(store.KindGrant, "grant mid")
		w.kill(store.KindToken, "id-old")
		w.equal("ids", w.accountTokens(full, store.SharedRefresh), []string{"id-new", "id-mid too", "id-mid", "id-old"})
		w.view(func(r store.Reader) error {
			tokens, err := r.AccountTokens(env, full, store.SharedRefresh)
			w.equal("alive", tokens[0], func() store.AccountToken {
				token := listed(tradingToken("new"))
				token.Created = now.Add(2 * time.Hour)
				return store.AccountToken{Token: token}
			}())
			w.equal("ended", tokens[2].Ended, now)
			w.equal("reason", tokens[2].Reason, "test")
			w.equal("revoked by itself", tokens[3].Revoked, now)
			w.equal("its grant", tokens[3].Ended.IsZero(), true)
			return err
		})
	}},
	{"an account's list tells what was killed with a party from what was made since", func(w *world) {
		w.openTrading()
		w.trade("before")
		rev := w.kill(store.KindAccount, full)
		w.trade("since", madeAt(time.Hour))
		w.view(func(r store.Reader) error {
			tokens, err := r.AccountTokens(env, full, store.SharedRefresh)
			w.equal("epochs", []int64{tokens[0].Epoch, tokens[1].Epoch}, []int64{rev.Number, 0})
			w.equal("ended by itself", tokens[1].Ended.IsZero(), true)
			return err
		})
	}},
	{"an account's list has one class of one account", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.issue("g", full, part)
		w.issuePersonal("p", limited("personal"))
		w.equal("shared", w.accountTokens(full, store.SharedRefresh), []string{"id-a"})
		w.equal("refresh", w.accountTokens(full, store.Refresh), []string{"id-token g"})
		w.equal("refresh of the other", w.accountTokens(part, store.Refresh), []string{"id-token g"})
		w.equal("personal", w.accountTokens(full, store.Personal), []string{"id-personal"})
		for _, account := range []string{part, hidden, "404"} {
			w.equal("of "+account, w.accountTokens(account, store.SharedRefresh), []string(nil))
		}
		w.view(func(r store.Reader) error {
			tokens, err := r.AccountTokens(store.Production, full, store.SharedRefresh)
			w.equal("of the other environment", len(tokens), 0)
			return err
		})
	}},
	{"what a principal made and was shown is known to it, oldest first", func(w *world) {
		w.openTrading()
		w.trade("made late", madeAt(2*time.Hour))
		w.trade("made")
		w.trade("seen", madeAt(time.Hour), madeBy("bob"))
		w.trade("unseen", madeBy("bob"))
		w.trade("nobody's", madeBy(""))
		w.show("id-seen", ann)
		w.show("id-made", ann) // she made it as well
		w.show("id-seen", ann)
		w.show("id-nobody's", "carol")
		w.equal("ann's", w.known(ann), []string{"id-made", "id-seen", "id-made late"})
		w.equal("bob's", w.known("bob"), []string{"id-unseen", "id-seen"})
		w.equal("carol's", w.known("carol"), []string{"id-nobody's"})
		w.equal("of nobody", w.known(""), []string(nil))
		w.view(func(r store.Reader) error {
			tokens, err := r.KnownTokens(store.Production, ann)
			w.equal("in the other environment", len(tokens), 0)
			return err
		})
		w.kill(store.KindGrant, "grant seen")
		w.equal("with the dead", w.known(ann), []string{"id-made", "id-seen", "id-made late"})
	}},
	{"only shared refresh tokens are known", func(w *world) {
		personal := limited("personal")
		personal.Creator = ann
		w.issuePersonal("p", personal)
		w.show("id-personal", ann)
		w.equal("creator is kept", w.token("personal").Creator, ann)
		w.equal("known", w.known(ann), []string(nil))
	}},
	{"who was shown a token", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.trade("b")
		for _, principal := range []string{"dave", "bob", "dave", ann} {
			w.show("id-a", principal)
		}
		w.equal("a", w.shownTo("id-a"), []string{ann, "bob", "dave"})
		w.equal("b", w.shownTo("id-b"), []string(nil))
		w.view(func(r store.Reader) error {
			principals, err := r.ShownTo(store.Production, "id-a")
			w.equal("in the other environment", len(principals), 0)
			return err
		})
	}},
	{"nobody is shown what isn't there", func(w *world) {
		w.openTrading()
		w.trade("a")
		for _, c := range []struct {
			env   store.Environment
			token string
		}{{env, "nothing"}, {store.Production, "id-a"}} {
			w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.MarkShown(c.env, c.token, ann, now) }), store.ErrNotFound)
		}
		w.equal("shown", w.shownTo("id-a"), []string(nil))
	}},
	{"who was shown a token is forgotten with it", func(w *world) {
		w.openTrading()
		w.trade("a", madeBy("bob"))
		w.show("id-a", ann)
		w.collect(year + keep - time.Millisecond)
		w.equal("before", w.known(ann), []string{"id-a"})
		w.equal("collected", w.collect(year+keep), store.Collected{Tokens: 1, Grants: 1})
		w.equal("afterwards", w.known(ann), []string(nil))
		w.trade("a", madeBy("bob"))
		w.equal("of another by that id", w.shownTo("id-a"), []string(nil))
	}},
	{"a token by its id", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.issue("g", full)
		w.view(func(r store.Reader) error {
			shared, err1 := r.Token(env, "id-a")
			w.equal("shared", shared, tradingToken("a"))
			plain, err2 := r.Token(env, "id-token g")
			want := refresh("token g")
			want.Grant = "g"
			w.equal("refresh", plain, want)
			_, err3 := r.Token(env, "nothing")
			w.fails(err3, store.ErrNotFound)
			_, err4 := r.Token(store.Production, "id-a")
			w.fails(err4, store.ErrNotFound)
			return errors.Join(err1, err2)
		})
	}},
}
