package storetest

import (
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

func (w *world) markUsed(env store.Environment, token string, at time.Time) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.MarkUsed(env, token, at) })
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
		boastful.Used = now
		w.issuePersonal("g", boastful)
		w.equal("used", w.token("mine").Used.IsZero(), true)
	}},
	{"use is marked and never goes backwards", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.issuePersonal("h", limited("other"))
		w.markUsed(env, "id-mine", now.Add(time.Minute))
		w.equal("used", w.token("mine").Used, now.Add(time.Minute))
		w.markUsed(env, "id-mine", now)
		w.equal("marked late", w.token("mine").Used, now.Add(time.Minute))
		w.markUsed(env, "id-mine", now.Add(time.Hour))
		w.equal("used again", w.token("mine").Used, now.Add(time.Hour))
		w.equal("the other one", w.token("other").Used.IsZero(), true)
	}},
	{"a mark on a token that is not there is passed over", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.markUsed(env, "nothing", now)
		w.markUsed(store.Production, "id-mine", now)
		w.equal("used", w.token("mine").Used.IsZero(), true)
	}},
	{"a mark changes nothing else", func(w *world) {
		w.issuePersonal("g", limited("mine"))
		w.kill(store.KindToken, "id-mine")
		want := w.token("mine")
		w.markUsed(env, "id-mine", now)
		want.Used = now
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
}
