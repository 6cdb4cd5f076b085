package storetest

import (
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// limited is a personal token with every limit that there is.
func limited(secret string) store.Token {
	return store.Token{
		Environment: env, ID: "id-" + secret, Hash: hash(secret), Class: store.Personal, KeyID: "k1", Created: now,
		Label:    "Tagesgeschäft & Co",
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		Rate:     store.Rate{Requests: 600, Per: time.Minute},
	}
}

// issuePersonal makes a grant with that token alone.
func (w *world) issuePersonal(id string, token store.Token) {
	w.Helper()
	_, err := w.Issue(w.ctx, store.Issue{Grant: grant(id, full), Tokens: []store.Token{token}})
	w.must(err)
}

func (w *world) markUsed(env store.Environment, token string, at time.Time, from string) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.MarkUsed(env, token, at, from) })
}

var personalCases = []testCase{
	{"limits are kept", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		want := limited("mine")
		want.Grant = "g"
		w.equal("by its hash", w.token("mine"), want)
		w.view(func(r store.Reader) error {
			tokens, err := r.TokensOf(env, "g")
			w.equal("of its grant", tokens, []store.Token{want})
			return err
		})
	}},
	{"a token without limits has none", func(w *world) {
		plain := limited("plain")
		plain.Label, plain.Networks, plain.Rate = "", nil, store.Rate{}
		w.issuePersonal("g", plain)
		got := w.token("plain")
		w.equal("networks", len(got.Networks), 0)
		w.equal("rate", got.Rate, store.Rate{})
		w.equal("used", got.Used.IsZero(), true)
	}},
	{"a new token is unused, whatever the caller says", func(w *world) {
		boastful := limited("mine")
		boastful.Used, boastful.UsedFrom, boastful.Rotated = now, "192.0.2.1", now
		w.issuePersonal("g", boastful)
		got := w.token("mine")
		w.equal("used", got.Used.IsZero(), true)
		w.equal("from", got.UsedFrom, "")
		w.equal("rotated", got.Rotated.IsZero(), true)
	}},
	{"use is marked and never goes backwards", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.issuePersonal("h", limited("other"))
		w.markUsed(env, "id-mine", now.Add(time.Minute), "192.0.2.1")
		w.equal("used", w.token("mine").Used, now.Add(time.Minute))
		w.equal("from", w.token("mine").UsedFrom, "192.0.2.1")
		w.markUsed(env, "id-mine", now, "192.0.2.2")
		w.equal("marked late", w.token("mine").Used, now.Add(time.Minute))
		w.equal("from where it was used last", w.token("mine").UsedFrom, "192.0.2.1")
		w.markUsed(env, "id-mine", now.Add(time.Hour), "2001:db8::1")
		w.equal("used again", w.token("mine").Used, now.Add(time.Hour))
		w.equal("from elsewhere", w.token("mine").UsedFrom, "2001:db8::1")
		w.markUsed(env, "id-mine", now.Add(2*time.Hour), "")
		w.equal("from who knows where", w.token("mine").UsedFrom, "")
		w.equal("the other one", w.token("other").Used.IsZero(), true)
	}},
	{"a mark on a token that is not there is passed over", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.markUsed(env, "nothing", now, "192.0.2.1")
		w.markUsed(store.Production, "id-mine", now, "192.0.2.1")
		w.equal("used", w.token("mine").Used.IsZero(), true)
	}},
	{"a mark changes nothing else", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.kill(store.KindToken, "id-mine")
		want := w.token("mine")
		w.markUsed(env, "id-mine", now, "192.0.2.1")
		want.Used, want.UsedFrom = now, "192.0.2.1"
		w.equal("token", w.token("mine"), want)
	}},
	{"what has an end is collected, what has none stays", func(w *world) {
		ending := limited("ending")
		ending.Expires = now.Add(time.Hour)
		w.issuePersonal("ends", ending)
		w.issuePersonal("permanent", limited("permanent"))
		for _, c := range []struct {
			after          time.Duration
			tokens, grants int
		}{{time.Hour + retain - time.Second, 0, 0}, {time.Hour + retain, 1, 1}, {1000 * time.Hour, 0, 0}} {
			done, err := w.Collect(w.ctx, store.Collect{Environment: env, Now: now.Add(c.after), Keep: retain, Limit: 100})
			w.must(err)
			w.equal("tokens after "+c.after.String(), done.Tokens, c.tokens)
			w.equal("grants after "+c.after.String(), done.Grants, c.grants)
		}
		w.equal("still there", w.token("permanent").ID, "id-permanent")
		_, _, err := w.TokenByHash(w.ctx, env, hash("ending"))
		w.fails(err, store.ErrNotFound)
	}},
	{"a rotated token ends at that time, and its grant with it", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.issuePersonal("h", limited("other"))
		before := w.token("other")
		w.rotate("id-mine", now.Add(time.Hour))
		got := w.token("mine")
		w.equal("ends", got.Expires, now.Add(time.Hour))
		w.equal("rotated", got.Rotated, now)
		w.equal("head", got.Head(), true)
		w.equal("grant", w.grant("g").Expires, now.Add(time.Hour))
		w.equal("the other one", w.token("other"), before)
		w.equal("its grant", w.grant("h").Expires.IsZero(), true)
	}},
	{"a token that ends earlier does not live longer for being rotated", func(w *world) {
		ending := limited("ending")
		ending.Expires = now.Add(time.Minute)
		w.issuePersonal("g", ending)
		w.rotate("id-ending", now.Add(time.Hour))
		w.equal("ends", w.token("ending").Expires, now.Add(time.Minute))
	}},
	{"a token is rotated once", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.rotate("id-mine", now.Add(time.Hour))
		err := w.Update(w.ctx, func(x store.Writer) error { return x.RotateToken(env, "id-mine", now, now.Add(time.Minute)) })
		w.fails(err, store.ErrReused)
		w.equal("ends", w.token("mine").Expires, now.Add(time.Hour))
	}},
	{"what is no personal token is not rotated so", func(w *world) {
		w.issue("g", full)
		for _, c := range []struct {
			env   store.Environment
			token string
		}{{env, "id-token g"}, {env, "nothing"}, {store.Production, "id-token g"}} {
			err := w.Update(w.ctx, func(x store.Writer) error { return x.RotateToken(c.env, c.token, now, now) })
			w.fails(err, store.ErrNotFound)
		}
		w.equal("rotated", w.token("token g").Rotated.IsZero(), true)
	}},
	{"a permanent token that was rotated is collected", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.rounds(1000*time.Hour, 0, 0) // the collector has taken it for one that never ends
		w.rotate("id-mine", now.Add(time.Hour))
		w.rounds(time.Hour+retain-time.Second, 0, 0)
		w.rounds(time.Hour+retain, 1, 1)
	}},
	{"a grant is issued in the transaction that does more, or not at all", func(w *world) {
		issue := func(x store.Writer) error {
			st, err := x.Issue(store.Issue{Grant: grant("g", full), Tokens: []store.Token{limited("mine")}, Event: store.Event{Actor: "user:ann", Action: "made"}})
			w.equal("standing", len(st.Accounts), 1)
			return err
		}
		failed := errors.New("changed my mind")
		err := w.Update(w.ctx, func(x store.Writer) error { return errors.Join(issue(x), failed) })
		w.fails(err, failed)
		_, _, err = w.TokenByHash(w.ctx, env, hash("mine"))
		w.fails(err, store.ErrNotFound)
		w.update(issue)
		w.equal("issued", w.token("mine").Grant, "g")
		w.fails(w.Update(w.ctx, func(x store.Writer) error {
			_, err := x.Issue(store.Issue{Grant: grant("h", full), Tokens: []store.Token{limited("mine")}})
			return err
		}), store.ErrExists)
	}},
}

// rotate ends a token early, because it has a successor.
func (w *world) rotate(token string, ends time.Time) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.RotateToken(env, token, now, ends) })
}

// rounds collects at a time, and wants so much to go.
func (w *world) rounds(after time.Duration, tokens, grants int) {
	w.Helper()
	done, err := w.Collect(w.ctx, store.Collect{Environment: env, Now: now.Add(after), Keep: retain, Limit: 100})
	w.must(err)
	w.equal("tokens after "+after.String(), done.Tokens, tokens)
	w.equal("grants after "+after.String(), done.Grants, grants)
}
