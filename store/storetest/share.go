package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// asksFor is how long the grants of share must live at least.
const (
	asksFor  = time.Hour
	shareFor = 24 * time.Hour
)

// sharing asks for a grant that may be shared.
func sharing(id string, accounts ...string) store.Issue {
	g := grant(id, accounts...)
	g.Expires = now.Add(asksFor)
	return store.Issue{Grant: g, Share: shareFor}
}

// share gets a grant, and asserts what holds whether it is a new one or not: it
// is on file, alive, of the right parties, and ends no sooner than was asked.
func (w *world) share(req store.Issue) store.Standing {
	w.Helper()
	st, err := w.Issue(w.ctx, req)
	w.must(err)
	w.rightful(&req.Grant, &st)
	w.view(func(r store.Reader) error {
		filed, err := r.Grant(req.Grant.Environment, st.Grant.ID)
		w.equal("on file", filed, st.Grant)
		return err
	})
	return st
}

func (w *world) rightful(asked *store.Grant, st *store.Standing) {
	w.Helper()
	want := *asked
	got := st.Grant
	if st.Dead() || got.Expires.Before(want.Expires) {
		w.Fatalf("dead %v, ends at %s: %+v", st.Dead(), got.Expires, got)
	}
	want.ID, want.Created, want.Expires, want.Epoch = got.ID, got.Created, got.Expires, st.Epoch()
	w.equal("grant", got, want)
	w.equal("principal", st.Principal.ID, want.Principal)
	w.equal("client", st.Client.ID, want.Client)
}

var shareCases = []testCase{
	{"first of those that share", func(w *world) {
		st := w.share(sharing("g", part, full))
		w.equal("grant", st.Grant.ID, "g")
		w.equal("others can share it", st.Grant.Expires, now.Add(asksFor+shareFor))
		w.equal("accounts", len(st.Accounts), 2)
		w.equal("its scopes", st.Accounts[0].Binding.Scopes, []string{"read"})
	}},
	{"each call leaves its line, which names the grant", func(w *world) {
		var want [][4]string
		for _, id := range []string{"g", "h", "i"} {
			req := sharing(id, full)
			req.Event = store.Event{Actor: "client:app", Action: "own.issue", Outcome: "ok"}
			want = append(want, [4]string{"client:app", "own.issue", "grant:" + w.share(req).Grant.ID, "ok"})
		}
		w.equal("trail", trail(w), want)
	}},
	{"what differs is not shared", func(w *world) {
		w.populate(store.Production)
		for _, round := range []string{"first ", "second "} {
			w.share(sharing(round+"g", full))
			for id, change := range map[string]func(*store.Grant){
				"order":       func(g *store.Grant) { slices.Reverse(g.Scopes) },
				"scopes":      func(g *store.Grant) { g.Scopes = []string{"read"} },
				"accounts":    func(g *store.Grant) { g.Accounts = []string{full, part} },
				"client":      func(g *store.Grant) { g.Client = thief },
				"environment": func(g *store.Grant) { g.Environment = store.Production },
				"end":         func(g *store.Grant) { g.Expires = g.Expires.Add(2 * shareFor) },
			} {
				req := sharing(round+id, full)
				change(&req.Grant)
				w.share(req)
			}
		}
	}},
	{"grant that was made for one call is nobody else's", func(w *world) {
		alone := sharing("alone", full)
		alone.Share = 0
		w.equal("end", w.share(alone).Grant.Expires, now.Add(asksFor))
		w.equal("shared", w.share(sharing("g", full)).Grant.ID, "g")
		alone.Grant.ID = "alone too"
		w.equal("alone", w.share(alone).Grant.ID, "alone too")
	}},
	{"revoked grant is shared no more", func(w *world) {
		first := w.share(sharing("g", full))
		w.kill(store.KindGrant, first.Grant.ID)
		second := w.share(sharing("h", full))
		w.equal("another", second.Grant.ID, "h")
		w.update(func(x store.Writer) error {
			_, err := x.Revoke(store.Revocation{Environment: env, Kind: store.KindGrant, Target: "h", At: now})
			return err
		})
		w.equal("one more", w.share(sharing("i", full)).Grant.ID, "i")
	}},
	{"grant of a party that was killed is shared no more", func(w *world) {
		w.share(sharing("g", full))
		for id, kind := range map[string]store.Kind{"h": store.KindPrincipal, "i": store.KindClient, "j": store.KindAccount} {
			w.kill(kind, map[store.Kind]string{store.KindPrincipal: ann, store.KindClient: app, store.KindAccount: full}[kind])
			w.equal("another", w.share(sharing(id, full)).Grant.ID, id)
		}
	}},
	{"shared or not, it carries present rights", func(w *world) {
		for _, id := range []string{"f", "g"} {
			w.equal("accounts", len(w.share(sharing(id, full, part)).Accounts), 2)
		}
		rev := w.kill(store.KindClientRights, app)
		less := client(env, app)
		less.MaxScopes = []string{"less"}
		w.update(func(x store.Writer) error {
			return errors.Join(x.PutClient(less), x.DeleteBinding(env, ann, full))
		})
		st := w.share(sharing("h", full, part))
		w.equal("rights", st.Rights(), rev.Number)
		w.equal("most", st.Client.MaxScopes, less.MaxScopes)
		w.equal("accounts", len(st.Accounts), 1)
		off := account(env, part)
		off.Status = store.Disabled
		w.update(func(x store.Writer) error { return x.PutAccount(off) })
		w.equal("accounts after one was disabled", len(w.share(sharing("i", full, part)).Accounts), 0)
	}},
	{"disabled party shares nothing", func(w *world) {
		w.share(sharing("f"))
		w.share(sharing("g"))
		w.disable(app, store.Disabled)
		_, err := w.Issue(w.ctx, sharing("h"))
		w.fails(err, store.ErrRevoked)
		w.disable(app, store.Active)
		w.share(sharing("h"))
	}},
	{"unknown parties share nothing", func(w *world) {
		for _, change := range []func(*store.Grant){
			func(g *store.Grant) { g.Principal = "nobody" },
			func(g *store.Grant) { g.Client = "nothing" },
			func(g *store.Grant) { g.Accounts = []string{"404"} },
		} {
			req := sharing("g")
			change(&req.Grant)
			for range 2 {
				_, err := w.Issue(w.ctx, req)
				w.fails(err, store.ErrNotFound)
			}
		}
	}},
	{"what can't be shared", func(w *world) {
		for name, change := range map[string]func(*store.Issue){
			"code": func(r *store.Issue) {
				r.Code = &store.Code{Hash: hash("code"), KeyID: "k1", Expires: now.Add(time.Minute)}
			},
			"token":  func(r *store.Issue) { r.Tokens = []store.Token{refresh("token")} },
			"no end": func(r *store.Issue) { r.Grant.Expires = time.Time{} },
			"time":   func(r *store.Issue) { r.Share = -time.Second },
		} {
			req := sharing("g")
			change(&req)
			_, err := w.Issue(w.ctx, req)
			if err == nil || errors.Is(err, store.ErrUnavailable) {
				w.Errorf("%s: %v", name, err)
			}
		}
		w.gone("g")
	}},
	{"sharing against revocations", func(w *world) {
		for round := range 20 {
			name := func(caller string) string { return fmt.Sprint(caller, " ", round) }
			dead := w.share(sharing(name("g"), full)).Grant.ID
			rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: dead, At: now}
			got := make([]store.Standing, 8)
			for _, err := range race(len(got)+1, func(i int) (err error) {
				if i == len(got) {
					_, err = w.Revoke(w.ctx, rev, store.Event{})
				} else {
					got[i], err = w.Issue(w.ctx, sharing(name(fmt.Sprint(i)), full))
				}
				return err
			}) {
				w.must(err)
			}
			asked := sharing("", full).Grant
			for i := range got {
				w.rightful(&asked, &got[i])
			}
			w.equal("shared after it was revoked", w.share(sharing(name("h"), full)).Grant.ID == dead, false)
		}
	}},
	{"shared grant stays while a token of it may live", func(w *world) {
		req := sharing("g", full)
		w.share(req)
		req.Grant.ID, req.Grant.Created = "h", now.Add(shareFor)
		req.Grant.Expires = now.Add(shareFor + asksFor)
		st := w.share(req)
		w.equal("early", w.collect(shareFor+asksFor+keep-time.Microsecond).Grants, 0)
		w.grant(st.Grant.ID)
		w.collect(2*shareFor + asksFor + keep)
		w.gone("g")
		w.gone(st.Grant.ID)
		req.Grant.ID = "i"
		w.equal("after it was collected", w.share(req).Grant.ID, "i")
	}},
}
