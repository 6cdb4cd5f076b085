package audit

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// What two writers add while seals are put on never slips between two seals.
func TestWritersWhileSealing(t *testing.T) {
	w := newWorld(t)
	var writers sync.WaitGroup
	for i := range 2 {
		writers.Go(func() {
			for k := range 150 {
				err := w.store.Update(context.Background(), func(tx store.Writer) error {
					return tx.Record(store.Event{Environment: store.Sandbox, At: now, Actor: fmt.Sprint(i), Action: fmt.Sprint(k)})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	sealed, rounds := 0, 0
	for ended := false; !ended; rounds++ {
		select {
		case <-done:
			ended = true
		default:
		}
		s := w.seal()
		if s.Missing != 0 {
			t.Fatalf("row %d is missing", s.Missing)
		}
		sealed += s.Rows
	}
	if report := w.verify(); sealed != 300 || !report.Sound() || report.Rows != 300 || report.Unsealed != 0 {
		t.Errorf("sealed %d in %d rounds; %+v", sealed, rounds, report)
	}
}

func TestBacklogIsSealedInBatches(t *testing.T) {
	w := newWorld(t)
	w.bulk(maxSealed + 1)
	if s := w.seal(); s.Rows != maxSealed || !s.More || s.Head.Last != maxSealed {
		t.Errorf("first %+v", s)
	}
	if s := w.seal(); s.Rows != 1 || s.More || s.Head.Last != maxSealed+1 {
		t.Errorf("second %+v", s)
	}
	if s := w.seal(); s.Rows != 0 || s.Head.Last != maxSealed+1 {
		t.Errorf("third %+v", s)
	}
	if report := w.verify(); !report.Sound() || report.Seals != 2 {
		t.Errorf("%+v", report)
	}
}

// A row that is removed before it is sealed leaves a gap, for good.
func TestRowRemovedBeforeItIsSealed(t *testing.T) {
	w := newWorld(t)
	w.add(3)
	w.seal()
	w.add(4)
	w.tamper("DELETE FROM audit WHERE sequence = 5")
	if s := w.seal(); s.Missing != 5 || s.Rows != 3 {
		t.Errorf("%+v", s)
	}
	w.wantFirst(w.verify(), RowMissing, 5)
	w.add(2)
	w.seal()
	w.wantFirst(w.verify(), RowMissing, 5)
	// A row that comes into the gap later does not heal it.
	w.tamper("INSERT INTO audit (sequence, environment, at, actor, action, target, outcome, request_id) VALUES (5, 'sandbox', 1, '', '', '', '', '')")
	w.wantFirst(w.verify(), RowInserted, 5)
}

// A number that is set far ahead must not make a seal as large.
func TestSequenceSetFarAhead(t *testing.T) {
	w := newWorld(t)
	w.add(2)
	w.tamper("UPDATE sqlite_sequence SET seq = 1000000000000 WHERE name = 'audit'")
	w.add(1)
	if s := w.seal(); s.Rows != 3 || s.Missing != 3 {
		t.Errorf("%+v", s)
	}
	w.wantFirst(w.verify(), RowMissing, 3)
}

// Of two sealers on one store only one has its way.
func TestSecondSealerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.add(4)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			_, _ = w.sealer.Seal(context.Background(), now) // those that are late fail
		})
	}
	wait.Wait()
	w.seal()
	if report := w.verify(); !report.Sound() || report.Rows != 4 {
		t.Errorf("%+v", report)
	}
}
