package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// gateRoutes are the routes that stand in a gate's block, compiled with the
// scopes of a named policy.
type gateRoutes struct {
	rules  []policy.Rule
	cors   *policy.RuleCORS
	of     string         // the name of the policy whose scopes they need
	base   *policy.Policy // its revision
	policy *policy.Policy
}

func compileRoutes(rules []policy.Rule, cors *policy.RuleCORS, of string, base *policy.Policy) (*gateRoutes, error) {
	p, err := base.WithRoutes(rules, cors)
	if err != nil {
		return nil, err
	}
	return &gateRoutes{rules, cors, of, base, p}, nil
}

// key is the same for routes that say the same, so that a reload which leaves
// them alone leaves who rides on them alone.
func (r *gateRoutes) key() (string, error) {
	rules := slices.Clone(r.rules)
	for i := range rules {
		rules[i].Source = ""
	}
	text, err := json.Marshal(struct {
		Rules []policy.Rule
		CORS  *policy.RuleCORS
	}{rules, r.cors})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return r.of + " " + hex.EncodeToString(sum[:]), nil
}

// routeSlot holds what gateRoutes are at present, as policySlot does for files.
type routeSlot struct {
	present atomic.Pointer[gateRoutes]
	// refused is the last revision of the scopes that did not fit the routes, so
	// that each is reported once.
	refused *policy.Policy
}

// get returns the compiled routes, nil if the configuration has them no more.
func (s *routeSlot) get() *policy.Policy {
	if routes := s.present.Load(); routes != nil {
		return routes.policy
	}
	return nil
}

// routeSlot returns the slot of a key, which may be empty. Like that of a name
// it lives as long as the runtime.
func (p *policies) routeSlot(key string) *routeSlot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lockedRoutes(key)
}

func (p *policies) lockedRoutes(key string) *routeSlot {
	slot := p.routes[key]
	if slot == nil {
		slot = new(routeSlot)
		p.routes[key] = slot
	}
	return slot
}

// recompile brings gates' routes up to the present scopes, and reports whether
// any changed. The caller holds the lock.
func (p *policies) recompile(log *zap.Logger) (changed bool) {
	for _, key := range sortedKeys(p.routes) {
		slot := p.routes[key]
		present := slot.present.Load()
		if present == nil {
			continue
		}
		base := p.locked(present.of).get()
		if base == nil || base == present.base || base == slot.refused {
			continue
		}
		next, err := compileRoutes(present.rules, present.cors, present.of, base)
		if err != nil {
			slot.refused = base
			log.Error("the policy no longer has what the routes of a gate need; they keep serving with the scopes before, "+
				"and the next reload or start will be refused",
				zap.String("policy", present.of), zap.String("revision", present.base.Revision()), zap.Error(err))
			continue
		}
		slot.refused = nil
		slot.present.Store(next)
		changed = true
	}
	return changed
}

// addRoutes compiles the routes of a gate, with the scopes of the policy of that
// name, and returns where they will be once the app has started.
func (app *App) addRoutes(rules []policy.Rule, cors *policy.RuleCORS, of string) (*routeSlot, error) {
	routes, err := compileRoutes(rules, cors, of, app.policies[of].policy)
	if err != nil {
		return nil, fmt.Errorf("routes of bearer_gate: %w", err)
	}
	key, err := routes.key()
	if err != nil {
		return nil, err
	}
	app.routes[key] = routes
	return app.runtime.policies.routeSlot(key), nil
}
