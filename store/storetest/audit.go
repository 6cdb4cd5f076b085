package storetest

import (
	"cmp"
	"errors"
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
			Subject: "user:bob", Outcome: "done", Reason: "lost", Address: "192.0.2.1", RequestID: "r1", Count: 7,
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
			events, err := r.Audit(env, store.AuditFilter{Limit: 2})
			w.equal("count", len(events), 2)
			w.equal("newest", events[0].Target, "grant:g4")
			return err
		})
	}},
	{"a list is narrowed by each filter, and by all of them", func(w *world) {
		for i, e := range []store.Event{
			{Actor: "client:a", Action: "x", Target: "grant:g", Outcome: "ok"},
			{Actor: "client:b", Action: "x", Target: "grant:h", Outcome: "refused"},
			{Actor: "client:a", Action: "y", Target: "grant:h", Outcome: "ok"},
			{Actor: "client:a", Action: "y", Target: "grant:g", Outcome: "refused", Environment: store.Production},
			{Actor: "client:a", Action: "y", Target: "grant:g", Outcome: "refused", Environment: store.Everywhere},
		} {
			e.At = now.Add(time.Duration(i) * time.Minute)
			w.record(e)
		}
		for _, c := range []struct {
			filter store.AuditFilter
			want   []int64
		}{
			{store.AuditFilter{}, []int64{5, 3, 2, 1}},
			{store.AuditFilter{Actor: "client:a"}, []int64{5, 3, 1}},
			{store.AuditFilter{Action: "x"}, []int64{2, 1}},
			{store.AuditFilter{Target: "grant:h"}, []int64{3, 2}},
			{store.AuditFilter{Outcome: "refused"}, []int64{5, 2}},
			{store.AuditFilter{Since: now.Add(2 * time.Minute)}, []int64{5, 3}},
			{store.AuditFilter{Until: now.Add(2 * time.Minute)}, []int64{2, 1}},
			{store.AuditFilter{Actor: "client:a", Action: "x", Target: "grant:g", Outcome: "ok", Since: now, Until: now.Add(time.Second), Limit: 9}, []int64{1}},
			{store.AuditFilter{Actor: "client:"}, nil},
		} {
			var got []int64
			for _, row := range w.filtered(c.filter) {
				got = append(got, row.Sequence)
			}
			w.equal(fmt.Sprintf("rows by %+v", c.filter), got, c.want)
		}
	}},
	{"rows of all environments are one sequence, oldest first", func(w *world) {
		for _, e := range []store.Environment{env, store.Production, store.Everywhere, env} {
			w.record(store.Event{Environment: e, At: now, Actor: "a", Action: "b"})
		}
		w.equal("all", w.rows(0, 9), [][2]any{
			{int64(1), env}, {int64(2), store.Production}, {int64(3), store.Everywhere}, {int64(4), env},
		})
		w.equal("some", w.rows(1, 2), [][2]any{{int64(2), store.Production}, {int64(3), store.Everywhere}})
		w.equal("none", len(w.rows(4, 9)), 0)
		w.equal("none at most", len(w.rows(0, 0)), 0)
	}},
	{"a change that is rolled back leaves no gap", func(w *world) {
		w.record(store.Event{At: now, Actor: "a"})
		fails := errors.New("fails")
		w.fails(w.Update(w.ctx, func(x store.Writer) error {
			return errors.Join(x.Record(store.Event{Environment: env, At: now, Actor: "lost"}), fails)
		}), fails)
		w.record(store.Event{At: now, Actor: "b"})
		w.equal("rows", w.rows(0, 9), [][2]any{{int64(1), env}, {int64(2), env}})
	}},
	{"many writers leave no gap", func(w *world) {
		const writers = 20
		for _, err := range race(writers, func(i int) error {
			return w.Update(w.ctx, func(x store.Writer) error {
				return x.Record(store.Event{Environment: env, At: now, Actor: fmt.Sprint(i)})
			})
		}) {
			w.must(err)
		}
		for i, row := range w.rows(0, 2*writers) {
			w.equal("sequence", row[0], int64(i+1))
		}
		w.equal("count", len(w.rows(0, 2*writers)), writers)
	}},
	{"seals are kept as they were given", func(w *world) {
		w.view(func(r store.Reader) error {
			_, err := r.LastAuditSeal()
			w.fails(err, store.ErrNotFound)
			return nil
		})
		first, second := seal(1, 7), seal(8, 8)
		w.must(w.putSeal(first))
		w.must(w.putSeal(second))
		w.view(func(r store.Reader) error {
			last, err := r.LastAuditSeal()
			w.must(err)
			w.equal("last", last, second)
			for after, want := range map[int64][]store.AuditSeal{0: {first, second}, 6: {first, second}, 7: {second}, 8: nil} {
				got, err := r.AuditSeals(after, 9)
				w.must(err)
				w.equal("seals", got, want)
			}
			got, err := r.AuditSeals(0, 1)
			w.equal("one seal", got, []store.AuditSeal{first})
			return err
		})
	}},
	{"a seal that does not follow the last one is refused", func(w *world) {
		w.fails(w.putSeal(seal(2, 3)), store.ErrExists)
		w.must(w.putSeal(seal(1, 3)))
		for _, s := range []store.AuditSeal{seal(1, 3), seal(3, 4), seal(5, 6), seal(4, 3)} {
			w.fails(w.putSeal(s), store.ErrExists)
		}
	}},
}

func seal(first, last int64) store.AuditSeal {
	return store.AuditSeal{
		First: first, Last: last, At: now, Digest: hash(fmt.Sprint(last)),
		Checks: []byte{1, 2}, KeyID: "k1", Signature: []byte{3, 4},
	}
}

func (w *world) putSeal(s store.AuditSeal) error {
	return w.Update(w.ctx, func(x store.Writer) error { return x.PutAuditSeal(s) })
}

// record adds an event, of the usual environment unless it names another.
func (w *world) record(e store.Event) {
	w.Helper()
	e.Environment = cmp.Or(e.Environment, env)
	w.update(func(x store.Writer) error { return x.Record(e) })
}

// rows are sequence and environment of the trail's rows.
func (w *world) rows(after int64, limit int) (rows [][2]any) {
	w.Helper()
	w.view(func(r store.Reader) error {
		found, err := r.AuditRows(after, limit)
		for i := range found {
			rows = append(rows, [2]any{found[i].Sequence, found[i].Environment})
		}
		return err
	})
	return rows
}
