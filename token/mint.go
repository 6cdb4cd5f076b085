package token

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// ClassAccess is the class of signed access tokens, which have no row.
const ClassAccess = "access"

// Minted is a new access token.
type Minted struct {
	Raw      string
	ID       string
	Scopes   []string // what it carries: the grant cut to present rights
	Accounts []string
	Lifetime time.Duration
}

// Mint signs an access token (RFC 9068) for what a grant stands on. It lives
// for the environment's access lifetime, and never beyond notAfter unless that
// is zero.
func (a *Authority) Mint(s *store.Standing, notAfter time.Time) (Minted, error) {
	now := a.Now()
	set := a.settings.Load()
	life := set.AccessLifetime
	if !notAfter.IsZero() {
		life = min(life, notAfter.Sub(now))
	}
	life = life.Truncate(time.Second) // NumericDate has whole seconds here
	scopes, accounts := Entitlement(set.Policy(), s)
	issued := now.Truncate(time.Second)
	claims := Claims{
		Issuer: set.Issuer, Audience: []string{set.Audience},
		Subject: s.Principal.ID, ClientID: s.Client.ID,
		IssuedAt: issued, Expires: issued.Add(life),
		ID: NewID(), Grant: s.Grant.ID,
		Scopes: scopes, Accounts: accounts,
		Epoch: s.Epoch(), Rights: s.Rights(),
	}
	raw, _, err := a.keys.Load().Sign(claims, now)
	if err != nil {
		return Minted{}, err
	}
	return Minted{Raw: raw, ID: claims.ID, Scopes: scopes, Accounts: accounts, Lifetime: life}, nil
}
