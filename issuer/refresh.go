package issuer

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// confidentialRetry is the retry rule for clients that authenticate in the same
// request: a stolen token alone does not get them here.
var confidentialRetry = store.RetryRule{
	Window:       30 * time.Second,
	UnusedWindow: 10 * time.Minute,
	UnusedMax:    3,
}

// publicRetry is the retry rule for clients that have nothing but the token: a
// thief has as much. One retry, at once, and only while nobody has gone on from
// the answer that got lost.
var publicRetry = store.RetryRule{UnusedWindow: 10 * time.Second, UnusedMax: 1}

// renewal is a refresh token that was renewed, before the access token is minted.
type renewal struct {
	standing store.Standing // of its grant the scopes that this answer is for
	refresh  string         // the family's present token
	until    time.Time      // when that expires
}

// renew renews a refresh token of the client (RFC 6749 §6) and
// rotates it, whichever endpoint it came from and is presented at. The successor
// is derived from the token presented, so that it can be given again to whoever
// presents it after the first answer got lost, and is stored nowhere.
func (i *Issuer) renew(x *exchange, f form, rule store.RetryRule) (renewal, error) {
	presented := f["refresh_token"]
	opaque, err := i.keyring.ParseOpaque(presented)
	if err != nil || opaque.Class != store.Refresh {
		return renewal{}, invalidGrant("the refresh token is not valid", err)
	}
	row, standing, err := i.store.TokenByHash(x.Context(), i.environment, opaque.Hash)
	if err != nil {
		return renewal{}, refreshError(err)
	}
	narrowed, err := i.narrowed(x, f["scope"], &standing.Grant)
	if err != nil {
		return renewal{}, err
	}
	// Nonce and key id never change, so what was read beside the writers is right.
	under := i.keyring.KeyID()
	raw, hash, err := i.keyring.Successor(presented, row.KeyID, row.Nonce, store.Refresh, under)
	if err != nil {
		return renewal{}, fmt.Errorf("derive successor: %w", err)
	}
	renewed, err := i.store.Renew(x.Context(), store.Renew{
		Environment: i.environment, Token: opaque.Hash, Client: x.client,
		Successor: i.refreshToken(raw, hash, x.now), Now: x.now,
		Retry: rule, Retain: i.authority.Retention(),
		Event: x.event(i.environment, "token.renew", "grant:"+row.Grant),
	})
	if err != nil {
		return renewal{}, refreshError(err)
	}
	until := x.now.Add(i.refreshLifetime)
	if renewed.Retried {
		if raw, err = i.familyHead(presented, &renewed); err != nil {
			return renewal{}, err
		}
		until = renewed.Head().Expires
	}
	renewed.Standing.Grant.Scopes = narrowed
	return renewal{renewed.Standing, raw, until}, nil
}

// narrowed is what the access token will carry of the grant's scopes: all, or
// those that are asked for. The refresh token keeps all (RFC 6749 §6). Another
// client's grant is not looked into: the renewal will be refused.
func (i *Issuer) narrowed(x *exchange, asked string, grant *store.Grant) ([]string, error) {
	if asked == "" || grant.Client != x.client {
		return grant.Scopes, nil
	}
	names, err := parseScopes(asked)
	if err != nil {
		return nil, err
	}
	return names, checkScopes(i.policy(), names, grant.Scopes)
}

// familyHead derives the family's current token from an older one, link by link.
func (i *Issuer) familyHead(presented string, renewed *store.Renewed) (string, error) {
	raw, hash := presented, renewed.Chain[0].Hash
	for k := range renewed.Chain[1:] {
		var err error
		link, next := &renewed.Chain[k], &renewed.Chain[k+1]
		if raw, hash, err = i.keyring.Successor(raw, link.KeyID, link.Nonce, store.Refresh, next.KeyID); err != nil {
			return "", fmt.Errorf("derive head: %w", err)
		}
	}
	if !hash.Equal(renewed.Head().Hash) {
		return "", errors.New("derive head: it is not what the store has")
	}
	return raw, nil
}

// refreshError says in words why a refresh token is refused, but not whether
// one that belongs to somebody else exists.
func refreshError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrOtherClient):
		return invalidGrant("the refresh token is not valid", err)
	case errors.Is(err, store.ErrExpired):
		return invalidGrant("the refresh token has expired", err)
	case errors.Is(err, store.ErrRevoked):
		return invalidGrant("the refresh token was revoked", err)
	case errors.Is(err, store.ErrReused):
		return invalidGrant("the refresh token was used before; all that was issued with it is revoked", err)
	}
	return fmt.Errorf("renew: %w", err)
}
