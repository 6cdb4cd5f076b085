package storetest

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var errChangedMyMind = errors.New("changed my mind")

var directoryCases = []testCase{
	{"what was put is read", func(w *world) {
		key := store.SigningKey{
			Environment: env, ID: "key", Algorithm: "ES256", Sealed: []byte("sealed"), SealKeyID: "k1",
			Created: now, SignFrom: now.Add(time.Hour), SignUntil: now.Add(2 * time.Hour), Retired: now.Add(3 * time.Hour),
		}
		w.update(func(x store.Writer) error { return errors.Join(x.PutSigningKey(key), x.SetMeta("colour", "blue")) })
		w.view(func(r store.Reader) error {
			principals, err1 := r.Principals(env)
			clients, err2 := r.Clients(env)
			accounts, err3 := r.Accounts(env)
			keys, err4 := r.SigningKeys(env)
			colour, err5 := r.Meta("colour")
			w.equal("principals", principals, []store.Principal{principal(env)})
			w.equal("clients", clients, []store.Client{client(env, app), client(env, thief)})
			w.equal("accounts", accounts, []store.Account{account(env, full), account(env, part), account(env, hidden)})
			w.equal("keys", keys, []store.SigningKey{key})
			w.equal("meta", colour, "blue")
			return errors.Join(err1, err2, err3, err4, err5)
		})
	}},
	{"all of a client comes back, and can be changed", func(w *world) {
		c := client(env, "public")
		c.Description, c.Owner, c.Public, c.Exchange = "Überweist & zählt", ann, true, true
		c.RedirectURIs = []string{"https://app.example/cb?a=b%20c", "http://127.0.0.1/cb", "com.example.app:/cb"}
		c.PKCEOptional, c.StateOptional = true, true
		c.OldSecretHash, c.OldSecretUntil = "s1", now.Add(time.Hour)
		read := func() (got store.Client) {
			w.view(func(r store.Reader) (err error) {
				if got, err = r.Client(env, c.ID); err != nil {
					return err
				}
				clients, err := r.Clients(env)
				w.equal("in the list", clients[1], got)
				return err
			})
			return got
		}
		w.update(func(x store.Writer) error { return x.PutClient(c) })
		w.equal("client", read(), c)
		p, err := w.Party(w.ctx, env, c.ID)
		w.must(err)
		w.equal("as a party", p.Client, c)
		g := grant("g")
		g.Client = c.ID
		w.equal("as what a grant stands on", w.issueTo(g).Client, c)
		_, st, err := w.TokenByHash(w.ctx, env, hash("token g"))
		w.must(err)
		w.equal("as what a token stands on", st.Client, c)
		for _, change := range []func(){
			func() { c.Public = false }, func() { c.Exchange = false }, func() { c.PKCEOptional = false }, func() { c.StateOptional = false },
			func() { c.Owner, c.Description = "", "" }, func() { c.RedirectURIs = c.RedirectURIs[1:2] }, func() { c.RedirectURIs = nil },
			func() { c.ReplaceSecret("s3", now, time.Minute) }, func() { c.EndOldSecret() },
		} {
			change()
			w.update(func(x store.Writer) error { return x.PutClient(c) })
			w.equal("changed client", read(), c)
			p, err := w.Party(w.ctx, env, c.ID)
			w.must(err)
			w.equal("changed party", p.Client, c)
		}
	}},
	{"a redirect URI that would come back as another is refused", func(w *world) {
		for _, uris := range [][]string{{"https://app.example/cb https://evil.example"}, {""}, {"https://app.example/cb", " "}} {
			c := client(env, app)
			c.RedirectURIs = uris
			if err := w.Update(w.ctx, func(x store.Writer) error { return x.PutClient(c) }); err == nil {
				w.Errorf("%q was kept", uris)
			}
		}
		w.view(func(r store.Reader) error {
			got, err := r.Client(env, app)
			w.equal("client", got, client(env, app))
			return err
		})
	}},
	{"what was made with a subkey is counted", func(w *world) {
		made := func(keyID string, at time.Time) (n int) {
			w.view(func(r store.Reader) (err error) {
				n, err = r.MadeWith(env, keyID, at)
				return err
			})
			return n
		}
		w.issue("a") // a code and a refresh token under k1
		w.issue("b")
		w.issueTo(grant("c"))
		w.equal("all", made("k1", now), 6)
		w.equal("under another subkey", made("k2", now), 0)
		w.equal("when the codes have expired", made("k1", now.Add(time.Minute)), 3)
		w.equal("when all have expired", made("k1", now.Add(time.Hour)), 0)
		w.kill(store.KindGrant, "a")
		w.kill(store.KindToken, "id-token b")
		w.equal("without what was revoked", made("k1", now), 3)
		permanent := refresh("permanent")
		permanent.Expires, permanent.KeyID = time.Time{}, "k2"
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("d"), Tokens: []store.Token{permanent}})
		w.must(err)
		w.equal("permanent", made("k2", now.AddDate(100, 0, 0)), 1)
		w.view(func(r store.Reader) error {
			n, err := r.MadeWith(store.Production, "k1", now)
			w.equal("in the other environment", n, 0)
			return err
		})
	}},
	{"unknown ids", func(w *world) {
		w.view(func(r store.Reader) error {
			_, err1 := r.Principal(env, "x")
			_, err2 := r.Client(env, "x")
			_, err3 := r.Account(env, "x")
			_, err4 := r.Grant(env, "x")
			_, err5 := r.Meta("x")
			for _, err := range []error{err1, err2, err3, err4, err5} {
				w.fails(err, store.ErrNotFound)
			}
			return nil
		})
	}},
	{"lists of another environment are empty", func(w *world) {
		w.issue("g")
		w.view(func(r store.Reader) error {
			principals, err1 := r.Principals(store.Production)
			bindings, err2 := r.Bindings(store.Production, "")
			grants, err3 := r.Grants(store.Production, store.GrantFilter{})
			events, err4 := r.Audit(store.Production, store.AuditFilter{})
			w.equal("records", len(principals)+len(bindings)+len(grants)+len(events), 0)
			return errors.Join(err1, err2, err3, err4)
		})
	}},
	{"put keeps epoch and rights", func(w *world) {
		p, c, a := w.kill(store.KindPrincipal, ann), w.kill(store.KindClient, app), w.kill(store.KindAccount, full)
		pr, cr := w.kill(store.KindRights, ann), w.kill(store.KindClientRights, app)
		changed, other, third := principal(env), client(env, app), account(env, full)
		changed.Name, changed.Epoch, changed.Rights = "Anna", 1000, 1000
		other.Name, other.Epoch, other.Rights = "App", 1000, 1000
		third.Name, third.Epoch = "Savings", 1000
		w.update(func(x store.Writer) error {
			return errors.Join(x.PutPrincipal(changed), x.PutClient(other), x.PutAccount(third))
		})
		changed.Epoch, changed.Rights = p.Number, pr.Number
		other.Epoch, other.Rights = c.Number, cr.Number
		third.Epoch = a.Number
		w.view(func(r store.Reader) error {
			gotP, err1 := r.Principal(env, ann)
			gotC, err2 := r.Client(env, app)
			gotA, err3 := r.Account(env, full)
			w.equal("principal", gotP, changed)
			w.equal("client", gotC, other)
			w.equal("account", gotA, third)
			return errors.Join(err1, err2, err3)
		})
	}},
	{"new records begin with zero", func(w *world) {
		fresh := client(env, "fresh")
		fresh.Epoch, fresh.Rights = 7, 7
		w.update(func(x store.Writer) error { return x.PutClient(fresh) })
		w.view(func(r store.Reader) error {
			got, err := r.Client(env, "fresh")
			w.equal("numbers", got.Epoch+got.Rights, int64(0))
			return err
		})
	}},
	{"bindings", func(w *world) {
		w.view(func(r store.Reader) error {
			all, err1 := r.Bindings(env, "")
			hers, err2 := r.Bindings(env, ann)
			none, err3 := r.Bindings(env, "bob")
			w.equal("hers", hers, all)
			w.equal("scopes", hers[1].Scopes, []string{"read"})
			w.equal("count", len(all)-len(none), 2)
			return errors.Join(err1, err2, err3)
		})
		w.update(func(x store.Writer) error { return x.DeleteBinding(env, ann, full) })
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.DeleteBinding(env, ann, full) }), store.ErrNotFound)
		w.fails(w.Update(w.ctx, func(x store.Writer) error {
			return x.PutBinding(store.Binding{Environment: env, Principal: ann, Account: "404", Access: store.Full})
		}), store.ErrNotFound)
	}},
	{"grants are listed newest first and narrowed", func(w *world) {
		for i, id := range []string{"old", "mid", "new"} {
			g := grant(id, full)
			g.Created = now.Add(time.Duration(i) * time.Second)
			if id == "mid" {
				g.Client, g.Accounts, g.Expires = thief, []string{part}, now.Add(time.Minute)
			}
			w.issueTo(g)
		}
		w.kill(store.KindGrant, "new")
		for name, c := range map[string]struct {
			filter store.GrantFilter
			want   []string
		}{
			"all":       {store.GrantFilter{}, []string{"new", "mid", "old"}},
			"limit":     {store.GrantFilter{Limit: 1}, []string{"new"}},
			"client":    {store.GrantFilter{Client: app}, []string{"new", "old"}},
			"account":   {store.GrantFilter{Account: part}, []string{"mid"}},
			"principal": {store.GrantFilter{Principal: "bob"}, nil},
			"live":      {store.GrantFilter{Live: now}, []string{"mid", "old"}},
			"later":     {store.GrantFilter{Live: now.Add(time.Minute), Principal: ann, Account: full}, []string{"old"}},
		} {
			w.view(func(r store.Reader) error {
				grants, err := r.Grants(env, c.filter)
				var ids []string
				for _, g := range grants {
					ids = append(ids, g.ID)
					w.equal(name+": accounts", len(g.Accounts), 1)
				}
				w.equal(name, ids, c.want)
				return err
			})
		}
	}},
	{"failed update leaves nothing", func(w *world) {
		err := w.Update(w.ctx, func(x store.Writer) error {
			if err := x.SetMeta("colour", "red"); err != nil {
				return err
			}
			if _, err := x.Revoke(store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: ann, At: now}); err != nil {
				return err
			}
			return errChangedMyMind
		})
		w.fails(err, errChangedMyMind)
		w.logged()
		w.fails(w.View(w.ctx, func(r store.Reader) error { _, err := r.Meta("colour"); return err }), store.ErrNotFound)
	}},
	{"update reads what it wrote, and revokes", func(w *world) {
		var rev store.Revocation
		w.update(func(x store.Writer) (err error) {
			if err := x.SetMeta("colour", "red"); err != nil {
				return err
			}
			if colour, err := x.Meta("colour"); err != nil || colour != "red" {
				return errors.Join(err, errors.New("it does not"))
			}
			if err := x.Record(store.Event{Environment: env, At: now, Actor: "operator:admin", Action: "paint", Outcome: "ok"}); err != nil {
				return err
			}
			rev, err = x.Revoke(store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: ann, At: now})
			return err
		})
		w.logged(rev)
		w.equal("audit", w.audit()[0].Action, "paint")
	}},
	{"view is one snapshot", func(w *world) {
		w.view(func(r store.Reader) error {
			before, err := r.Client(env, app)
			w.must(err)
			w.disable(app, store.Disabled) // by another caller, meanwhile
			after, err := r.Client(env, app)
			w.equal("client", after, before)
			return err
		})
	}},
	{"panicking update fails alone", func(w *world) {
		err := w.Update(w.ctx, func(x store.Writer) error {
			if err := x.SetMeta("colour", "red"); err != nil {
				return err
			}
			panic("at the disco")
		})
		if err == nil {
			w.Fatal("it succeeded")
		}
		w.fails(w.View(w.ctx, func(r store.Reader) error { _, err := r.Meta("colour"); return err }), store.ErrNotFound)
		w.issue("g")
	}},
}
