package policy

import "slices"

// Facts is what is known of a token when a request is decided.
type Facts struct {
	Scopes   Set
	Accounts []string // the accounts that were granted
}

// Reason says why a decision is as it is.
type Reason uint8

// The reasons.
const (
	ReasonNoRoute           Reason = iota // no route matches: default deny
	ReasonInsufficientScope               // no alternative is satisfied
	ReasonAccountNotGranted               // the path names an account of somebody else
	ReasonPublic                          // the route needs no token
	ReasonAllowed                         // the token suffices
)

var reasonNames = []string{"no_route", "insufficient_scope", "account_not_granted", "public", "allowed"}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// allows reports whether a decision with this reason lets the request through.
func (r Reason) allows() bool { return r == ReasonPublic || r == ReasonAllowed }

// MarshalText lets a decision be logged with the reason's name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Decision is a verdict and its reason. The zero Decision denies.
type Decision struct {
	Allow  bool
	Reason Reason
	Route  *Route
}

// Decide judges a matched request. It is a pure function and allocates nothing.
// A match or a set that is not of this policy, as after a swap, denies.
func (p *Policy) Decide(m *Match, f Facts) Decision {
	r := m.Route
	switch {
	case r == nil || r.owner != p:
		return Decision{Reason: ReasonNoRoute}
	case r.Public:
		return Decision{Allow: true, Reason: ReasonPublic, Route: r}
	case !r.satisfied(p.read(f.Scopes)):
		return Decision{Reason: ReasonInsufficientScope, Route: r}
	case !r.bound(m, f.Accounts):
		return Decision{Reason: ReasonAccountNotGranted, Route: r}
	}
	return Decision{Allow: true, Reason: ReasonAllowed, Route: r}
}

// read returns the bits of a set, none if it is another policy's.
func (p *Policy) read(s Set) bitset {
	if s.owner != p {
		return nil
	}
	return s.bits
}

// satisfied reports whether one alternative is held completely.
func (r *Route) satisfied(granted bitset) bool {
	for i := range r.alternatives {
		if granted.contains(r.alternatives[i].needs) {
			return true
		}
	}
	return false
}

// bound reports whether every bound parameter is a granted account.
func (r *Route) bound(m *Match, accounts []string) bool {
	for _, param := range r.binds {
		if !slices.Contains(accounts, m.values[param]) {
			return false
		}
	}
	return true
}

// Missing returns, for each alternative of the route, the scopes that granted
// lacks, in the order of the file. An alternative that needs a hidden scope is
// left out, so the result may be empty; it is also empty if nothing is missing.
func (p *Policy) Missing(m *Match, granted Set) [][]string {
	held := p.read(granted)
	if m.Route == nil || m.Route.owner != p || m.Route.satisfied(held) {
		return nil
	}
	var missing [][]string
	for _, alternative := range m.Route.alternatives {
		if alternative.hidden {
			continue
		}
		var lacks []string
		for _, scope := range alternative.scopes {
			if !held.has(scope) {
				lacks = append(lacks, p.vocabulary.scopes[scope].Name)
			}
		}
		if !slices.ContainsFunc(missing, func(other []string) bool { return slices.Equal(other, lacks) }) {
			missing = append(missing, lacks)
		}
	}
	return missing
}
