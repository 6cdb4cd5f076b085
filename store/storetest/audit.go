package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// trail is actor, action, target and outcome of the events, oldest first.
func trail(w *world) [][4]string {
	w.Helper()
	events := w.audit()
	lines := make([][4]string, 0, len(events))
	for i := range events {
		e := events[len(events)-1-i]
		w.equal("environment", e.Environment, env)
		w.equal("has an instant", e.At.IsZero(), false)
		lines = append(lines, [4]string{e.Actor, e.Action, e.Target, e.Outcome})
	}
	return lines
}

var auditCases = []testCase{
	{"every flow leaves its line", func(w *world) {
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
		_, err = w.renew("token g", "second")
		w.must(err)
		_, err = w.renew("token g", "unused")
		w.must(err)
		w.kill(store.KindPrincipal, ann)
		w.equal("trail", trail(w), [][4]string{
			{"", "grant.issue", "grant:g", "ok"},
			{"client:app", "code.redeem", "grant:g", "ok"},
			{"client:app", "token.renew", "grant:g", "ok"},
			{"client:app", "token.renew", "grant:g", "retried"},
			{"", "principal.revoke", "principal:ann", "ok"},
		})
	}},
	{"crimes are named whatever the caller expected", func(w *world) {
		optimist := store.Event{Outcome: "ok"}
		w.issue("g")
		w.issue("h")
		_, err := w.redeem("g", func(r *store.Redeem) { r.Client, r.Event = thief, optimist })
		w.fails(err, store.ErrOtherClient)
		_, err = w.redeem("g", func(r *store.Redeem) { r.Event = optimist })
		w.fails(err, store.ErrReplayed)
		_, err = w.renew("token h", "second")
		w.must(err)
		_, err = w.renew("token h", "unused", renewAfter(time.Hour), func(r *store.Renew) { r.Event = optimist })
		w.fails(err, store.ErrReused)
		lines := trail(w)
		w.equal("burnt", lines[2], [4]string{"client:thief", "code.redeem", "grant:g", "other_client"})
		w.equal("replayed", lines[3], [4]string{"client:app", "code.redeem", "grant:g", "replayed"})
		w.equal("reused", lines[5], [4]string{"client:app", "token.renew", "grant:h", "reused"})
	}},
	{"caller's words are kept", func(w *world) {
		event := store.Event{
			Environment: env, At: now.Add(time.Second), Actor: "operator:admin", Action: "cut", Target: "client:app (all)",
			Outcome: "done", Reason: "lost", Address: "192.0.2.1", RequestID: "r1", Count: 7,
		}
		_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: store.KindClient, Target: app, At: now}, event)
		w.must(err)
		w.equal("event", w.audit()[0], event)
	}},
	{"refusals that change nothing leave no line", func(w *world) {
		w.issue("g")
		lines := len(w.audit())
		_, err := w.redeem("nothing")
		w.fails(err, store.ErrNotFound)
		_, err = w.redeem("g", redeemAfter(time.Hour))
		w.fails(err, store.ErrExpired)
		_, err = w.renew("token g", "x", func(r *store.Renew) { r.Client = thief })
		w.fails(err, store.ErrOtherClient)
		w.equal("lines", len(w.audit()), lines)
	}},
	{"newest first, at most so many", func(w *world) {
		for i := range 5 {
			w.issue(fmt.Sprintf("g%d", i))
		}
		w.view(func(r store.Reader) error {
			events, err := r.Audit(env, 2)
			w.equal("count", len(events), 2)
			w.equal("newest", events[0].Target, "grant:g4")
			return err
		})
	}},
}
