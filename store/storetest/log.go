package storetest

import (
	"fmt"
	"maps"
	"sync"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var logCases = []testCase{
	{"tail goes on where the snapshot ended", func(w *world) {
		first := w.kill(store.KindToken, "1")
		revs, cursor := w.snapshot()
		w.equal("snapshot", revs, []store.Revocation{first})
		second := w.kill(store.KindToken, "2")
		revs, cursor, err := w.Tail(w.ctx, cursor)
		w.must(err)
		// Rows may come twice, never less than once.
		w.equal("last of the tail", revs[len(revs)-1], second)
		_, _, err = w.Tail(w.ctx, cursor)
		w.must(err)
	}},
	{"empty log", func(w *world) {
		revs, cursor := w.snapshot()
		w.equal("snapshot", len(revs), 0)
		_, _, err := w.Tail(w.ctx, cursor)
		w.must(err)
	}},
	{"foreign cursors", func(w *world) {
		_, good := w.snapshot()
		for _, c := range []store.Cursor{"", "garbage", "-1", good + "x", "x" + good, good + "999999"} {
			if _, _, err := w.Tail(w.ctx, c); err == nil {
				w.Errorf("cursor %q was accepted", c)
			}
		}
	}},
	{"eight writers, nothing lost", func(w *world) {
		const writers, each = 8, 40
		_, cursor := w.snapshot()
		seen := map[string]bool{}
		tail := func() {
			revs, next, err := w.Tail(w.ctx, cursor)
			w.must(err)
			cursor = next
			for _, rev := range revs {
				seen[rev.Target] = true
			}
		}
		want := map[string]bool{}
		var wg sync.WaitGroup
		for i := range writers {
			for j := range each {
				want[fmt.Sprintf("writer %d row %d", i, j)] = true
			}
			wg.Go(func() {
				for j := range each {
					rev := store.Revocation{Environment: env, Kind: store.KindToken, At: now,
						Target: fmt.Sprintf("writer %d ", i) + fmt.Sprintf("row %d", j)}
					if _, err := w.Revoke(w.ctx, rev, store.Event{}); err != nil {
						w.Error(err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for writing := true; writing; {
			select {
			case <-done:
				writing = false
			default:
			}
			tail()
		}
		if !maps.Equal(seen, want) {
			w.Fatalf("%d of %d rows were seen", len(seen), len(want))
		}
		revs, _ := w.snapshot()
		w.equal("hook's order is the log's", w.told(), revs)
	}},
}
