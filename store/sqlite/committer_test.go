package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// together makes one batch of calls: all are queued, in this order, while the
// writer is held.
func together(t *testing.T, s *Store, calls ...func() error) []error {
	t.Helper()
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	err := s.Update(t.Context(), func(store.Writer) error {
		for i, call := range calls {
			wg.Go(func() { errs[i] = call() })
			for len(s.queue) <= i { // each call puts one job into the queue
				runtime.Gosched()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return errs
}

func TestPanickingJobFailsAlone(t *testing.T) {
	s := opened(t, Options{})
	errs := together(t, s,
		func() error { return issue(s, "before") },
		func() error {
			return s.Update(context.Background(), func(w store.Writer) error {
				if _, err := w.Revoke(store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: "ann", At: now}); err != nil {
					return err
				}
				panic("at the disco")
			})
		},
		func() error { return issue(s, "after") })
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("neighbours: %v, %v", errs[0], errs[2])
	}
	if errs[1] == nil || !strings.Contains(errs[1].Error(), "at the disco") || errors.Is(errs[1], store.ErrUnavailable) {
		t.Errorf("the job itself: %v", errs[1])
	}
	if n := count(t, s, `SELECT count(*) FROM revocation`); n != 0 {
		t.Errorf("%d revocations are left of it", n)
	}
	if n := count(t, s, `SELECT value FROM counter`); n != 0 {
		t.Errorf("it used %d numbers up", n)
	}
}

func TestReplayCommitsBesideFailingNeighbours(t *testing.T) {
	var told atomic.Int32
	s := opened(t, Options{Committed: func(revs []store.Revocation) { told.Add(int32(len(revs))) }})
	if err := errors.Join(issue(s, "g"), redeem(s, "g", "t")); err != nil {
		t.Fatal(err)
	}
	errs := together(t, s,
		func() error { return redeem(s, "nothing", "x") },
		func() error { return redeem(s, "g", "y") },
		func() error { return issue(s, "g") })
	for i, want := range []error{store.ErrNotFound, store.ErrReplayed, store.ErrExists} {
		if !errors.Is(errs[i], want) {
			t.Errorf("call %d: %v, want %v", i, errs[i], want)
		}
	}
	if n := count(t, s, `SELECT count(*) FROM revocation`); n != 1 || told.Load() != 1 {
		t.Errorf("%d rows in the log, the hook was told %d", n, told.Load())
	}
}

func TestAuditIsAppendOnly(t *testing.T) {
	s := opened(t, Options{})
	if err := issue(s, "g"); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`UPDATE audit SET actor = 'nobody'`, `DELETE FROM audit`} {
		err := s.submit(t.Context(), func(tx *tx) error { _, err := tx.exec(query); return err })
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestDiskFull stands in for a full disk with a limit of SQLite's own: the same
// error from the same place.
func TestDiskFull(t *testing.T) {
	var told atomic.Int32
	s := opened(t, Options{Committed: func(revs []store.Revocation) { told.Add(int32(len(revs))) }})
	if err := issue(s, "first"); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int64) {
		t.Helper()
		err := s.submit(t.Context(), func(tx *tx) error {
			_, err := tx.exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(count(t, s, `PRAGMA page_count`))
	acknowledged := fill(t, s)
	if got := count(t, s, `SELECT count(*) FROM grants`); got != acknowledged+1 {
		t.Errorf("%d grants are there, %d were acknowledged", got, acknowledged+1)
	}
	// The whole batch fails, the revocation in it too, and nobody is told of it.
	calls := []func() error{func() error { return revokeGrant(s, "first") }}
	for i := range 20 {
		calls = append(calls, func() error { return issue(s, fmt.Sprintf("late %d %s", i, strings.Repeat("x", 500))) })
	}
	for _, err := range together(t, s, calls...) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("in the failing batch: %v", err)
		}
	}
	if told.Load() != 0 {
		t.Error("the hook was told of what was rolled back")
	}
	for _, query := range []string{
		`SELECT count(*) FROM revocation`,
		`SELECT count(*) FROM grants WHERE revoked <> 0`,
		`SELECT count(*) FROM grants WHERE id LIKE 'late%'`,
		`SELECT count(*) FROM pragma_foreign_key_check`,
		`SELECT count(*) FROM grants g WHERE NOT EXISTS (SELECT 1 FROM code o WHERE o.grant_id = g.id)`,
	} {
		if n := count(t, s, query); n != 0 {
			t.Errorf("%s: %d", query, n)
		}
	}
	limit(1 << 30)
	if err := errors.Join(issue(s, "at last"), redeem(s, "at last", "t"), revokeGrant(s, "first")); err != nil {
		t.Errorf("after the disk had room again: %v", err)
	}
}

// fill issues grants until the disk is full, and returns how many fitted.
func fill(t *testing.T, s *Store) int64 {
	t.Helper()
	for i := int64(0); ; i++ {
		err := issue(s, fmt.Sprintf("filler %d", i))
		if errors.Is(err, store.ErrUnavailable) {
			return i
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A callback that drops the error of a full disk must not get half of its
// changes committed.
func TestDroppedErrorStillFails(t *testing.T) {
	s := opened(t, Options{})
	err := s.Update(t.Context(), func(w store.Writer) error {
		// SQLite takes the present size if that is more.
		if _, err := w.(writer).tx.exec(`PRAGMA max_page_count = 1`); err != nil {
			return err
		}
		for i := range 1000 {
			_ = w.SetMeta(fmt.Sprint(i), strings.Repeat("x", 1000))
		}
		return nil
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if n := count(t, s, `SELECT count(*) FROM meta`); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// The caller's own look at its context comes too late when both are ready.
func TestCommitterAsksTheContextLast(t *testing.T) {
	s := opened(t, Options{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	j := &job{ctx: gone, done: make(chan struct{}), run: func(*tx) error {
		t.Error("it ran")
		return nil
	}}
	s.queue <- j
	<-j.done
	if !errors.Is(j.err, context.Canceled) {
		t.Errorf("got %v", j.err)
	}
}
