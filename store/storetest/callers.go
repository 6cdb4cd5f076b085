package storetest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var callerCases = []testCase{
	{"gone before it began", func(w *world) {
		w.issue("g")
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		w.ctx = gone
		_, err := w.redeem("g")
		w.fails(err, context.Canceled)
		_, err = w.Revoke(gone, store.Revocation{Environment: env, Kind: store.KindGrant, Target: "g", At: now}, store.Event{})
		w.fails(err, context.Canceled)
		_, _, err = w.TokenByHash(gone, env, hash("token g"))
		w.fails(err, context.Canceled)
		w.ctx = context.Background()
		w.logged()
		_, err = w.redeem("g")
		w.must(err)
	}},
	{"gone after the commit", func(w *world) {
		w.issue("g")
		leaving, cancel := context.WithCancel(w.ctx)
		w.hook = func([]store.Revocation) { cancel() }
		rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: "g", At: now}
		_, err := w.Revoke(leaving, rev, store.Event{})
		w.must(err) // it had begun: its context no longer counts
		w.logged(rev)
		_, err = w.redeem("g")
		w.fails(err, store.ErrRevoked)
	}},
	{"gone while another holds the store", func(w *world) {
		w.issue("g")
		leaving, cancel := context.WithCancel(w.ctx)
		answer := make(chan error, 1)
		w.update(func(store.Writer) error {
			go func() {
				_, err := w.Revoke(leaving, store.Revocation{Environment: env, Kind: store.KindGrant, Target: "g", At: now}, store.Event{})
				answer <- err
			}()
			cancel()
			return nil
		})
		w.fails(<-answer, context.Canceled)
		w.logged()
	}},
	{"hook runs before the caller is woken", func(w *world) {
		w.issue("g")
		var told atomic.Bool
		w.hook = func([]store.Revocation) { told.Store(true) }
		w.kill(store.KindGrant, "g")
		w.equal("told", told.Load(), true)
	}},
	{"hook runs after the commit", func(w *world) {
		w.issue("g")
		var dead bool
		w.hook = func([]store.Revocation) {
			_, st, err := w.TokenByHash(context.Background(), env, hash("token g"))
			dead = err == nil && st.Dead()
		}
		w.kill(store.KindGrant, "g")
		w.equal("dead when the hook ran", dead, true)
	}},
	{"hook is not told of transactions without revocations", func(w *world) {
		w.hook = func(revs []store.Revocation) { w.Errorf("it was told %v", revs) }
		w.issue("g")
		_, err := w.redeem("g")
		w.must(err)
	}},
	{"failed neighbours change nothing", func(w *world) {
		errs := race(40, func(i int) error {
			g := grant(fmt.Sprintf("g%d", i))
			if i%2 == 1 {
				g.Client = "nothing"
			}
			_, err := w.Issue(w.ctx, store.Issue{Grant: g})
			return err
		})
		for i, err := range errs {
			if i%2 == 1 {
				w.fails(err, store.ErrNotFound)
			} else {
				w.must(err)
			}
		}
	}},
	{"closed store is unavailable", func(w *world) {
		_, cursor := w.snapshot()
		w.must(w.Close())
		_, err := w.redeem("g")
		w.fails(err, store.ErrUnavailable)
		_, _, err = w.TokenByHash(w.ctx, env, hash("token g"))
		w.fails(err, store.ErrUnavailable)
		_, _, err = w.Tail(w.ctx, cursor)
		w.fails(err, store.ErrUnavailable)
		_, err = w.Collect(w.ctx, collecting(0))
		w.fails(err, store.ErrUnavailable)
		w.fails(w.View(w.ctx, func(store.Reader) error { return nil }), store.ErrUnavailable)
		w.fails(w.Update(w.ctx, func(store.Writer) error { return nil }), store.ErrUnavailable)
	}},
	{"close waits for what has begun", func(w *world) {
		begun, errs := make(chan struct{}), make(chan error, 1)
		go func() {
			errs <- w.Update(w.ctx, func(x store.Writer) error {
				close(begun)
				return x.SetMeta("colour", "red")
			})
		}()
		<-begun
		w.must(w.Close())
		w.must(<-errs)
	}},
}
