package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// opaqueFactsLife is how long the facts of an opaque token may be used before
	// they are looked up again.
	opaqueFactsLife = 5 * time.Minute
	// lookupTimeout bounds a look-up that several requests wait for.
	lookupTimeout = 5 * time.Second
)

// Check proves a token and returns its lease, from the cache where it can. The
// lease says nothing about liveness: Join, then Judge.
//
// It fails with *Invalid if the token is not one of ours, and with
// store.ErrUnavailable if that cannot be found out now.
func (a *Authority) Check(raw string) (*Lease, error) {
	if lease := a.settings.Load().cache.get(raw); lease != nil {
		return lease, nil
	}
	return a.prove(raw)
}

// Recheck proves the token again, past the cache: its rights have changed, or
// its facts are stale.
func (a *Authority) Recheck(lease *Lease) (*Lease, error) { return a.prove(lease.raw) }

// Judge asks whether the lease is good at now, which is to be the Authority's
// Now. Hot: one comparison of clocks and one of generations.
//
// That facts are stale comes last: a stream may be open for longer than they are
// fresh, and what kills it is asked for all the same.
func (a *Authority) Judge(lease *Lease, now time.Time) Verdict {
	at := now.UnixMicro()
	if lease.expired(at) {
		return Expired
	}
	if verdict := a.revoked.judge(lease); verdict != Live {
		return verdict
	}
	if lease.stale(at) {
		return Stale
	}
	return Live
}

// prove verifies or looks up once for all requests that wait for the same token.
func (a *Authority) prove(raw string) (*Lease, error) {
	proven, err, _ := a.proving.Do(raw, func() (any, error) {
		s := a.settings.Load()
		var facts Facts
		var err error
		if LooksOpaque(raw) {
			facts, err = a.lookUp(s, raw)
		} else {
			facts, err = a.verify(s, raw)
		}
		if err != nil {
			return nil, err
		}
		lease := newLease(raw, facts, s.cache.shared.of(&facts), a.Now())
		if a.beforeFill != nil {
			a.beforeFill()
		}
		s.cache.put(lease)
		return lease, nil
	})
	lease, _ := proven.(*Lease) // nil beside an error
	return lease, err
}

func (a *Authority) verify(s *settings, raw string) (Facts, error) {
	claims, keyID, err := a.keys.Load().Verify(raw, Expect{
		Issuer: s.Issuer, Audience: s.Audience, MaxLifetime: s.AccessLifetime, Now: a.Now(),
	})
	if err != nil {
		return Facts{}, err
	}
	return Facts{
		ID: claims.ID, Class: ClassAccess, Grant: claims.Grant,
		Subject: claims.Subject, Client: claims.ClientID,
		Scopes: claims.Scopes, Accounts: claims.Accounts,
		KeyID: keyID, Epoch: claims.Epoch, Rights: claims.Rights,
		Issued: claims.IssuedAt, Expires: claims.Expires,
	}, nil
}

// lookUp finds an opaque token in the store. The look-up serves every request
// that waits for it, so none of them can cancel it.
func (a *Authority) lookUp(s *settings, raw string) (Facts, error) {
	opaque, err := a.keyring.ParseOpaque(raw)
	if err != nil {
		return Facts{}, err
	}
	if opaque.Class != store.Personal && opaque.Class != store.ExchangeAccess {
		return Facts{}, &Invalid{Reason: ReasonClass, Proven: true, Detail: "a " + string(opaque.Class) + " token is not an access token"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	row, standing, err := a.store.TokenByHash(ctx, a.environment, opaque.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Facts{}, &Invalid{Reason: ReasonUnknown}
	case err != nil:
		return Facts{}, fmt.Errorf("look up token: %w", errors.Join(store.ErrUnavailable, err))
	case standing.Dead() || !row.Revoked.IsZero():
		return Facts{}, &Invalid{Reason: ReasonRevoked, Proven: true, Detail: "the token was revoked"}
	}
	personal, err := a.personal(&row)
	if err != nil {
		return Facts{}, err
	}
	scopes, accounts := Entitlement(s.Policy(), &standing)
	return Facts{
		ID: row.ID, Class: string(row.Class), Grant: row.Grant,
		Subject: standing.Principal.ID, Client: standing.Client.ID,
		Scopes: scopes, Accounts: accounts,
		Epoch: standing.Epoch(), Rights: standing.Rights(),
		Issued: row.Created, Expires: row.Expires, Personal: personal,
	}, nil
}
