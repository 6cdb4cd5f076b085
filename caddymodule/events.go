package caddymodule

import (
	"context"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The events that Caddy's events app can bind handlers to. Their data are names, ids
// and words of ours; a secret is never in them.
const (
	eventRevoked          = "bearer_revoked"           // environment, kind, target
	eventReuse            = "bearer_reuse_detected"    // environment, grant, what
	eventPolicyLoaded     = "bearer_policy_loaded"     // policy, revision
	eventPolicyRejected   = "bearer_policy_rejected"   // policy, file, revision (which goes on serving), error
	eventKeyRotated       = "bearer_key_rotated"       // environment, key_id (which signs now)
	eventStoreUnavailable = "bearer_store_unavailable" // error
	eventStoreAvailable   = "bearer_store_available"
)

// eventNames are all of them.
var eventNames = []string{
	eventRevoked, eventReuse, eventPolicyLoaded, eventPolicyRejected, eventKeyRotated, eventStoreUnavailable, eventStoreAvailable,
}

// eventsWaiting is how many events may wait for handlers. Those that come when so many
// do are dropped and counted: who brings an event about never waits for a handler.
const eventsWaiting = 1000

// announcer hands what happens to Caddy's events app, in a goroutine of its own.
type announcer struct {
	queue   chan event
	dropped atomic.Uint64
	// target is the app whose handlers get them: that of the newest configuration that
	// has started, because handlers are bound only then. Nil: none has yet.
	target atomic.Pointer[App]
	wake   chan struct{} // target has changed
}

type event struct {
	name string
	data map[string]any
}

func newAnnouncer() *announcer {
	return &announcer{queue: make(chan event, eventsWaiting), wake: make(chan struct{}, 1)}
}

// tell has handlers told. It never waits.
func (e *announcer) tell(name string, data map[string]any) {
	select {
	case e.queue <- event{name, data}:
	default:
		e.dropped.Add(1)
	}
}

// deliver calls handlers, one after the other, until ctx ends.
func (e *announcer) deliver(ctx context.Context) {
	for {
		target := e.target.Load()
		queue := e.queue
		if target == nil {
			queue = nil // it waits until there is one
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case next := <-queue:
			target.events.Emit(target.ctx, next.name, next.data)
		}
	}
}

// aim makes an app the one whose handlers are told.
func (e *announcer) aim(app *App) {
	e.target.Store(app)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// subscribe asks the events app to be told when the configuration has started.
func (app *App) subscribe(ctx caddy.Context) error {
	module, err := ctx.App("events")
	if err != nil {
		return err
	}
	app.ctx = ctx
	app.events, _ = module.(*caddyevents.App) // the only module of that name
	return app.events.On("started", whenStarted{app})
}

// whenStarted has an app's handlers told from now on.
type whenStarted struct{ app *App }

// Handle implements caddyevents.Handler.
func (w whenStarted) Handle(context.Context, caddy.Event) error {
	w.app.runtime.events.aim(w.app)
	return nil
}

func (e *announcer) revoked(rev *store.Revocation) {
	if rev.Kind != store.KindRightsGiven && rev.Kind != store.KindClientRightsGiven {
		e.tell(eventRevoked, map[string]any{
			"environment": string(rev.Environment), "kind": string(rev.Kind), "target": rev.Target,
		})
	}
	if isReuse(rev) {
		e.tell(eventReuse, map[string]any{"environment": string(rev.Environment), "grant": rev.Target, "what": rev.Reason})
	}
}

func (e *announcer) policyLoaded(name, revision string) {
	e.tell(eventPolicyLoaded, map[string]any{"policy": name, "revision": revision})
}

func (e *announcer) policyRejected(name string, present *loadedPolicy, err error) {
	e.tell(eventPolicyRejected, map[string]any{
		"policy": name, "file": present.path, "revision": present.policy.Revision(), "error": err.Error(),
	})
}

func (e *announcer) keyRotated(env store.Environment, id string) {
	e.tell(eventKeyRotated, map[string]any{"environment": string(env), "key_id": id})
}

func (e *announcer) store(err error) {
	if err == nil {
		e.tell(eventStoreAvailable, map[string]any{})
		return
	}
	e.tell(eventStoreUnavailable, map[string]any{"error": err.Error()})
}
