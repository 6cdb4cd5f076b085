package gate

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// measureEvery is how many decisions there are for one that is measured: looking at
// the clock twice costs as much as half of a decision.
const measureEvery = 16

// measured is check, and how long that took is told of some.
func (g *Gate) measured(x *exchange, r *http.Request) (Decision, *Refusal) {
	x.turn++
	if g.took == nil || x.turn%measureEvery != 1 {
		return g.check(x, r)
	}
	begin := time.Now()
	d, refusal := g.check(x, r)
	took, decision := time.Since(begin), Allow
	if refusal != nil {
		decision = refusal.Decision()
	}
	g.took(decision, took)
	return d, refusal
}

// check is steps 2 to 7: whether r may go on. If it may, x rides when check
// returns; if it may not, x does not.
//
// The rate of a personal token comes last, and once: what is refused for another
// reason costs nothing and hears nothing of it.
func (g *Gate) check(x *exchange, r *http.Request) (Decision, *Refusal) {
	method, flaw := judgeMethod(r)
	if flaw == nil {
		flaw = judgePath(r)
	}
	if flaw != nil {
		return Decision{}, g.refuse(r, flaw)
	}
	x.method, x.path = method, r.URL.Path
	for {
		p := g.policy()
		d, refusal := g.checkUnder(x, r, p)
		if g.policy() == p {
			if refusal == nil && d.Lease != nil && d.Lease.Personal != nil {
				refusal = g.spend(x, r, &d)
			}
			return d, refusal
		}
		// The policy was swapped after the route was matched. Who rides already
		// may have missed its sweep: begin again under the new one.
		if refusal == nil {
			g.authority.Leave(&x.Ride)
		}
	}
}

// checkUnder is steps 3, the policy's route for the request, to 7 under one
// revision of the policy.
func (g *Gate) checkUnder(x *exchange, r *http.Request, p *policy.Policy) (Decision, *Refusal) {
	var m policy.Match
	if p == nil || !p.MatchTo(&m, x.method, x.path) { // a policy that was removed has no route
		return Decision{}, g.refuse(r, flawNoRoute)
	}
	d, refusal := g.checkRoute(x, r, p, &m)
	if refusal != nil {
		refusal.Route = m.Route
	}
	return d, refusal
}

// checkRoute is steps 4 to 7 for the route that was matched.
func (g *Gate) checkRoute(x *exchange, r *http.Request, p *policy.Policy, m *policy.Match) (Decision, *Refusal) {
	if c := m.Route.CORS; c != nil && foreignSocket(r, c) {
		return Decision{}, g.refuse(r, flawOrigin)
	}
	var lease *token.Lease
	if !m.Route.Public {
		raw, flaw := credential(r, m.Route)
		if flaw != nil {
			return Decision{}, g.refuse(r, flaw)
		}
		var refusal *Refusal
		if lease, refusal = g.prove(x, r, raw); refusal != nil {
			return Decision{}, refusal
		}
	}
	judged, refusal := g.judge(x, r, lease)
	if refusal != nil {
		refusal.Lease = lease
		return Decision{}, refusal
	}
	if judged != nil && judged.Personal != nil {
		refusal = g.admit(r, judged)
	}
	var d Decision
	if refusal == nil {
		d, refusal = g.decide(x, r, p, m, judged)
	}
	if refusal != nil {
		refusal.Lease = judged
		g.authority.Leave(&x.Ride)
	}
	return d, refusal
}

// prove is step 5: the facts of the token, from the cache where possible.
func (g *Gate) prove(x *exchange, r *http.Request, raw string) (*token.Lease, *Refusal) {
	tokens := &g.counts.tokens[x.lane]
	if lease := g.authority.Cached(raw); lease != nil {
		tokens.hits.Add(1)
		return lease, nil
	}
	tokens.misses.Add(1)
	lease, err := g.authority.Prove(raw, g.clientIP(r))
	if err == nil {
		return lease, nil
	}
	// A credential is well formed if it is good, so its form need only be judged
	// when it is not: reading 700 bytes would cost more than the cache does.
	if strings.ContainsAny(raw, " \t") {
		return nil, g.refuse(r, flawMalformed)
	}
	if !wellFormed(raw) {
		return nil, g.refuse(r, flawAlien)
	}
	return nil, g.refuseProof(r, err)
}

// refuseProof answers for the authority: what it calls invalid is 401, 429 if too
// many from the same address were, and whatever else went wrong is 503, because
// nothing is known about the token.
func (g *Gate) refuseProof(r *http.Request, err error) *Refusal {
	var invalid *token.Invalid
	var overloaded *token.Overloaded
	switch {
	case errors.As(err, &invalid):
		return g.refuseInvalid(r, invalid)
	case errors.As(err, &overloaded):
		return g.refuseOverload(r, overloaded)
	case errors.Is(err, store.ErrUnavailable):
		return g.refuse(r, flawStore).because(err)
	default:
		return g.refuse(r, flawFault).because(err)
	}
}

// judge is step 6: the request joins the riders, and then its lease is judged.
// The lease is another one if the facts of an opaque token have to be looked up
// again. If judge refuses, the request has left again.
func (g *Gate) judge(x *exchange, r *http.Request, lease *token.Lease) (*token.Lease, *Refusal) {
	for rechecked := false; ; rechecked = true {
		x.join(lease)
		if g.afterJoin != nil {
			g.afterJoin()
		}
		if lease == nil {
			return nil, nil
		}
		now := g.now()
		x.began = now
		verdict := g.authority.Judge(lease, now)
		if verdict == token.Live {
			return lease, nil
		}
		g.authority.Leave(&x.Ride)
		if !lease.Renewable(verdict) {
			return nil, g.refuseVerdict(r, verdict, lease, now)
		}
		if rechecked {
			return nil, g.refuse(r, flawRights)
		}
		var err error
		if lease, err = g.authority.Recheck(lease); err != nil {
			return nil, g.refuseProof(r, err)
		}
	}
}

// decide is step 7: whether the facts satisfy the route.
func (g *Gate) decide(x *exchange, r *http.Request, p *policy.Policy, m *policy.Match, lease *token.Lease) (Decision, *Refusal) {
	facts := factsOf(p, lease)
	d := p.Decide(m, facts)
	switch {
	case d.Allow:
		return Decision{Route: d.Route, Reason: d.Reason.String(), Lease: lease}, nil
	case d.Reason == policy.ReasonInsufficientScope:
		return Decision{}, g.refuseScope(r, x.method+" "+d.Route.Path, p.Missing(m, facts.Scopes))
	case d.Reason == policy.ReasonAccountNotGranted:
		return Decision{}, g.refuse(r, flawAccount)
	default:
		return Decision{}, g.refuse(r, flawNoRoute)
	}
}

// factsOf returns what the policy may know of a token. Anonymous has nothing.
func factsOf(p *policy.Policy, lease *token.Lease) policy.Facts {
	if lease == nil {
		return policy.Facts{}
	}
	return policy.Facts{Scopes: lease.Granted(p), Accounts: lease.Accounts}
}
