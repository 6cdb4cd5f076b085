package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A backup that is made while everybody writes has all that was acknowledged
// before, and nothing by halves.
func TestBackupWhileEverybodyWrites(t *testing.T) {
	s := opened(t, Options{})
	var mu sync.Mutex
	acknowledged := map[string][]string{}
	rounds := make(chan struct{}, 1000) // one for each revocation that was acknowledged
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				for _, step := range []struct {
					name string
					run  func() error
				}{
					{"issued", func() error { return issue(s, id) }},
					{"redeemed", func() error { return redeem(s, id, id+" 1") }},
					{"renewed", func() error { return renew(s, id+" 1", id+" 2") }},
					{"revoked", func() error { return revokeGrant(s, id) }},
				} {
					if err := step.run(); err != nil {
						t.Error(err)
						stop()
						return
					}
					mu.Lock()
					acknowledged[step.name] = append(acknowledged[step.name], id)
					mu.Unlock()
				}
				select {
				case rounds <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range 2 {
		for range 20 {
			select {
			case <-rounds:
			case <-ctx.Done():
				t.FailNow()
			}
		}
		mu.Lock()
		before := map[string][]string{}
		for what, ids := range acknowledged {
			before[what] = slices.Clone(ids)
		}
		mu.Unlock()
		path, err := s.Backup(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		info, err := Inspect(t.Context(), path)
		if err != nil || info.Identity != s.identity || info.Backup != "2026-05-04T12:00:00Z" {
			t.Errorf("the copy is %+v, %v", info, err)
		}
		survey(t, path, before)
		t.Logf("%d revocations acknowledged before a backup of %d bytes", len(before["revoked"]), info.Size)
	}
	stop()
	writers.Wait()
	if n := count(t, s, `SELECT count(*) FROM meta WHERE key = 'backup'`); n != 0 {
		t.Error("the database itself is marked as a copy")
	}
}

func TestBackupIsForItsOwnerAlone(t *testing.T) {
	s := opened(t, Options{})
	path, err := s.Backup(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestBackupLeavesNothingBehindWhenItFails(t *testing.T) {
	s := opened(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, now); err == nil {
		t.Error("it ignored its context")
	}
	if left, _ := filepath.Glob(s.path + backupSuffix + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestClosingEndsABackup(t *testing.T) {
	s := opened(t, Options{})
	s.ending() // what Close does first
	if _, err := s.Backup(t.Context(), now); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(s.path + backupSuffix + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOpenRemovesAnUnfinishedBackup(t *testing.T) {
	path := inside(t)
	left, other := path+backupSuffix+"123", path+".before-20260504T120000Z"
	for _, file := range []string{left, other} {
		if err := os.WriteFile(file, []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened(t, Options{Path: path})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("what isn't ours to remove: %v", err)
	}
}

func TestInspectRefuses(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct{ path, says string }{
		"missing":        {filepath.Join(folder, "nothing.db"), "no such file"},
		"a folder":       {folder, "is not a file"},
		"empty":          {file("empty.db", ""), "no database of caddy-bearer"},
		"not a database": {file("text.db", strings.Repeat("dear diary, ", 1000)), "not a database"},
		"cut short":      {file("cut.db", cutShort(t)), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Inspect(t.Context(), c.path); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want it to say %q", err, c.says)
			}
		})
	}
}

// cutShort is a backup of which the second half is missing.
func cutShort(t *testing.T) string {
	s := opened(t, Options{})
	path, err := s.Backup(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content[:len(content)/2])
}

// restored makes a copy the database and opens it.
func restored(t *testing.T, r Restoration) (*Store, Restored) {
	t.Helper()
	r.At, r.LockWait = now.Add(time.Hour), 20*time.Millisecond
	done, err := Restore(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: r.Path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, done
}

// lost is a database that was backed up, lived on and was closed. What was
// revoked since the backup is returned.
func lost(t *testing.T) (path, backup string, since []store.Revocation) {
	t.Helper()
	path = inside(t)
	s := opened(t, Options{Path: path})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"kept", "killed", "unused"} {
		must(issue(s, id))
	}
	must(redeem(s, "kept", "t kept"))
	must(redeem(s, "killed", "t killed"))
	must(s.Update(t.Context(), func(w store.Writer) error {
		return errors.Join(
			w.SetMeta(metaGeneration, "7"),
			w.PutAccount(store.Account{Environment: env, ID: "2002", Kind: store.Trading, Status: store.Active, Source: store.FromCommand}),
			w.PutBinding(store.Binding{Environment: env, Principal: "ann", Account: "2002", Access: store.Full, Source: store.FromCommand}),
			w.PutClient(store.Client{Environment: env, ID: "bot", SecretHash: "old", Status: store.Active, Source: store.FromCommand}),
			w.PutSigningKey(store.SigningKey{Environment: env, ID: "key", Algorithm: "ES256", Sealed: []byte{1}, Created: now}))
	}))
	copied, err := s.Backup(t.Context(), now)
	must(err)
	_, cursor, err := s.Snapshot(t.Context())
	must(err)
	for _, rev := range []store.Revocation{
		{Kind: store.KindGrant, Target: "killed"},
		{Kind: store.KindToken, Target: "a jti"},
		{Kind: store.KindAccount, Target: "1001"},
		{Kind: store.KindClientRights, Target: "app"},
	} {
		rev.Environment, rev.At, rev.Reason = env, now, "since"
		_, err := s.Revoke(t.Context(), rev, store.Event{})
		must(err)
	}
	since, _, err = s.Tail(t.Context(), cursor)
	must(err)
	since = append(since, store.Revocation{Environment: env, Kind: store.KindGrant, Target: "made since", At: now})
	must(s.Close())
	backup = filepath.Join(t.TempDir(), "backup.db")
	must(os.Rename(copied, backup))
	return path, backup, since
}

func TestReplayedRevocations(t *testing.T) {
	path, backup, since := lost(t)
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Generation: 9, Revocations: since,
		Changed: []Changed{{env, "client:bot"}, {env, "client:app"}, {env, "client:nobody"}, {env, "key:x"},
			{env, "binding:ann/2002"}, {env, "binding:ann/1001"}, {env, "binding:ann/nothing"}}})
	if done.Replayed != len(since) || done.Generation != 10 || done.Refresh != 2 || done.Codes != 1 || done.Identity != s.identity {
		t.Errorf("%+v", done)
	}
	for what, pair := range map[string][2]string{
		"disabled": {fmt.Sprint(done.Disabled), "[production client:bot]"},
		"unbound":  {fmt.Sprint(done.Unbound), "[production binding:ann/2002]"},
		"unknown":  {fmt.Sprint(done.Unknown), "[production client:nobody production key:x production binding:ann/nothing]"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s, want %s", what, pair[0], pair[1])
		}
	}
	if n := count(t, s, `SELECT count(*) FROM binding`); n != 1 {
		t.Errorf("%d bindings are left", n)
	}
	log, _, err := s.Snapshot(t.Context())
	if err != nil || len(log) != len(since) {
		t.Errorf("log: %v, %v", log, err)
	}
	var account int64
	for i := range log {
		if log[i].Kind != since[i].Kind || log[i].Target != since[i].Target || log[i].Number != since[i].Number {
			t.Errorf("row %d is %+v, want %+v", i, log[i], since[i])
		}
		if log[i].Kind == store.KindAccount {
			account = log[i].Number
		}
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		g, err1 := r.Grant(env, "killed")
		a, err2 := r.Account(env, "1001")
		c, err3 := r.Client(env, "bot")
		if g.Revoked.IsZero() || g.Reason != "since" || a.Epoch != account || c.Status != store.Disabled {
			t.Errorf("%+v, %+v, %+v", g, a, c)
		}
		_, err4 := r.Meta(metaBackup)
		if !errors.Is(err4, store.ErrNotFound) {
			t.Errorf("it is still marked as a copy: %v", err4)
		}
		return errors.Join(err1, err2, err3)
	})
	if err != nil {
		t.Error(err)
	}
	// A number that was drawn since and that no journal knew is not drawn again.
	rev, err := s.Revoke(t.Context(), store.Revocation{Environment: env, Kind: store.KindClient, Target: "app", At: now}, store.Event{})
	if err != nil || rev.Number <= leap {
		t.Errorf("the next number is %d, %v", rev.Number, err)
	}
	if n := count(t, s, `SELECT count(*) FROM audit WHERE actor = 'operator:restore' AND reason = 'replay' AND environment = ?`, env); n != 1 {
		t.Errorf("%d lines in the audit trail", n)
	}
}

// Nobody knows which refresh tokens were renewed since the backup: an old one
// in a thief's hands would be the family's head again.
func TestRestoredRefreshTokensEndAndDontKillTheirGrant(t *testing.T) {
	for _, keep := range []bool{false, true} {
		path, backup, _ := lost(t)
		s, _ := restored(t, Restoration{From: backup, Path: path, Choice: Replay, KeepRefresh: keep})
		err := renew(s, "t kept", "next")
		if keep && err != nil || !keep && !errors.Is(err, store.ErrRevoked) {
			t.Errorf("kept %v: %v", keep, err)
		}
		_, st, err := s.TokenByHash(t.Context(), env, hash("t kept"))
		if err != nil || st.Dead() {
			t.Errorf("its grant: %+v, %v", st, err)
		}
		if err := redeem(s, "unused", "u"); !errors.Is(err, store.ErrReplayed) {
			t.Errorf("a code that may have been used since: %v", err)
		}
	}
}

func TestEverythingEnded(t *testing.T) {
	path, backup, _ := lost(t)
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: EndAll})
	if done.Grants != 3 || done.Parties != 5 || done.Keys != 1 || done.Generation != 8 {
		t.Errorf("%+v", done)
	}
	if info, err := Inspect(t.Context(), backup); err != nil || info.Identity != s.identity || info.Lineage != "" || done.Lineage == "" {
		t.Errorf("the copy is %+v, what was made of it %+v: %v", info, done, err)
	}
	_, st, err := s.TokenByHash(t.Context(), env, hash("t kept"))
	if err != nil || !st.Dead() || st.Grant.Revoked.IsZero() {
		t.Errorf("%+v, %v", st, err)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		p, err1 := r.Principal(env, "ann")
		c, err2 := r.Client(env, "app")
		a, err3 := r.Account(env, "1001")
		keys, err4 := r.SigningKeys(env)
		if p.Epoch <= leap || c.Epoch <= leap || a.Epoch <= leap || keys[0].Epoch <= leap || keys[0].Retired.IsZero() {
			t.Errorf("%+v %+v %+v %+v", p, c, a, keys)
		}
		if p.Status != store.Active || c.Status != store.Active {
			t.Error("parties can't be used any more")
		}
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		t.Error(err)
	}
	if err := errors.Join(issue(s, "new"), redeem(s, "new", "t new")); err != nil {
		t.Errorf("a new grant: %v", err)
	}
}

func TestRestoreKeepsWhatWasThere(t *testing.T) {
	path, backup, since := lost(t)
	if err := os.WriteFile(path+"-wal", []byte("of the old database"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since})
	kept, err := os.ReadFile(done.Aside)
	if err != nil || string(kept) != string(before) {
		t.Errorf("kept aside: %d bytes of %d, %v", len(kept), len(before), err)
	}
	if wal, err := os.ReadFile(done.Aside + "-wal"); err != nil || string(wal) != "of the old database" {
		t.Errorf("its write-ahead log: %q, %v", wal, err)
	}
	if left, _ := filepath.Glob(path + restoreSuffix + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The older copy lies where the database should be already.
func TestRestoreInPlace(t *testing.T) {
	path, backup, since := lost(t)
	if err := os.Rename(backup, path); err != nil {
		t.Fatal(err)
	}
	once, err := Restore(t.Context(), Restoration{From: path, Path: path, Choice: Replay, Revocations: since, At: now.Add(time.Hour)})
	if err != nil || once.Replayed != len(since) {
		t.Fatalf("%+v, %v", once, err)
	}
	// And once more, in the same second: it changes nothing.
	s, again := restored(t, Restoration{From: path, Path: path, Choice: Replay, Revocations: since})
	if again.Replayed != 0 || again.Aside == once.Aside {
		t.Errorf("once more: %+v", again)
	}
	if n := count(t, s, `SELECT count(*) FROM grants WHERE revoked <> 0`); n != 1 {
		t.Errorf("%d grants are dead", n)
	}
}

func TestRestoreOfADatabaseInUse(t *testing.T) {
	s := opened(t, Options{})
	path, err := s.Backup(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Restore(t.Context(), Restoration{From: path, Path: s.path, Choice: EndAll, At: now, LockWait: 20 * time.Millisecond})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if err := issue(s, "g"); err != nil {
		t.Errorf("the running store: %v", err)
	}
}

func TestRestoreOfADamagedCopyChangesNothing(t *testing.T) {
	path, _, _ := lost(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, []byte(cutShort(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{bad, newer(t), path + ".nothing"} {
		if _, err := Restore(t.Context(), Restoration{From: from, Path: path, Choice: EndAll, At: now}); err == nil {
			t.Errorf("%s was restored", from)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("the database was changed: %v", err)
		}
	}
}
