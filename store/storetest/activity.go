package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// last is the newest line of the trail.
func (w *world) last() store.Event {
	w.Helper()
	return w.filtered(store.AuditFilter{Limit: 1})[0].Event
}

// subjects are action, outcome and subject of the events, oldest first.
func (w *world) subjects() (lines [][3]string) {
	w.Helper()
	events := w.audit()
	for i := range events {
		e := events[len(events)-1-i]
		lines = append(lines, [3]string{e.Action, e.Outcome, e.Subject})
	}
	return lines
}

// byAnn has ann as the one who did it.
func byAnn(action string) store.Event {
	return store.Event{Actor: store.UserWord(ann), Action: action}
}

var activityCases = []testCase{
	{"a flow says whom it concerns where somebody else did it", func(w *world) {
		w.openTrading()
		w.issue("g")
		_, err := w.Issue(w.ctx, store.Issue{Grant: grant("own"), Event: byAnn("code.issue")})
		w.must(err)
		w.trade("shared")
		_, err = w.redeem("g")
		w.must(err)
		_, err = w.renew("token g", "second")
		w.must(err)
		_, _, err = w.present("shared", 0)
		w.must(err)
		w.equal("trail", w.subjects(), [][3]string{
			{"grant.issue", "ok", "user:ann"},
			{"code.issue", "ok", ""}, // the actor is ann
			{"grant.issue", "ok", store.AccountWord(full)},
			{"code.redeem", "ok", ""}, {"token.renew", "ok", ""}, {"token.present", "ok", ""}, // hot, and as it should be
		})
	}},
	{"what is misused says whose it is", func(w *world) {
		w.issue("g")
		w.issue("h")
		w.issue("i")
		_, err := w.redeem("g", func(r *store.Redeem) { r.Client = thief })
		w.fails(err, store.ErrOtherClient)
		w.equal("other client", w.last().Subject, "user:ann")
		_, err = w.redeem("g")
		w.fails(err, store.ErrReplayed)
		w.equal("replayed", w.last().Subject, "user:ann")
		_, err = w.redeem("h", func(r *store.Redeem) { r.RedirectURI = "https://elsewhere.example.com" })
		w.fails(err, store.ErrMismatch)
		w.equal("mismatch", w.last().Subject, "user:ann")
		_, err = w.renew("token i", "second")
		w.must(err)
		_, err = w.renew("token i", "unused", renewAfter(time.Hour))
		w.fails(err, store.ErrReused)
		w.equal("reused", w.last().Subject, "user:ann")
	}},
	{"a revocation says whose it was", func(w *world) {
		w.openTrading()
		own := client(env, "hers")
		own.Owner = ann
		w.update(func(x store.Writer) error {
			p := principal(env)
			p.ID, p.Kind = "robot", store.Service
			return errors.Join(x.PutClient(own), x.PutPrincipal(p))
		})
		w.issue("g")
		w.issue("h")
		w.trade("shared")
		for _, c := range []struct {
			kind         store.Kind
			target, want string
		}{
			{store.KindGrant, "g", "user:ann"}, {store.KindToken, "id-token h", "user:ann"}, {store.KindToken, "a signed one", ""},
			{store.KindGrant, "grant shared", store.AccountWord(full)}, {store.KindAccount, full, store.AccountWord(full)},
			{store.KindPrincipal, ann, "user:ann"}, {store.KindPrincipal, full, store.AccountWord(full)}, {store.KindRights, ann, "user:ann"},
			{store.KindPrincipal, "robot", ""}, {store.KindClient, app, ""}, {store.KindClient, "hers", "user:ann"},
		} {
			w.kill(c.kind, c.target)
			w.equal(string(c.kind)+" "+c.target, w.last().Subject, c.want)
		}
		w.issue("j")
		_, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: store.KindGrant, Target: "j", At: now}, byAnn("grant.revoke"))
		w.must(err)
		w.equal("by herself", w.last().Subject, "")
	}},
	{"a user is shown what it did and what was done to what is its own", func(w *world) {
		for i, e := range []store.Event{
			{Actor: "user:ann", Action: "a", Outcome: "ok"},
			{Actor: "user:bob", Action: "a", Outcome: "ok"},
			{Actor: "user:bob", Action: "b", Subject: store.AccountWord(full), Outcome: "ok"},
			{Actor: "operator:admin", Action: "b", Subject: "user:ann", Outcome: "refused"},
			{Actor: "operator:admin", Action: "b", Subject: "user:ann", Outcome: "ok", Environment: store.Production},
			{Actor: "user:ann", Action: "c", Subject: store.AccountWord(full), Outcome: "ok"},
			{Actor: store.AccountWord(full), Action: "c", Outcome: "ok"}, // what an account does by itself is nobody's to see
			{Actor: "user:anna", Action: "c", Subject: "user:bob", Outcome: "ok"},
			{Actor: "client:app", Action: "d", Subject: store.AccountWord(part), Outcome: "ok", Environment: store.Everywhere},
			{Actor: "client:app", Action: "d", Subject: store.AccountWord(part), Outcome: "ok"},
		} {
			e.At = now.Add(time.Duration(i) * time.Minute)
			w.record(e)
		}
		for _, c := range []struct {
			filter store.AuditFilter
			want   []int64
		}{
			{store.AuditFilter{User: ann}, []int64{6, 4, 1}},
			{store.AuditFilter{User: ann, Accounts: []string{full}}, []int64{6, 4, 3, 1}},
			{store.AuditFilter{User: ann, Accounts: []string{full, part}}, []int64{10, 6, 4, 3, 1}},
			{store.AuditFilter{User: ann, Accounts: []string{full, part}, Limit: 3}, []int64{10, 6, 4}},
			{store.AuditFilter{User: ann, Accounts: []string{full, part}, Before: 6}, []int64{4, 3, 1}},
			{store.AuditFilter{User: ann, Accounts: []string{full}, Actions: []string{"a", "b"}}, []int64{4, 3, 1}},
			{store.AuditFilter{User: ann, Refused: true}, []int64{4}},
			{store.AuditFilter{User: ann, Since: now.Add(time.Minute), Until: now.Add(5 * time.Minute)}, []int64{4}},
			{store.AuditFilter{User: "nobody"}, nil},
			{store.AuditFilter{Before: 3}, []int64{2, 1}},
		} {
			var got []int64
			for _, row := range w.filtered(c.filter) {
				got = append(got, row.Sequence)
			}
			w.equal(fmt.Sprintf("rows by %+v", c.filter), got, c.want)
		}
	}},
	{"a user and an account of one name are two", func(w *world) {
		w.record(store.Event{At: now, Actor: "operator:admin", Subject: store.UserWord(full)})
		w.equal("of the account", len(w.filtered(store.AuditFilter{User: ann, Accounts: []string{full}})), 0)
		w.equal("of the user", len(w.filtered(store.AuditFilter{User: full})), 1)
	}},
}
