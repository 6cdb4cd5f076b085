package sqlite

import (
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A personal token whose end was brought forward has its old end in an older copy,
// or none. It must not live by that.
func TestReplayEndsTokensThatWereRotatedSince(t *testing.T) {
	path := inside(t)
	s := opened(t, Options{Path: path})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(id string) error {
		return s.Update(t.Context(), func(w store.Writer) error { return w.RotateToken(env, id, now, now.Add(time.Hour)) })
	}
	for _, id := range []string{"since", "before", "never"} {
		_, err := s.Issue(t.Context(), store.Issue{
			Grant:  store.Grant{Environment: env, ID: "grant of " + id, Principal: "ann", Client: "app", Created: now},
			Tokens: []store.Token{{ID: id, Hash: hash(id), Class: store.Personal, KeyID: "k", Created: now}},
		})
		must(err)
	}
	must(rotate("before"))
	backup, err := s.Backup(t.Context(), now)
	must(err)
	must(rotate("since"))
	must(s.Close())
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Changed: []Changed{
		{env, "token:since"}, {env, "token:before"}, {env, "token:made after the copy"},
	}})
	if done.Rotated != 1 || len(done.Unknown) != 0 {
		t.Errorf("%+v", done)
	}
	for id, revoked := range map[string]bool{"since": true, "before": false, "never": false} {
		row, _, err := s.TokenByHash(t.Context(), env, hash(id))
		must(err)
		if revoked == row.Revoked.IsZero() || id == "before" && !row.Expires.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: revoked %s, expires %s", id, row.Revoked, row.Expires)
		}
	}
}
