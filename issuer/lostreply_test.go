package issuer

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// forgetful is a store that fails on demand: before it does what it is asked for,
// or after, when it is durable and only the reply gets lost, as when a
// connection dies between COMMIT and the answer.
type forgetful struct {
	store.Store
	before, after atomic.Bool // the next call fails
}

// flow runs one flow between the two ways to fail.
func flow[T any](f *forgetful, run func() (T, error)) (T, error) {
	var none T
	if f.before.CompareAndSwap(true, false) {
		return none, store.ErrUnavailable
	}
	result, err := run()
	if err == nil && f.after.CompareAndSwap(true, false) {
		return none, store.ErrUnavailable
	}
	return result, err
}

func (f *forgetful) Issue(ctx context.Context, req store.Issue) (store.Standing, error) {
	return flow(f, func() (store.Standing, error) { return f.Store.Issue(ctx, req) })
}

func (f *forgetful) RedeemCode(ctx context.Context, req store.Redeem) (store.Standing, error) {
	return flow(f, func() (store.Standing, error) { return f.Store.RedeemCode(ctx, req) })
}

func (f *forgetful) Renew(ctx context.Context, req store.Renew) (store.Renewed, error) {
	return flow(f, func() (store.Renewed, error) { return f.Store.Renew(ctx, req) })
}

func (f *forgetful) Revoke(ctx context.Context, rev store.Revocation, event store.Event) (store.Revocation, error) {
	return flow(f, func() (store.Revocation, error) { return f.Store.Revoke(ctx, rev, event) })
}

// openForgetful is a bank whose store fails on demand.
func openForgetful(t *testing.T) (*bank, *forgetful) {
	t.Helper()
	f := new(forgetful)
	return newBank(t, func(b *bank) {
		b.wrap = func(st store.Store) store.Store {
			f.Store = st
			return f
		}
	}), f
}

// lose sends a request whose reply gets lost behind COMMIT.
func (f *forgetful) lose(b *bank, c call) {
	b.Helper()
	f.after.Store(true)
	got := b.do(c)
	got.wantError(b, http.StatusServiceUnavailable, "temporarily_unavailable")
	if f.after.Load() || got.header.Get("Retry-After") == "" {
		b.Fatalf("nothing was committed (%v), or nobody says when to come back: %v", f.after.Load(), got.header)
	}
}

// What was asked for is done, but who asked is told to come back. It does, and
// must neither be locked out nor taken for a thief.
func TestCommittedButTheReplyWasLost(t *testing.T) {
	t.Run("code asked for: another one", func(t *testing.T) {
		b, f := openForgetful(t)
		f.lose(b, codeCall())
		b.wantVerdict(b.tokens().access, token.Live)
	})
	t.Run("code redeemed: refused without harm, and another code", func(t *testing.T) {
		b, f := openForgetful(t)
		earlier, code := b.tokens(), b.code()
		f.lose(b, redeemCall(code))
		b.clock.advance(resendGrace)
		a := b.do(redeemCall(code))
		a.wantError(t, http.StatusBadRequest, "invalid_grant")
		if err := said(t, a); err != store.ErrResent { //nolint:errorlint // said returns the very one
			t.Errorf("got %v", err)
		}
		b.wantVerdict(b.tokens().access, token.Live)
		b.wantVerdict(earlier.access, token.Live)
	})
	t.Run("refresh token renewed: the same successor again", func(t *testing.T) {
		b, f := openForgetful(t)
		first := b.tokens()
		f.lose(b, refreshCall(first.refresh))
		b.clock.advance(confidentialRetry.UnusedWindow) // a bot that was down for a while
		second := b.pairOf(b.do(refreshCall(first.refresh)))
		b.wantVerdict(second.access, token.Live)
		b.pairOf(b.do(refreshCall(second.refresh)))
	})
	t.Run("token revoked: dead already, and the repetition succeeds", func(t *testing.T) {
		b, f := openForgetful(t)
		first := b.tokens()
		f.lose(b, revokeCall(first.refresh))
		b.wantVerdict(first.access, token.Revoked)
		b.do(revokeCall(first.refresh)).ok(t)
		b.do(refreshCall(first.refresh)).wantError(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("token of its own issued: another one", func(t *testing.T) {
		b, f := openForgetful(t)
		f.lose(b, ownCall())
		b.do(ownCall()).ok(t)
	})
}

// The store fails before COMMIT: nothing is used up, and nothing is dead.
func TestFailedBeforeCommitUsesNothingUp(t *testing.T) {
	b, f := openForgetful(t)
	code, first := b.code(), b.tokens()
	for _, c := range []call{codeCall(), redeemCall(code), refreshCall(first.refresh), revokeCall(first.refresh)} {
		f.before.Store(true)
		b.do(c).wantError(t, http.StatusServiceUnavailable, "temporarily_unavailable")
	}
	b.wantVerdict(first.access, token.Live)
	b.pairOf(b.do(redeemCall(code)))
	b.pairOf(b.do(refreshCall(first.refresh)))
}
