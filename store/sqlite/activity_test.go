package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// What programs do by themselves may be thousands of rows a second. None of them is
// in the indexes by which people look up what happened.
func TestHotPathsAreInNoIndexOfPeople(t *testing.T) {
	s := opened(t, Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(issue(s, "g")) // by nobody for ann: one row
	must(redeem(s, "g", "first"))
	must(renew(s, "first", "second"))
	must(s.Update(t.Context(), func(w store.Writer) error {
		return errors.Join(
			w.PutPrincipal(store.Principal{Environment: env, ID: "app", Kind: store.ClientPrincipal, Status: store.Active, Source: store.FromConfig}),
			w.PutPrincipal(store.Principal{Environment: env, ID: "robot", Kind: store.Service, Status: store.Active, Source: store.FromConfig}),
			w.Record(store.Event{Environment: env, At: now, Actor: "client:app", Action: "client.sign_in", Target: "grant:g"}))
	}))
	for id, principal := range map[string]string{"own": "app", "robots": "robot"} {
		_, err := s.Issue(t.Context(), store.Issue{
			Grant: store.Grant{Environment: env, ID: id, Principal: principal, Client: "app", Created: now, Expires: now.Add(time.Hour)},
			Event: store.Event{Actor: "client:app"},
		})
		must(err)
	}
	all := count(t, s, `SELECT count(*) FROM audit`)
	people := count(t, s, `SELECT count(*) FROM audit INDEXED BY audit_by_user WHERE environment <> '' AND substr(actor, 1, 5) = 'user:'`) +
		count(t, s, `SELECT count(*) FROM audit INDEXED BY audit_by_subject WHERE environment <> '' AND subject <> ''`)
	if all != 6 || people != 1 {
		t.Errorf("of %d rows %d are in an index of people, want 1 of 6", all, people)
	}
}

// A page of what happened costs as much as it shows: nothing is sorted, and the trail
// of others is not walked through.
func TestActivityIsReadFromItsEnd(t *testing.T) {
	s := opened(t, Options{})
	filters := map[string]store.AuditFilter{
		"all":      {Limit: 50},
		"narrowed": {Limit: 50, Before: 9, Since: now, Until: now, Actions: []string{"a", "b"}, Refused: true},
	}
	for name, filter := range filters {
		for _, from := range []string{byUser, bySubject} {
			query, args := narrowing(from, []any{env, "user:ann"}, &filter)
			var steps []string
			err := s.snapshot(context.Background(), func(r *session) error {
				return r.each(func(scan func(...any) error) error {
					var id, parent, unused int64
					var step string
					err := scan(&id, &parent, &unused, &step)
					steps = append(steps, step)
					return err
				}, `EXPLAIN QUERY PLAN `+query, args...)
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(steps) != 1 || !strings.HasPrefix(steps[0], "SEARCH e USING INDEX audit_by_") {
				t.Errorf("%s by %s: %q", name, from, steps)
			}
		}
	}
}

// Rows from before there were subjects are there as they were.
func TestActivityFromBeforeSubjects(t *testing.T) {
	path := olderDatabase(t, 4,
		`INSERT INTO meta VALUES ('identity', 'of before')`,
		`INSERT INTO audit (environment, at, actor, action, target, outcome, request_id) VALUES
			('production', 1, 'user:ann', 'user.sign_in', 'c', 'ok', ''), ('production', 2, 'client:app', 'token.renew', 'grant:g', 'ok', '')`)
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	err = s.View(t.Context(), func(r store.Reader) error {
		rows, err := r.Audit(env, store.AuditFilter{User: "ann"})
		if len(rows) != 1 || rows[0].Sequence != 1 || rows[0].Subject != "" {
			t.Errorf("ann's rows: %+v", rows)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
