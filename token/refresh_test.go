package token

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// streaming is a stream that rides on a personal token of alice.
func (n *node) streaming(t testing.TB, limits store.Token) (*exchange, *Lease) {
	t.Helper()
	raw, _ := n.personal(t, "bot", limits)
	lease := n.check(t, raw)
	e := new(exchange)
	e.stream.Store(true)
	n.Join(&e.Ride, e, lease)
	t.Cleanup(func() { n.Leave(&e.Ride) })
	return e, lease
}

// The facts of an opaque token grow stale under a stream that is open for long.
// What kills it is in the set all the same.
func TestRevocationCutsStreamsOnStaleFacts(t *testing.T) {
	n := openNode(t)
	e, lease := n.streaming(t, store.Token{})
	n.clock.advance(2 * opaqueFactsLife)
	n.Sweep()
	if e.cause() != "" {
		t.Fatalf("cut for its age: %s", e.cause())
	}
	n.revoke(t, store.KindToken, lease.ID)
	if e.cause() != CauseRevoked {
		t.Errorf("cut with %q", e.cause())
	}
}

// Who rotates a token brings its end forward. Streams that are open on it must
// learn of that, and end then.
func TestStreamEndsWhenItsRotatedTokenDoes(t *testing.T) {
	for _, test := range []struct {
		name  string
		stale time.Duration // how long the stream is open before
	}{{"young", 0}, {"open for long", 2 * opaqueFactsLife}} {
		t.Run(test.name, func(t *testing.T) {
			n := openNode(t)
			e, lease := n.streaming(t, store.Token{})
			other, _ := n.streaming(t, store.Token{})
			n.clock.advance(test.stale)
			n.update(t, func(tx store.Writer) error {
				_, err := tx.Revoke(store.Revocation{Environment: store.Sandbox, Kind: store.KindRightsGiven, Target: "alice", At: n.Now(), Reason: "test"})
				return errors.Join(err, tx.RotateToken(store.Sandbox, lease.ID, n.Now(), n.Now().Add(time.Hour)))
			})
			eventually(t, "the stream is told", func() bool { return lease.endsAt.Load() != 0 })
			n.clock.advance(time.Hour - 2*time.Second)
			n.Sweep()
			if e.cause() != "" {
				t.Fatalf("cut before its time: %s", e.cause())
			}
			n.clock.advance(2 * time.Second)
			n.Sweep()
			if e.cause() != CauseExpired || other.cause() != "" {
				t.Errorf("cut with %q, the other one with %q", e.cause(), other.cause())
			}
		})
	}
}

// What the store cannot tell now it is asked for again.
func TestStreamLearnsOfItsEndWhenTheStoreIsBack(t *testing.T) {
	n := openNode(t)
	_, lease := n.streaming(t, store.Token{})
	n.update(t, func(tx store.Writer) error {
		return tx.RotateToken(store.Sandbox, lease.ID, n.Now(), n.Now().Add(time.Hour))
	})
	n.revoked.add(n.Now(), []store.Revocation{{Environment: store.Sandbox, Kind: store.KindRightsGiven, Target: "alice", Number: 1 << 40}})
	present := n.Authority.store
	n.Authority.store = silent{present}
	if n.renewFacts() || lease.endsAt.Load() != 0 {
		t.Fatal("a store that does not answer has told something")
	}
	n.Authority.store = present
	if !n.renewFacts() || lease.endsAt.Load() == 0 {
		t.Error("the stream was not told")
	}
}

// silent is a store that doesn't answer.
type silent struct{ store.Store }

func (silent) TokenByHash(context.Context, store.Environment, store.Hash) (store.Token, store.Standing, error) {
	return store.Token{}, store.Standing{}, store.ErrUnavailable
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond) // between two looks, not for correctness
	}
}
