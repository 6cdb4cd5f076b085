package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// Settings are what an operator may change while an Authority runs.
type Settings struct {
	Issuer         string        // the iss of every token, compared exactly
	Audience       string        // the aud that gates ask for
	AccessLifetime time.Duration // of access tokens; a longer one is refused
	Algorithm      string        // that access tokens are signed with from now on
	KeyRotation    time.Duration // how long a signing key signs; 0: until it is rotated by command
	SigningKey     *KeyFile      // signs in the place of keys that we make; nil: none
	CacheBytes     int64         // memory for the facts of tokens
	// Policy is the vocabulary of scopes by which grants are cut. While it
	// returns nil, tokens carry no scope.
	Policy func() *policy.Policy
}

// settings are Settings with the cache that belongs to them: facts that were
// proven against another issuer or audience prove nothing.
type settings struct {
	Settings
	cache   *cache
	refused *refused // of the same terms
}

// Authority makes, judges and kills the tokens of one environment. Everything
// in the process that serves the environment shares one. Its methods are safe
// for concurrent use.
type Authority struct {
	environment store.Environment
	clock       *steadyClock

	settings atomic.Pointer[settings]
	keys     atomic.Pointer[SigningKeys]

	changingKeys sync.Mutex
	inUse        keysInUse
	records      atomic.Pointer[[]store.SigningKey] // of what is in use, for who only looks

	keyring *Keyring
	store   store.Store

	revoked  *revocations
	riders   riders
	limiters *limiters
	uses     uses
	proving  singleflight.Group
	failures *failures

	verifying, lookingUp *work

	swept atomic.Pointer[time.Time] // when tick last swept
	given chan struct{}             // something was given to somebody: facts of opaque tokens are stale

	stop       context.CancelFunc
	background sync.WaitGroup // what stop ends

	beforeFill func() // a test's foot in the door between proof and cache
}

// NewAuthority returns an Authority that knows nothing yet: Configure and Open
// come before its first use. Only Apply may come earlier. A clock that is set
// back while the Authority lives does not set back Now. Without now it is the
// system's.
func NewAuthority(env store.Environment, now func() time.Time) *Authority {
	if now == nil {
		return newAuthority(env, systemClock())
	}
	return newAuthority(env, steady(now))
}

func newAuthority(env store.Environment, clock *steadyClock) *Authority {
	now := clock.now()
	return &Authority{
		environment: env, clock: clock, revoked: newRevocations(now), limiters: newLimiters(now), given: make(chan struct{}, 1),
		failures: newFailures(now), verifying: newWork(WorkVerify, verifyAtATime()), lookingUp: newWork(WorkLookup, lookupAtATime()),
	}
}

// Now is the time by which everything of the environment is issued and judged.
// It is never set back.
func (a *Authority) Now() time.Time { return a.clock.now() }

// ClockBehind tells how far the system's clock is behind Now: by how much it was
// set back since the start, less what it was set forward again.
func (a *Authority) ClockBehind() time.Duration {
	_, behind := a.clock.look()
	return behind
}

// Environment returns the environment that the Authority serves.
func (a *Authority) Environment() store.Environment { return a.environment }

// Keyring returns the subkeys of the environment.
func (a *Authority) Keyring() *Keyring { return a.keyring }

// UseRootKey makes everything from now on with another root key. What the older
// ones of its file made stays good.
func (a *Authority) UseRootKey(root *RootKey) {
	if a.keyring != nil {
		a.keyring.Adopt(root)
	}
}

// Configure sets or replaces the settings. Riders stay; the cache is kept
// unless the facts in it were proven under other terms.
func (a *Authority) Configure(s Settings) error {
	old := a.settings.Load()
	next := &settings{Settings: s}
	if old != nil && old.Issuer == s.Issuer && old.Audience == s.Audience &&
		old.AccessLifetime == s.AccessLifetime && old.CacheBytes == s.CacheBytes {
		next.cache, next.refused = old.cache, old.refused
		a.settings.Store(next)
		return nil
	}
	var err error
	if next.cache, err = newCache(s.CacheBytes); err != nil {
		return err
	}
	next.refused = new(refused)
	a.settings.Store(next)
	if old != nil {
		old.cache.close()
	}
	return nil
}

// Settings returns the settings in force.
func (a *Authority) Settings() Settings { return a.settings.Load().Settings }

// Open loads the signing keys (making the first one) and what is revoked, and
// begins to sweep.
func (a *Authority) Open(ctx context.Context, st store.Store, root *RootKey) error {
	a.store, a.keyring = st, NewKeyring(root, a.environment)
	if err := a.OpenKeys(ctx); err != nil {
		return err
	}
	revs, _, err := st.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("what is revoked in %s: %w", a.environment, err)
	}
	a.Apply(revs)
	a.noteSweep()
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	a.background.Go(func() { a.tick(ctx) })
	a.background.Go(func() { a.keepFacts(ctx) })
	return nil
}

// Close cuts every rider and stops the sweep. The store is not closed.
func (a *Authority) Close() {
	a.CutAll(CauseShutdown)
	if a.stop != nil {
		a.stop()
		a.background.Wait() // it uses the cache
	}
	if s := a.settings.Load(); s != nil {
		s.cache.close()
	}
}

// notOurs turns an unknown row into the answer for an unknown token.
func notOurs(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errUnknown
	}
	return err
}
