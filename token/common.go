package token

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// common is what many tokens say alike: a program's tokens differ in little but
// their ids. It is kept once for all of them, and so is what was worked out from
// it: less memory, and what one token brought into the processor's cache serves
// the next.
type common struct {
	subject, client  string
	scopes, accounts []string

	granted  atomic.Pointer[grantedScopes]
	spelling atomic.Pointer[Spelling]
}

// grantedScopes remembers scopes as bits of one policy.
type grantedScopes struct {
	policy *policy.Policy
	set    policy.Set
}

// Spelling is how facts of a token are written for others.
type Spelling struct{ Subject, Client, Accounts, Scopes string }

// Spelled returns what spell makes of the lease's facts. It is asked once for all
// tokens that say the same, so it must always make the same of them.
func (l *Lease) Spelled(spell func(*Facts) *Spelling) *Spelling {
	if known := l.common.spelling.Load(); known != nil {
		return known
	}
	spelled := spell(&l.Facts)
	l.common.spelling.Store(spelled)
	return spelled
}

// Granted returns the token's scopes as a set of p. The last policy asked for
// is remembered, so that the gates' usual case costs one comparison.
func (l *Lease) Granted(p *policy.Policy) policy.Set {
	if memo := l.common.granted.Load(); memo != nil && memo.policy == p {
		return memo.set
	}
	memo := &grantedScopes{policy: p, set: p.Set(l.Scopes)}
	l.common.granted.Store(memo)
	return memo.set
}

// shared finds what is common. Who comes to a place that is taken puts out who
// was there: leases keep what they have, and only later ones make their own.
type shared struct {
	seed   maphash.Seed
	places [1 << 12]atomic.Pointer[common]
}

// of returns the common part of facts, and lets them use its memory.
func (s *shared) of(f *Facts) *common {
	place := &s.places[s.hash(f)%uint64(len(s.places))]
	c := place.Load()
	if c == nil || !c.fits(f) {
		c = newCommon(f)
		place.Store(c)
	}
	f.Subject, f.Client, f.Scopes, f.Accounts = c.subject, c.client, c.scopes, c.accounts
	return c
}

func newCommon(f *Facts) *common {
	return &common{subject: f.Subject, client: f.Client, scopes: f.Scopes, accounts: f.Accounts}
}

func (c *common) fits(f *Facts) bool {
	return c.subject == f.Subject && c.client == f.Client && slices.Equal(c.scopes, f.Scopes) && slices.Equal(c.accounts, f.Accounts)
}

func (s *shared) hash(f *Facts) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, list := range [][]string{{f.Subject, f.Client}, f.Scopes, f.Accounts} {
		for _, word := range list {
			_, _ = h.WriteString(word) // it never fails
			_ = h.WriteByte(0)
		}
	}
	return h.Sum64()
}
