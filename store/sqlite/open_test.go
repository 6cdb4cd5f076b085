package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestReopenKeepsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20.db") // nothing of it is a parameter
	s := opened(t, Options{Path: path})
	for _, err := range []error{issue(s, "g"), redeem(s, "g", "t1"), renew(s, "t1", "t2"), revokeGrant(s, "g")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, cursor, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := opened(t, Options{Path: path})
	if again.identity != s.identity || len(s.identity) != 32 {
		t.Errorf("identity was %q and is %q", s.identity, again.identity)
	}
	token, st, err := again.TokenByHash(t.Context(), env, hash("t2"))
	if err != nil || !token.Head() || !st.Dead() {
		t.Errorf("token %+v of %+v: %v", token, st.Grant, err)
	}
	if revs, _, err := again.Tail(t.Context(), cursor); err != nil || len(revs) != 0 {
		t.Errorf("tail %v, %v", revs, err)
	}
	if n := count(t, again, `SELECT count(*) FROM audit`); n != 4 {
		t.Errorf("%d audit rows", n)
	}
}

func TestCursorOfAnotherDatabase(t *testing.T) {
	a, b := opened(t, Options{}), opened(t, Options{})
	_, cursor, err := a.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Tail(t.Context(), cursor); err == nil {
		t.Error("it was accepted")
	}
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := map[string]struct{ path, says string }{
		"no path":             {"", "no path"},
		"missing folder":      {filepath.Join(folder, "missing", "bearer.db"), "folder of the database"},
		"path is a folder":    {folder, "not a regular file"},
		"folder is a file":    {filepath.Join(file("plain", ""), "bearer.db"), "not a directory"},
		"not a database":      {file("text.db", strings.Repeat("dear diary, ", 1000)), "not a database"},
		"damaged schema":      {damaged(t, file), "malformed"},
		"newer schema":        {newer(t), "version 999"},
		"no files can appear": {"/proc/bearer.db", "create a file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(c.path, "/proc") && runtime.GOOS != "linux" {
				t.Skip("needs a folder that refuses the superuser")
			}
			s, err := Open(t.Context(), Options{Path: c.path, LockWait: time.Millisecond})
			if err == nil {
				_ = s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("error %q does not say %q and the path", err, c.says)
			}
		})
	}
}

// damaged is a database whose first page is overwritten behind its header.
func damaged(t *testing.T, file func(name, content string) string) string {
	path := inside(t)
	if err := opened(t, Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[100:4096], strings.Repeat("\xff", 3996))
	return file("damaged.db", string(content))
}

// newer is a database that a later program has migrated.
func newer(t *testing.T) string {
	path := inside(t)
	if err := opened(t, Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", address(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLockWithinOneProcess(t *testing.T) {
	path := inside(t)
	first := opened(t, Options{Path: path})
	_, err := Open(t.Context(), Options{Path: path, LockWait: time.Millisecond})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second store: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: link, LockWait: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("by another name: %v", err)
	}
	// What failed to open must not have loosened the first one's lock.
	if _, err := Open(t.Context(), Options{Path: path, LockWait: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("third store: %v", err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(impatient, Options{Path: path, LockWait: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Errorf("impatient: %v", err)
	}
	second := make(chan error)
	go func() {
		s, err := Open(context.Background(), Options{Path: path, LockWait: time.Minute})
		if err == nil {
			err = s.Close()
		}
		second <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestFirstOpenersRace(t *testing.T) {
	path := inside(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			s, err := Open(context.Background(), Options{Path: path, LockWait: time.Minute})
			if err == nil {
				err = errors.Join(populate(s), s.Close())
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		version string
		want    bool
	}{{"3.51.2", true}, {"3.51.3", false}, {"3.53.0", false}, {"3.9.9", true}, {"4.0.0", false}, {"3.51", true}} {
		if got := older(c.version, leastVersion); got != c.want {
			t.Errorf("older(%s) = %v", c.version, got)
		}
	}
}

func TestPanicInViewGivesTheReaderBack(t *testing.T) {
	s := opened(t, Options{})
	for range cap(s.readers) + 1 {
		func() {
			defer func() { _ = recover() }()
			_ = s.View(t.Context(), func(store.Reader) error { panic("at the disco") })
		}()
	}
	if err := s.View(t.Context(), func(store.Reader) error { return nil }); err != nil {
		t.Error(err)
	}
}

// What durability and consistency rest on is asked of the connections
// themselves: no crash of a process alone can show that an fsync is missing.
func TestConnections(t *testing.T) {
	s := opened(t, Options{})
	err := s.submit(t.Context(), func(tx *tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "2"} {
			var got string
			if err := tx.get([]any{&got}, `PRAGMA `+pragma); err != nil {
				return err
			}
			if got != want {
				t.Errorf("the writer's %s is %s, want %s", pragma, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = s.snapshot(t.Context(), func(r *session) error {
		_, err := r.exec(`DELETE FROM binding`)
		return err
	})
	if err == nil {
		t.Error("a reader has written")
	}
}
