package storetest

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// connected asks for a grant with a code and a connection.
func connected(id string) store.Issue {
	return store.Issue{
		Grant: grant(id, full), Code: &store.Code{Hash: hash("code " + id), KeyID: "k1", Expires: now.Add(30 * time.Minute)},
		Connection: &store.Connection{Token: "id-token of " + id, UserSecret: "secret of " + id},
	}
}

func (w *world) connection(id string) (c store.Connection, err error) {
	w.Helper()
	err = w.View(w.ctx, func(r store.Reader) (err error) {
		c, err = r.Connection(env, id)
		return err
	})
	return c, err
}

var connectionCases = []testCase{
	{"it comes back, and its code stands for its grant alone", func(w *world) {
		for _, id := range []string{"g", "h"} {
			_, err := w.Issue(w.ctx, connected(id))
			w.must(err)
			got, err := w.connection(id)
			w.must(err)
			w.equal("connection", got, store.Connection{Environment: env, Grant: id, Token: "id-token of " + id, UserSecret: "secret of " + id})
		}
		permanent := limited("access")
		permanent.Class, permanent.ID = store.ExchangeAccess, "id-token of g"
		_, err := w.redeem("g", func(r *store.Redeem) { r.Grant, r.Token = "g", permanent })
		w.must(err)
		permanent.Grant = "g"
		w.equal("token", w.token("access"), permanent)
		_, err = w.redeem("h", func(r *store.Redeem) { r.Grant = "g" })
		w.fails(err, store.ErrMismatch)
	}},
	{"unknown", func(w *world) {
		w.issue("g", full)
		_, err := w.Issue(w.ctx, connected("h"))
		w.must(err)
		for _, id := range []string{"nothing", "g"} { // a grant without one
			_, err := w.connection(id)
			w.fails(err, store.ErrNotFound)
		}
		w.view(func(r store.Reader) error {
			_, err := r.Connection(store.Production, "h")
			w.fails(err, store.ErrNotFound)
			return nil
		})
	}},
	{"those of living grants are listed", func(w *world) {
		for _, id := range []string{"h", "g", "dead", "i"} {
			_, err := w.Issue(w.ctx, connected(id))
			w.must(err)
		}
		w.issue("without", full)
		w.kill(store.KindGrant, "dead")
		w.view(func(r store.Reader) error {
			connections, err := r.Connections(env)
			var ids []string
			for i := range connections {
				w.equal("secret", connections[i].UserSecret, "secret of "+connections[i].Grant)
				ids = append(ids, connections[i].Grant)
			}
			w.equal("ids", ids, []string{"g", "h", "i"})
			others, err2 := r.Connections(store.Production)
			w.equal("in the other environment", len(others), 0)
			return errors.Join(err, err2)
		})
	}},
	{"none is left of a grant that failed", func(w *world) {
		w.issue("taken")
		req := connected("g")
		req.Tokens = []store.Token{refresh("token taken")}
		_, err := w.Issue(w.ctx, req)
		w.fails(err, store.ErrExists)
		_, err = w.connection("g")
		w.fails(err, store.ErrNotFound)
		_, err = w.Issue(w.ctx, connected("g"))
		w.must(err)
	}},
	{"it is known as long as its grant, dead or alive", func(w *world) {
		_, err := w.Issue(w.ctx, connected("g"))
		w.must(err)
		w.kill(store.KindGrant, "g")
		_, err = w.connection("g")
		w.must(err)
		w.equal("early", w.collect(keep+30*time.Minute-time.Millisecond), store.Collected{})
		w.equal("late", w.collect(keep+30*time.Minute), store.Collected{Grants: 1})
		_, err = w.connection("g")
		w.fails(err, store.ErrNotFound)
	}},
}
