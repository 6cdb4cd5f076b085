package storetest

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// signedIn is a session of ann that lives for twelve hours.
func signedIn(id string, after time.Duration) store.Session {
	at := now.Add(after)
	return store.Session{
		Environment: env, Hash: hash("cookie " + id), KeyID: "k1", ID: id, Principal: ann, Epoch: 3,
		Created: at, Authenticated: at.Add(time.Second), Seen: at.Add(2 * time.Second), Expires: at.Add(12 * time.Hour),
		Address: "192.0.2.1", Agent: "Mozilla/5.0 (ä)",
	}
}

func (w *world) putSession(s store.Session) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.PutSession(s) })
}

func (w *world) session(id string) (s store.Session, err error) {
	w.Helper()
	err = w.View(w.ctx, func(r store.Reader) (err error) {
		s, err = r.Session(env, hash("cookie "+id))
		return err
	})
	return s, err
}

func (w *world) sessions(principal string) (ids []string) {
	w.Helper()
	w.view(func(r store.Reader) error {
		sessions, err := r.Sessions(env, principal)
		for i := range sessions {
			ids = append(ids, sessions[i].ID)
		}
		return err
	})
	return ids
}

var sessionCases = []testCase{
	{"what was put is read", func(w *world) {
		w.putSession(signedIn("a", 0))
		got, err := w.session("a")
		w.must(err)
		w.equal("session", got, signedIn("a", 0))
		_, err = w.session("b")
		w.fails(err, store.ErrNotFound)
		w.view(func(r store.Reader) error {
			_, err := r.Session(store.Production, hash("cookie a"))
			w.fails(err, store.ErrNotFound)
			return nil
		})
	}},
	{"putting it again replaces all of it", func(w *world) {
		bob := principal(env)
		bob.ID = "bob"
		w.update(func(x store.Writer) error { return x.PutPrincipal(bob) })
		w.putSession(signedIn("a", 0))
		want := signedIn("other", time.Hour)
		want.Hash, want.Principal, want.KeyID, want.Epoch = hash("cookie a"), "bob", "k2", 9
		want.Address, want.Agent = "2001:db8::1", ""
		w.putSession(want)
		got, err := w.session("a")
		w.must(err)
		w.equal("session", got, want)
		w.equal("ann's", w.sessions(ann), []string(nil))
		w.equal("bob's", w.sessions("bob"), []string{"other"})
	}},
	{"lists are newest first and of one principal", func(w *world) {
		bob := principal(env)
		bob.ID = "bob"
		w.update(func(x store.Writer) error { return x.PutPrincipal(bob) })
		other := signedIn("bob's", 0)
		other.Principal = "bob"
		for _, s := range []store.Session{signedIn("old", 0), signedIn("new", 2*time.Minute), signedIn("mid", time.Minute), signedIn("mid too", time.Minute), other} {
			w.putSession(s)
		}
		w.equal("ann's", w.sessions(ann), []string{"new", "mid too", "mid", "old"})
		w.equal("bob's", w.sessions("bob"), []string{"bob's"})
		w.equal("nobody's", w.sessions("nobody"), []string(nil))
		w.view(func(r store.Reader) error {
			sessions, err := r.Sessions(store.Production, ann)
			w.equal("in the other environment", len(sessions), 0)
			return err
		})
	}},
	{"who signs out is out", func(w *world) {
		w.putSession(signedIn("a", 0))
		w.putSession(signedIn("b", 0))
		remove := func(env store.Environment) error {
			return w.Update(w.ctx, func(x store.Writer) error { return x.DeleteSession(env, hash("cookie a")) })
		}
		w.fails(remove(store.Production), store.ErrNotFound)
		w.must(remove(env))
		_, err := w.session("a")
		w.fails(err, store.ErrNotFound)
		w.fails(remove(env), store.ErrNotFound)
		w.equal("left", w.sessions(ann), []string{"b"})
	}},
	{"of nobody", func(w *world) {
		s := signedIn("a", 0)
		s.Principal = "nobody"
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.PutSession(s) }), store.ErrNotFound)
		s = signedIn("a", 0)
		s.Environment = store.Production
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.PutSession(s) }), store.ErrNotFound)
		w.putSession(signedIn("a", 0))
		s = signedIn("a", 0)
		s.Principal = "nobody"
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.PutSession(s) }), store.ErrNotFound)
		got, err := w.session("a")
		w.must(err)
		w.equal("as it was", got, signedIn("a", 0))
	}},
	{"collected as soon as it has expired", func(w *world) {
		for i, id := range []string{"a", "b", "c", "d", "e"} {
			w.putSession(signedIn(id, time.Duration(i)*time.Minute))
		}
		endless := signedIn("without an end", 0)
		endless.Expires = time.Time{}
		w.equal("too early", w.collect(12*time.Hour-time.Millisecond), store.Collected{})
		w.equal("the first two", w.collect(12*time.Hour+time.Minute), store.Collected{Sessions: 2})
		w.equal("left", w.sessions(ann), []string{"e", "d", "c"})
		w.putSession(endless)
		w.equal("the others", w.collect(13*time.Hour), store.Collected{Sessions: 4})
		w.putSession(signedIn("f", 0))
		done, err := w.Collect(w.ctx, store.Collect{Environment: store.Production, Now: now.Add(year), Keep: keep, Limit: 9})
		w.must(err)
		w.equal("in the other environment", done, store.Collected{})
		w.equal("left", w.sessions(ann), []string{"f"})
	}},
	{"collecting in batches goes on from sessions to what is behind them", func(w *world) {
		w.openTrading()
		w.trade("a")
		w.issue("g")
		for _, id := range []string{"a", "b", "c", "d"} {
			w.putSession(signedIn(id, 0))
		}
		done, err := w.Collect(w.ctx, collecting(year+keep))
		w.must(err)
		w.equal("first batch", done, store.Collected{Sessions: 3, More: true})
		w.equal("all others", w.collect(year+keep), store.Collected{Sessions: 1, Copies: 1, Tokens: 2, Grants: 2})
	}},
	{"kept if the change is taken back", func(w *world) {
		w.putSession(signedIn("a", 0))
		w.fails(w.Update(w.ctx, func(x store.Writer) error {
			return errors.Join(x.DeleteSession(env, hash("cookie a")), x.PutSession(signedIn("b", 0)), errChangedMyMind)
		}), errChangedMyMind)
		w.equal("sessions", w.sessions(ann), []string{"a"})
	}},
	{"those that may come back are counted with the tokens of their subkey", func(w *world) {
		made := func(keyID string, at time.Time) (n int) {
			w.view(func(r store.Reader) (err error) {
				n, err = r.MadeWith(env, keyID, at)
				return err
			})
			return n
		}
		epoch := w.kill(store.KindPrincipal, ann).Number
		fresh, stale, other := signedIn("fresh", 0), signedIn("stale", 0), signedIn("other", 0)
		fresh.Epoch, stale.Epoch, other.Epoch, other.KeyID = epoch, epoch-1, epoch, "k2"
		for _, s := range []store.Session{fresh, stale, other} {
			w.putSession(s)
		}
		w.equal("alive", made("k1", now), 1)
		w.equal("of another subkey", made("k2", now), 1)
		w.equal("just before the end", made("k1", now.Add(12*time.Hour-time.Millisecond)), 1)
		w.equal("expired", made("k1", now.Add(12*time.Hour)), 0)
		w.openTrading()
		w.trade("a") // with its sealed copy
		w.equal("with a shared token", made("k1", now), 2)
		w.kill(store.KindPrincipal, ann)
		w.equal("signed out everywhere", made("k1", now), 1)
	}},
}
