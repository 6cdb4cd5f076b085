package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// olderDatabase is one as an older program has left it: its schema is of a
// version, and the queries have put records there.
func olderDatabase(t *testing.T, version int64, queries ...string) (path string) {
	t.Helper()
	path = inside(t)
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	db, err := openWriter(t.Context(), path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrateTo(t.Context(), db, version); err != nil {
		t.Fatal(err)
	}
	for _, query := range queries {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatalf("%v: %s", err, query)
		}
	}
	return path
}

func migrateTo(ctx context.Context, db *sql.DB, version int64) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

// A database from before people knows their records and keeps its own.
func TestRecordsOfVersion3LiveOn(t *testing.T) {
	old := hash("code old")
	used := hash("code used")
	first, personal := hash("refresh"), hash("personal")
	blob := func(h store.Hash) string { return fmt.Sprintf("x'%x'", h[:]) }
	path := olderDatabase(t, 3,
		`INSERT INTO meta VALUES ('identity', 'of before')`,
		`UPDATE counter SET value = 41`,
		`INSERT INTO principal VALUES ('production', 'ann', 'user', 'Ann', 's1', 'read trade', 'active', 'command', 7, 8, 1)`,
		`INSERT INTO client VALUES ('production', 'app', 'App', 's2', 'read', 'active', 'command', 5, 6, 2)`,
		`INSERT INTO account VALUES ('production', '1001', 'trading', 'No. 1', 'active', 'config', 4, 3)`,
		`INSERT INTO binding VALUES ('production', 'ann', '1001', 'partial', 'read', 'command')`,
		`INSERT INTO grants VALUES ('production', 'g', 'ann', 'app', 'trade read', 7, 1777896000000000, 0, 0, '', 0)`,
		`INSERT INTO grant_account VALUES ('production', 'g', '1001', 0)`,
		`INSERT INTO code VALUES ('production', `+blob(old)+`, 'k', 'g', 1777899600000000, 0, '')`,
		`INSERT INTO code VALUES ('production', `+blob(used)+`, 'k', 'g', 1777899600000000, 1777896000000000, 'app')`,
		`INSERT INTO token (environment, id, hash, class, grant_id, key_id, nonce, created, expires)
			VALUES ('production', 'r', `+blob(first)+`, 'refresh', 'g', 'k', x'01', 1777896000000000, 1777899600000000)`,
		`INSERT INTO token (environment, id, hash, class, grant_id, key_id, created, expires, label, networks, rate_requests, rate_per, used)
			VALUES ('production', 'p', `+blob(personal)+`, 'personal', 'g', 'k', 1777896000000000, 0, 'mine', '192.0.2.0/24', 6, 1000000, 5)`,
		`INSERT INTO revocation (environment, kind, target, number, at, expires, reason) VALUES ('production', 'principal', 'ann', 7, 1, 0, 'x')`,
		`INSERT INTO audit (environment, at, actor, action, target, outcome, request_id) VALUES ('production', 1, 'a', 'b', 'c', 'ok', '')`,
	)
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if s.identity != "of before" {
		t.Errorf("identity %q", s.identity)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		c, err1 := r.Client(env, "app")
		p, err2 := r.Principal(env, "ann")
		mine, err3 := r.Token(env, "p")
		rows, err4 := r.Audit(env, store.AuditFilter{})
		if c.Name != "App" || c.SecretHash != "s2" || c.Epoch != 5 || c.Rights != 6 || c.Public || c.Exchange || c.RedirectURIs != nil ||
			c.PKCEOptional || c.StateOptional || c.Owner != "" || c.Description != "" {
			t.Errorf("client %+v", c)
		}
		if p.Epoch != 7 || p.Rights != 8 || len(p.MaxScopes) != 2 {
			t.Errorf("principal %+v", p)
		}
		if mine.Label != "mine" || mine.Creator != "" || mine.Sealed != nil || mine.Rate.Requests != 6 || len(mine.Networks) != 1 {
			t.Errorf("token %+v", mine)
		}
		if len(rows) != 1 {
			t.Errorf("%d rows of the audit trail", len(rows))
		}
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		t.Error(err)
	}
	if err := redeem(s, "old", "t"); err != nil {
		t.Errorf("a code from before: %v", err)
	}
	if err := renew(s, "refresh", "next"); err != nil {
		t.Errorf("a refresh token from before: %v", err)
	}
	if err := errors.Join(populate(s), issueTrading(s, "shared"), present(s, "shared"), signIn(s, "cookie"), linkApp(s, "connection")); err != nil {
		t.Errorf("what is new: %v", err)
	}
	if err := redeem(s, "used", "u"); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("a code that was used before: %v", err)
	}
	if n := count(t, s, `SELECT count(*) FROM pragma_foreign_key_check`); n != 0 {
		t.Errorf("%d rows refer to nothing", n)
	}
}

// A backup that an older program has made is restored like any other.
func TestRestoreOfACopyOfVersion3(t *testing.T) {
	backup := olderDatabase(t, 3,
		`INSERT INTO meta VALUES ('identity', 'of before'), ('backup', '2026-05-04T12:00:00Z')`,
		`INSERT INTO principal VALUES ('production', 'ann', 'user', 'Ann', '', '', 'active', 'command', 0, 0, 1)`)
	for _, choice := range []Choice{Replay, EndAll} {
		s, done := restored(t, Restoration{From: backup, Path: inside(t), Choice: choice})
		if done.Identity != "of before" {
			t.Errorf("%s: %+v", choice, done)
		}
		if err := signIn(s, "cookie"); err != nil {
			t.Errorf("%s: %v", choice, err)
		}
	}
}
