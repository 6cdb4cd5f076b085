package issuer

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// truant is a store that can be away, as one behind a network that is cut: what is
// asked of it then never arrives.
type truant struct {
	store.Store
	away atomic.Bool
}

func (s *truant) reach() error {
	if s.away.Load() {
		return store.ErrUnavailable
	}
	return nil
}

func (s *truant) Issue(ctx context.Context, req store.Issue) (store.Standing, error) {
	if err := s.reach(); err != nil {
		return store.Standing{}, err
	}
	return s.Store.Issue(ctx, req)
}

func (s *truant) RedeemCode(ctx context.Context, req store.Redeem) (store.Standing, error) {
	if err := s.reach(); err != nil {
		return store.Standing{}, err
	}
	return s.Store.RedeemCode(ctx, req)
}

func (s *truant) Renew(ctx context.Context, req store.Renew) (store.Renewed, error) {
	if err := s.reach(); err != nil {
		return store.Renewed{}, err
	}
	return s.Store.Renew(ctx, req)
}

func (s *truant) Present(ctx context.Context, req store.Present) (store.Token, store.Standing, error) {
	if err := s.reach(); err != nil {
		return store.Token{}, store.Standing{}, err
	}
	return s.Store.Present(ctx, req)
}

func (s *truant) Revoke(ctx context.Context, rev store.Revocation, event store.Event) (store.Revocation, error) {
	if err := s.reach(); err != nil {
		return store.Revocation{}, err
	}
	return s.Store.Revoke(ctx, rev, event)
}

func (s *truant) Party(ctx context.Context, env store.Environment, id string) (store.Party, error) {
	if err := s.reach(); err != nil {
		return store.Party{}, err
	}
	return s.Store.Party(ctx, env, id)
}

func (s *truant) TokenByHash(ctx context.Context, env store.Environment, hash store.Hash) (store.Token, store.Standing, error) {
	if err := s.reach(); err != nil {
		return store.Token{}, store.Standing{}, err
	}
	return s.Store.TokenByHash(ctx, env, hash)
}

func (s *truant) View(ctx context.Context, read func(store.Reader) error) error {
	if err := s.reach(); err != nil {
		return err
	}
	return s.Store.View(ctx, read)
}

func (s *truant) Update(ctx context.Context, change func(store.Writer) error) error {
	if err := s.reach(); err != nil {
		return err
	}
	return s.Store.Update(ctx, change)
}

// With the store away every endpoint that needs it says so, in its own dialect.
// When it is back, the same request does what it would have done, and once.
func TestEveryEndpointWithTheStoreAway(t *testing.T) {
	for _, e := range endpoints() {
		t.Run(strings.Trim(e.pattern, "/"), func(t *testing.T) {
			st := new(truant)
			b := newMatrix(t, func(b *bank) {
				b.wrap = func(there store.Store) store.Store { st.Store = there; return st }
			})
			undisturbed := b.rowsAdded(func() { b.do(e.call(b)).success(t) })
			var c call
			disturbed := b.rowsAdded(func() {
				c = e.call(b)
				prepared := b.rows()
				st.away.Store(true)
				for range 3 {
					e.unavailable(t, c, b.do(c))
				}
				if now := b.rows(); now != prepared {
					t.Errorf("something was written:\n%s\nbefore:\n%s", now, prepared)
				}
				st.away.Store(false)
				b.do(c).success(t)
			})
			if disturbed != undisturbed {
				t.Errorf("rows written:\n%s\nwithout disturbance:\n%s", disturbed, undisturbed)
			}
		})
	}
}

func (e *endpoint) unavailable(t *testing.T, c call, got *answer) {
	t.Helper()
	if e.good == nil || e.withoutStore {
		got.success(t)
		return
	}
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Fatalf("got %d %s, Retry-After %q", got.status, got.body, got.header.Get("Retry-After"))
	}
	e.speaks.check(t, &badInput{"store away", c, 503, codeUnavailable}, got)
}
