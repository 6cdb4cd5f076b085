package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// checkEvery is how long what was found is believed: a flood of questions costs
	// no more than one each second.
	checkEvery = time.Second

	// checkPatience is how long a check may take. What hangs is failing.
	checkPatience = time.Second

	// commitEvery is how often a store that works must show that it still commits.
	// One that doesn't is tried with each look.
	commitEvery = 5 * time.Second

	// defaultStuckAfter is how late the sweep may be, which comes four times a second.
	defaultStuckAfter = 30 * time.Second

	// metaHealth is what is written to see whether writing works.
	metaHealth = "health"
)

// checkNames are the checks in the order in which they are told.
var checkNames = []string{"store", "keys", "policies", "journal", "audit", "clock"}

var errNoAnswer = fmt.Errorf("no answer within %s", checkPatience)

// findings are what is wrong, by the names of checks; those that are ok are
// missing or nil.
type findings map[string]error

// healthLook makes the checks for those who ask, once for all of them. Nobody
// asks, nothing is done.
type healthLook struct {
	now        func() time.Time // time.Now, but for tests
	stuckAfter time.Duration

	mu    sync.Mutex
	found findings
	at    time.Time     // of found
	under chan struct{} // closed when the look under way has an answer; nil: there is none
	busy  map[string]bool

	committed time.Time // when the store last committed; of its check alone
}

// check is one of the checks.
type check struct {
	name string
	run  func(context.Context) error
}

// look returns what was found, not longer than checkEvery ago.
func (h *healthLook) look(checks func() []check) findings {
	h.mu.Lock()
	if h.under == nil && (h.found == nil || h.now().Sub(h.at) >= checkEvery) {
		h.under = make(chan struct{})
		go h.all(checks(), h.under)
	}
	under := h.under
	h.mu.Unlock()
	if under != nil {
		<-under
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.found
}

// all makes the checks side by side. One that hangs is not begun again until it
// has come back.
func (h *healthLook) all(checks []check, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	results, waiting := make(chan result, len(checks)), 0
	found := findings{}
	for _, c := range checks {
		found[c.name] = errNoAnswer
		if !h.begin(c.name) {
			continue
		}
		waiting++
		go func() {
			err := c.run(ctx)
			h.end(c.name)
			results <- result{c.name, err}
		}()
	}
	for ; waiting > 0; waiting-- {
		select {
		case r := <-results:
			found[r.name] = r.err
		case <-ctx.Done():
			waiting = 1 // whoever is late is not waited for
		}
	}
	h.mu.Lock()
	h.found, h.at, h.under = found, h.now(), nil
	h.mu.Unlock()
	close(done)
}

func (h *healthLook) begin(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[name] {
		return false
	}
	if h.busy == nil {
		h.busy = map[string]bool{}
	}
	h.busy[name] = true
	return true
}

func (h *healthLook) end(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[name] = false
}

// checks are those of the settings in force.
func (rt *runtime) checks() []check {
	app := rt.applied.Load()
	return []check{
		{"store", rt.checkStore},
		{"keys", func(context.Context) error { return rt.checkKeys(app) }},
		{"policies", func(context.Context) error { return rt.checkPolicies(app) }},
		{"journal", func(context.Context) error { return rt.checkJournal() }},
		{"audit", func(context.Context) error { return rt.trail.check() }},
		{"clock", func(context.Context) error { return rt.checkClock() }},
	}
}

// checkStore reads, and commits now and then: a disk that is full, away or
// read-only can be read, and issues and revokes nothing.
func (rt *runtime) checkStore(ctx context.Context) error {
	err := rt.store.View(ctx, func(r store.Reader) error {
		_, err := r.Meta("identity")
		return err
	})
	h := &rt.health
	if err != nil || h.now().Sub(h.committed) < commitEvery {
		return err
	}
	at := h.now()
	err = rt.store.Update(ctx, func(w store.Writer) error {
		return w.SetMeta(metaHealth, at.UTC().Format(time.RFC3339Nano)) // another text each time: what does not change is not written
	})
	h.committed = time.Time{}
	if err == nil {
		h.committed = at
	}
	return err
}

func (rt *runtime) checkKeys(app *App) error {
	var errs []error
	for _, env := range sortedKeys(app.Environments) {
		if !rt.worlds[env].authority.Signs() {
			errs = append(errs, fmt.Errorf("environment %s: no key signs", env))
		}
		if rt.worlds[env].authority.FileKeyRevoked() {
			errs = append(errs, fmt.Errorf("environment %s: the key in %s was revoked, so another signs", env, app.Environments[env].SigningKeyFile))
		}
	}
	return errors.Join(errs...)
}

// checkPolicies finds files that are bad while what they held before serves, and
// policies with which the next start would be refused.
func (rt *runtime) checkPolicies(app *App) error {
	errs := []error{rt.policies.failing()}
	for _, name := range sortedKeys(app.Environments) {
		env := app.Environments[name]
		present := rt.policies.slot(env.Policy).get()
		if present == nil {
			errs = append(errs, fmt.Errorf("environment %s: no policy %s", name, env.Policy))
		} else if err := env.checkScopes(present); err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// failing returns what is wrong with the files of policies and with the routes
// of gates.
func (p *policies) failing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, name := range sortedKeys(p.slots) {
		slot := p.slots[name]
		if present := slot.present.Load(); present != nil && slot.refused != [len(slot.refused)]byte{} {
			errs = append(errs, fmt.Errorf("policy %s: its file is bad, the policy before it (revision %s) serves: %w",
				name, present.policy.Revision(), slot.why))
		}
	}
	for _, slot := range p.routes {
		if present := slot.present.Load(); present != nil && slot.refused != nil {
			errs = append(errs, fmt.Errorf("policy %s: routes of a gate need scopes that it has no more", present.of))
		}
	}
	return errors.Join(errs...)
}

func (rt *runtime) checkJournal() error {
	if j := rt.journal.Load(); j.Behind() {
		return fmt.Errorf("%s can't be written; what is revoked is in the database alone", j.Path())
	}
	return nil
}

// check returns why the trail is not written or a sink of its heads not reached.
func (t *trail) check() error {
	var errs []error
	if err := t.failing.Load(); err != nil {
		errs = append(errs, *err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, sink := range sortedKeys(t.couriers) {
		if err := t.couriers[sink].Failed(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", sink, err))
		}
	}
	return errors.Join(errs...)
}

func (rt *runtime) checkClock() error {
	if behind := rt.worlds[store.Production].authority.ClockBehind().Round(time.Second); behind > 0 {
		return fmt.Errorf("the system's clock was set back by %s while the server runs", behind)
	}
	return nil
}

// stuck reports whether riders can't be cut any more, and so revocations not be
// put into effect. A start knows all of them from the store.
func (rt *runtime) stuck() bool {
	app := rt.applied.Load()
	if app == nil {
		return false
	}
	for env := range app.Environments {
		w := rt.worlds[env]
		if w.authority.SweptAgo() > rt.health.stuckAfter || w.seen.staleness(rt.health.now()) > rt.health.stuckAfter {
			return true
		}
	}
	return false
}
