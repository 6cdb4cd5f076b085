package token

import (
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// Facts are what a token says, proven by its signature or its row in the store.
//
// The order is that of use: see Lease.
type Facts struct {
	Accounts []string
	Personal *Personal // limits of an opaque token; nil for a signed one
	Class    string    // "access" for a signed token, else the store's class
	Scopes   []string  // as granted, not expanded
	Subject  string    // the principal
	Client   string
	ID       string // jti, or the id of the row
	Grant    string
	KeyID    string // the signing key; empty for an opaque token
	Epoch    int64
	Rights   int64
	Issued   time.Time
	Expires  time.Time // zero: never
}

// Lease is the liveness of one token: its facts, and when it was last found
// alive. It is shared by all requests that present the same token.
//
// What each request reads comes first, and so lies in one cache line.
type Lease struct {
	raw string

	// In microseconds since 1970, 0 for never: integers compare at once.
	endsAt  atomic.Int64 // as Facts.Expires, or earlier: see Authority.renewFacts
	staleAt int64        // when the facts must be looked up again

	// generation of the revocation set that last found the token alive.
	generation atomic.Uint64
	common     *common

	renewed atomic.Int64 // the rights that renewFacts last looked it up by
	used    atomic.Int64 // minute since 1970 in which UseIsNews last said so

	Facts
}

// Verdict says whether a lease is good, and if not, why.
type Verdict uint8

// The verdicts. Expired and Revoked are final. RightsChanged asks for the token
// to be renewed (a signed one) or looked up again (an opaque one); Stale, which
// only opaque ones become, for a look-up because the last is long ago or rights
// were given since.
const (
	Live Verdict = iota
	Expired
	Revoked
	RightsChanged
	Stale
)

// String returns the word used in logs and metrics.
func (v Verdict) String() string {
	return [...]string{"live", "expired", "revoked", "rights_changed", "stale"}[v]
}

func newLease(raw string, facts Facts, c *common, now time.Time) *Lease {
	l := &Lease{Facts: facts, common: c, raw: raw}
	if facts.Class != ClassAccess {
		l.staleAt = now.Add(opaqueFactsLife).UnixMicro()
	}
	if !facts.Expires.IsZero() {
		l.endsAt.Store(endsAt(facts.Expires))
	}
	return l
}

// endsAt is an expiry, to the second before it.
func endsAt(expires time.Time) int64 {
	return max(expires.Unix()*int64(time.Second/time.Microsecond), 1)
}

// expired and stale compare with the Authority's Now, which is never set back:
// what they once said they say for ever.
func (l *Lease) expired(at int64) bool {
	ends := l.endsAt.Load()
	return ends != 0 && at >= ends
}

// stale reports whether the facts have to be looked up again.
func (l *Lease) stale(at int64) bool { return l.staleAt != 0 && at >= l.staleAt }

// Renewable reports whether another look at the store may find the token good:
// the facts of an opaque one are stale, or its rights have changed. (A signed
// one cannot change: its client must renew it.)
func (l *Lease) Renewable(v Verdict) bool {
	return v == Stale || v == RightsChanged && l.Class != ClassAccess
}

// Entitlement cuts a grant to what its parties may do now: what a token made
// from it now carries. Without a policy there is no scope to have. A built-in
// client or principal has no ceiling to cut by; that it is one, its row says and
// not its id.
func Entitlement(p *policy.Policy, s *store.Standing) (scopes, accounts []string) {
	if p == nil {
		return nil, nil
	}
	scopes = s.Grant.Scopes
	if s.Client.Source != store.BuiltIn {
		scopes = p.Cut(scopes, s.Client.MaxScopes)
	}
	if s.Principal.Source != store.BuiltIn {
		scopes = p.Cut(scopes, s.Principal.MaxScopes)
	}
	for i := range s.Accounts {
		at := &s.Accounts[i]
		if at.Binding.Access == store.Partial {
			scopes = p.Cut(scopes, at.Binding.Scopes)
		}
		accounts = append(accounts, at.Account.ID)
	}
	return scopes, accounts
}
