package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/journal"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// runtimes are shared by all configurations. The key is the store's identity
// alone: a second runtime on the same store would be a world that no
// revocation reaches.
var runtimes = caddy.NewUsagePool()

// runtime is what outlives a reload.
type runtime struct {
	key      string
	path     string // of the database
	worlds   map[store.Environment]*world
	policies policies
	trail    *trail
	health   healthLook

	// applying guards what follows, and makes one configuration at a time
	// take effect.
	applying sync.Mutex
	store    store.Store
	journal  atomic.Pointer[journal.Journal]
	root     *token.RootKey
	notifier *notify.Notifier
	notified chan struct{} // closed when the notifier has ended
	// rotatingRoot tells that root is new and the store does not belong to it yet.
	rotatingRoot bool
	stopWatch    context.CancelFunc
	applied      atomic.Pointer[App] // the app whose settings are in force

	copying   sync.Mutex // held while a backup is made and sent
	log       atomic.Pointer[zap.Logger]
	operators atomic.Pointer[operators]
	ready     atomic.Bool

	events    *announcer
	commits   *stopwatch
	storeDown atomic.Bool // the last transaction was rolled back
}

// world is one environment at run time.
type world struct {
	authority *token.Authority
	secrets   *token.Secrets
	throttle  *issuer.Throttle
	seen      *seen
	issuer    atomic.Pointer[issuer.Issuer] // nil until the environment was opened
}

// borrowRuntime returns the runtime of a store, not yet opened if it is new.
func borrowRuntime(s *Store) (*runtime, error) {
	path, err := canonical(s.Path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.Path, err)
	}
	key := s.Driver + ":" + path
	value, _, err := runtimes.LoadOrNew(key, func() (caddy.Destructor, error) {
		return newRuntime(key, path), nil
	})
	rt, _ := value.(*runtime) // nil beside an error
	return rt, err
}

func newRuntime(key, path string) *runtime {
	rt := &runtime{
		key: key, path: path, worlds: map[store.Environment]*world{},
		events: newAnnouncer(), commits: newStopwatch(commitBounds),
	}
	rt.policies.rejected = rt.events.policyRejected
	rt.policies.slots = map[string]*policySlot{}
	rt.policies.routes = map[string]*routeSlot{}
	for _, env := range []store.Environment{store.Production, store.Sandbox} {
		rt.worlds[env] = &world{
			authority: token.NewAuthority(env, nil),
			throttle:  issuer.NewThrottle(time.Now()),
			seen:      newSeen(),
		}
	}
	rt.log.Store(zap.NewNop())
	rt.trail = newTrail(rt.log.Load)
	rt.health.now, rt.health.stuckAfter = time.Now, defaultStuckAfter
	return rt
}

// release gives back what borrowRuntime took.
func (rt *runtime) release() error {
	_, err := runtimes.Delete(rt.key)
	return err
}

// hold keeps the runtime alive for a stream that outlives its configuration.
func (rt *runtime) hold() (release func()) {
	_, _, err := runtimes.LoadOrNew(rt.key, func() (caddy.Destructor, error) { return nil, errRuntimeGone })
	if err != nil {
		return func() {}
	}
	return func() {
		if err := rt.release(); err != nil {
			rt.log.Load().Error("closing the store", zap.Error(err))
		}
	}
}

// apply makes the settings of an app those of the runtime, opening it first if
// need be.
func (rt *runtime) apply(app *App) error {
	rt.applying.Lock()
	defer rt.applying.Unlock()
	rt.log.Store(app.log)
	ctx := context.Background()
	if err := rt.open(ctx, app); err != nil {
		return err
	}
	revisions := rt.policies.revisions()
	rt.policies.add(app.policies, app.routes)
	for _, name := range sortedKeys(app.Environments) {
		if err := rt.applyEnvironment(ctx, app, name); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
	}
	rt.sweep()
	rt.trail.begun(ctx, rt.applied.Load() == nil)
	rt.policiesChanged(ctx, revisions)
	rt.applied.Store(app)
	rt.ready.Store(true)
	app.log.Info("serving",
		zap.String("store", rt.path),
		zap.Any("environments", sortedKeys(app.Environments)),
		zap.Any("policies", app.revisions()))
	return nil
}

// retire takes away what an app that is in force does not have: policies, routes
// of gates, environments. Who rides on them is cut. It is not part of apply,
// because a sibling of the app may still fail to start.
func (rt *runtime) retire(app *App) {
	rt.policies.keepOnly(app.policies, app.routes)
	rt.sweep()
	for env, w := range rt.worlds {
		if app.Environments[env] == nil {
			w.issuer.Store(nil)
			rt.notifier.Configure(env, nil)
			w.authority.CutAll(token.CauseForbidden)
		}
	}
}

// open opens store and keys, once.
func (rt *runtime) open(ctx context.Context, app *App) (err error) {
	if rt.store == nil {
		err = rt.openStore(ctx, app)
	} else {
		err = rt.moveJournal(ctx, app)
	}
	if err != nil {
		return err
	}
	// Each configuration's file must hold the key: a wrong one would be found
	// out only at the next start.
	if err := rt.bindRoot(ctx, app.RootKeyFile); err != nil {
		return err
	}
	if err := rt.trail.open(ctx, rt.store, rt.root, app.sinks); err != nil {
		return err
	}
	operators, err := openOperators(app.OperatorTokenFile)
	if err != nil {
		return err
	}
	rt.operators.Store(operators)
	if rt.stopWatch == nil {
		var watching context.Context
		watching, rt.stopWatch = context.WithCancel(ctx)
		go rt.watch(watching)
		go rt.events.deliver(watching)
		go rt.keepHouse(watching)
		go rt.keepUses(watching)
		go rt.journal.Load().Keep(watching)
		rt.notified = make(chan struct{})
		go func() {
			defer close(rt.notified)
			rt.notifier.Run(watching)
		}()
	}
	return nil
}

// openStore opens the database, unless its journal proves that it is not what
// it was.
func (rt *runtime) openStore(ctx context.Context, app *App) error {
	if err := os.MkdirAll(filepath.Dir(rt.path), 0o700); err != nil {
		return fmt.Errorf("store %s: %w", rt.path, err)
	}
	st, err := sqlite.Open(ctx, sqlite.Options{
		Path:      rt.path,
		Log:       rt.log.Load(),
		Committed: rt.takeEffect,
		Settled:   rt.settled,
	})
	if err != nil {
		return err
	}
	if err := rt.openJournal(ctx, st, app.RevocationJournalFile); err != nil {
		return errors.Join(err, st.Close())
	}
	rt.store = st
	rt.notifier = notify.New(st, rt.worlds[store.Production].authority.Now, rt.log.Load)
	return nil
}

func (rt *runtime) applyEnvironment(ctx context.Context, app *App, name store.Environment) error {
	env, w := app.Environments[name], rt.worlds[name]
	vocabulary := rt.policies.slot(env.Policy)
	err := w.authority.Configure(token.Settings{
		Issuer: env.Issuer, Audience: env.Audience,
		AccessLifetime: time.Duration(env.AccessTokenLifetime),
		Algorithm:      env.SigningAlgorithm,
		KeyRotation:    env.keyRotation(), SigningKey: env.signingKey,
		CacheBytes: app.CacheSize, Policy: vocabulary.get,
	})
	if err != nil {
		return err
	}
	if w.secrets == nil {
		if err := w.authority.Open(ctx, rt.store, rt.root); err != nil {
			return err
		}
		w.secrets = token.NewSecrets(w.authority.Keyring())
	} else if err := w.authority.OpenKeys(ctx); err != nil {
		return err
	}
	if w.authority.FileKeyRevoked() {
		app.log.Warn("the key in the signing key file was revoked, so another signs; put a new key there",
			zap.String("environment", string(name)), zap.String("file", env.SigningKeyFile))
	}
	if err := declare(ctx, rt.store, w.authority, env); err != nil {
		return err
	}
	rt.notifier.Configure(name, env.Webhooks.settings(w.authority.Keyring().WebhookSecret))
	is, err := issuer.New(issuer.Options{
		URL: env.Issuer, Authority: w.authority, Store: rt.store, Secrets: w.secrets,
		Policy:          vocabulary.get,
		CodeLifetime:    time.Duration(env.CodeLifetime),
		RefreshLifetime: time.Duration(env.RefreshTokenLifetime),
		TradingScopes:   env.TradingTokens,
		Notifier:        rt.notifier,
		Throttle:        w.throttle, ClientIP: clientIP, RequestID: requestID, Audit: rt.trail.gathered.Add,
		Login:   env.Login.provider(),
		Changed: func(action, target string) { rt.note(name, action, target) },
		Issued:  w.seen.issuedFor,
		Log:     app.log.Named("issuer"),
	})
	if err != nil {
		return err
	}
	w.issuer.Store(is)
	return nil
}

// watch takes over policy files that change, until ctx ends.
func (rt *runtime) watch(ctx context.Context) {
	ticker := time.NewTicker(policyPoll)
	defer ticker.Stop()
	signers := map[store.Environment]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			rt.noticeSigners(signers)
			revisions := rt.policies.revisions()
			if rt.policies.refresh(rt.log.Load()) {
				rt.policiesChanged(ctx, revisions)
				rt.sweep()
				rt.warnOfLostScopes()
			}
		}
	}
}

// policiesChanged says which policies are others than before.
func (rt *runtime) policiesChanged(ctx context.Context, before map[string]string) {
	after := rt.policies.revisions()
	rt.trail.policiesChanged(ctx, before, after)
	for _, name := range sortedKeys(after) {
		if before[name] != after[name] {
			rt.events.policyLoaded(name, after[name])
		}
	}
}

// warnOfLostScopes tells operators that a policy, which was changed without
// them, no longer has a scope that their configuration names: it serves on, but
// the next reload or start would be refused.
func (rt *runtime) warnOfLostScopes() {
	app := rt.applied.Load()
	if app == nil {
		return
	}
	for _, name := range sortedKeys(app.Environments) {
		env := app.Environments[name]
		if err := env.checkScopes(rt.policies.slot(env.Policy).get()); err != nil {
			rt.log.Load().Warn("the policy and the configuration disagree: the next reload or start will be refused",
				zap.String("environment", string(name)), zap.Error(err))
		}
	}
}

func (rt *runtime) sweep() {
	for _, w := range rt.worlds {
		w.authority.Sweep()
	}
}

func (rt *runtime) cutAll(cause token.Cause) {
	for _, w := range rt.worlds {
		w.authority.CutAll(cause)
	}
}

// Destruct ends the runtime when the last configuration and the last stream
// have let go of it.
func (rt *runtime) Destruct() error {
	rt.ready.Store(false)
	rt.applying.Lock()
	defer rt.applying.Unlock()
	if rt.stopWatch != nil {
		rt.stopWatch()
		<-rt.notified // it has attempts to write down
	}
	for _, w := range rt.worlds {
		w.authority.Close()
	}
	rt.trail.close()
	if rt.store == nil {
		return nil
	}
	ending, cancel := context.WithTimeout(context.Background(), recordUsesAtEnd)
	defer cancel()
	rt.recordUses(ending)
	if err := rt.store.Close(); err != nil && !errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("store %s: %w", rt.path, err)
	}
	return rt.journal.Load().Close()
}
