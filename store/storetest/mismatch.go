package storetest

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// issueFor makes a grant with a code that is bound to a challenge and a redirect URI.
func (w *world) issueFor(id, challenge, redirectURI string) {
	w.Helper()
	_, err := w.Issue(w.ctx, store.Issue{Grant: grant(id, full), Code: &store.Code{
		Hash: hash("code " + id), KeyID: "k1", Expires: now.Add(time.Minute), Challenge: challenge, RedirectURI: redirectURI,
	}})
	w.must(err)
}

// presenting is what a code is presented with.
func presenting(challenge, redirectURI, grant string) func(*store.Redeem) {
	return func(r *store.Redeem) { r.Challenge, r.RedirectURI, r.Grant = challenge, redirectURI, grant }
}

const (
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	callback  = "https://app.example/callback?a=b"
)

// misfits are the ways in which a code can be presented with what it was not
// issued for. Each has its own code.
var misfits = map[string]struct {
	challenge, redirectURI string // of the code
	presented              func(*store.Redeem)
}{
	"another verifier":                     {challenge, callback, presenting("another", callback, "")},
	"no verifier":                          {challenge, callback, presenting("", callback, "")},
	"a verifier where there is none":       {"", callback, presenting(challenge, callback, "")},
	"part of the challenge":                {challenge, callback, presenting(challenge[:42], callback, "")},
	"another redirect URI":                 {challenge, callback, presenting(challenge, "https://app.example/callback?a=c", "")},
	"no redirect URI":                      {challenge, callback, presenting(challenge, "", "")},
	"a redirect URI where there was none":  {challenge, "", presenting(challenge, callback, "")},
	"a redirect URI in other letters":      {challenge, callback, presenting(challenge, "https://APP.example/callback?a=b", "")},
	"another grant":                        {challenge, callback, presenting(challenge, callback, "other")},
	"nothing at all":                       {challenge, callback, presenting("", "", "")},
	"another grant, and no code is for it": {"", "", presenting("", "", "nothing")},
}

var mismatchCases = []testCase{
	{"all that fits wins", func(w *world) {
		w.issueFor("g", challenge, callback)
		_, err := w.redeem("g", presenting(challenge, callback, "g"))
		w.must(err)
		w.issueFor("any", challenge, callback)
		_, err = w.redeem("any", presenting(challenge, callback, ""))
		w.must(err)
		w.issueFor("plain", "", "")
		_, err = w.redeem("plain", presenting("", "", "plain"))
		w.must(err)
		w.logged()
	}},
	{"whatever doesn't fit burns the code", func(w *world) {
		w.issue("other")
		for name, c := range misfits {
			w.issueFor(name, c.challenge, c.redirectURI)
			_, err := w.redeem(name, c.presented, func(r *store.Redeem) { r.Event.Outcome = "ok" })
			w.fails(err, store.ErrMismatch)
			w.equal(name+": revoked", w.grant(name).Revoked.IsZero(), true)
			w.equal(name+": audited", trail(w)[len(w.audit())-1], [4]string{"client:app", "code.redeem", "grant:" + name, "mismatch"})
			_, _, err = w.TokenByHash(w.ctx, env, hash("redeemed "+name))
			w.fails(err, store.ErrNotFound)
		}
		w.logged()
		w.equal("the other grant", w.grant("other").Revoked.IsZero(), true)
	}},
	{"burnt code that comes back is a replay, however soon and with whatever", func(w *world) {
		var want []store.Revocation
		for i, again := range []func(*store.Redeem){presenting(challenge, callback, "g"), presenting("wrong", callback, "")} {
			id := []string{"g", "h"}[i]
			w.issueFor(id, challenge, callback)
			_, err := w.redeem(id, presenting("wrong", callback, ""))
			w.fails(err, store.ErrMismatch)
			_, err = w.redeem(id, again)
			w.fails(err, store.ErrReplayed)
			w.equal("reason", w.grant(id).Reason, "code_replayed")
			rev := replayed(now)
			rev.Target = id
			want = append(want, rev)
		}
		w.logged(want...)
	}},
	{"another client is another client, whatever else it brings", func(w *world) {
		w.issueFor("g", challenge, callback)
		_, err := w.redeem("g", presenting("wrong", callback, ""), func(r *store.Redeem) { r.Client = thief })
		w.fails(err, store.ErrOtherClient)
		_, err = w.redeem("g", presenting(challenge, callback, ""))
		w.fails(err, store.ErrReplayed)
	}},
	{"what is wrong with an old code or a dead grant counts first", func(w *world) {
		w.issueFor("old", challenge, callback)
		_, err := w.redeem("old", presenting("wrong", callback, ""), redeemAfter(time.Hour))
		w.fails(err, store.ErrMismatch)
		_, err = w.redeem("old", presenting(challenge, callback, ""))
		w.fails(err, store.ErrReplayed)
		w.issueFor("dead", challenge, callback)
		w.kill(store.KindGrant, "dead")
		_, err = w.redeem("dead", presenting("wrong", callback, ""))
		w.fails(err, store.ErrMismatch)
	}},
	{"redeemed code that comes back is judged by its use alone", func(w *world) {
		w.issueFor("g", challenge, callback)
		_, err := w.redeem("g", presenting(challenge, callback, ""))
		w.must(err)
		_, err = w.redeem("g", presenting("wrong", callback, ""), redeemAfter(time.Second))
		w.fails(err, store.ErrResent)
		w.logged()
		_, err = w.redeem("g", presenting("wrong", callback, ""), redeemAfter(time.Minute))
		w.fails(err, store.ErrReplayed)
		w.logged(replayed(now.Add(time.Minute)))
	}},
	{"expired code that fits is not burnt", func(w *world) {
		w.issueFor("g", challenge, callback)
		_, err := w.redeem("g", presenting(challenge, callback, ""), redeemAfter(time.Minute))
		w.fails(err, store.ErrExpired)
		_, err = w.redeem("g", presenting(challenge, callback, ""))
		w.must(err)
	}},
}
