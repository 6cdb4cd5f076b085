package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// introspection is what RFC 7662 §2.2 tells of a token that lives. One that
// does not has none of it.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitzero"`
	ClientID  string   `json:"client_id,omitzero"`
	TokenType string   `json:"token_type,omitzero"` // of access tokens
	Expires   int64    `json:"exp,omitzero"`
	Issued    int64    `json:"iat,omitzero"`
	Subject   string   `json:"sub,omitzero"`
	Audience  string   `json:"aud,omitzero"` // of access tokens: refresh tokens are for us
	Issuer    string   `json:"iss,omitzero"`
	ID        string   `json:"jti,omitzero"`
	Accounts  []string `json:"accounts,omitempty"`
}

// introspect tells a client whether a token of its own lives, and what it is
// good for (RFC 7662). A token of another client is as good as none. The hint is
// not needed and not read: a token tells what it is.
func (i *Issuer) introspect(x *exchange) (response, error) {
	f, err := readTokenCall(x.Request)
	if err != nil {
		return response{}, err
	}
	readings, err := standardReadings(x.Header, f)
	if err != nil {
		return response{}, err
	}
	if _, err := i.authenticateClient(x, readings...); err != nil {
		return response{}, err
	}
	found, err := i.inspect(x, f["token"])
	var invalid *token.Invalid
	switch {
	case errors.As(err, &invalid):
		found = introspection{}
	case err != nil:
		return response{}, fmt.Errorf("introspect: %w", err)
	case found.ClientID != x.client:
		found = introspection{}
	}
	return jsonResponse(http.StatusOK, found)
}

// inspect looks at a token of either kind. It fails with *token.Invalid if the
// token is none of ours or dead.
func (i *Issuer) inspect(x *exchange, raw string) (introspection, error) {
	if opaque, err := i.keyring.ParseOpaque(raw); err == nil && opaque.Class == store.Refresh {
		return i.inspectRefresh(x.Context(), opaque.Hash, x.now)
	}
	lease, err := i.liveLease(raw, x.now)
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, TokenType: tokenType, ID: lease.ID,
		Subject: lease.Subject, ClientID: lease.Client,
		Issuer: i.url, Audience: i.authority.Settings().Audience,
		Issued: lease.Issued.Unix(), Expires: lease.Expires.Unix(),
		Scope: strings.Join(lease.Scopes, " "), Accounts: lease.Accounts,
	}, nil
}

// inspectRefresh tells what a renewal now would give at most. Only the family's
// head lives: an older token is good for a retry, and soon for nothing.
func (i *Issuer) inspectRefresh(ctx context.Context, hash store.Hash, now time.Time) (introspection, error) {
	row, standing, err := i.store.TokenByHash(ctx, i.environment, hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return introspection{}, &token.Invalid{Reason: token.ReasonUnknown}
	case err != nil:
		return introspection{}, err
	case !row.Head(), !row.Revoked.IsZero(), standing.Dead():
		return introspection{}, &token.Invalid{Reason: token.ReasonRevoked}
	case ended(row.Expires, now), ended(standing.Grant.Expires, now):
		return introspection{}, &token.Invalid{Reason: token.ReasonExpired}
	}
	scopes, accounts := token.Entitlement(i.policy(), &standing)
	return introspection{
		Active: true, ID: row.ID, Issuer: i.url,
		Subject: standing.Principal.ID, ClientID: standing.Client.ID,
		Issued: row.Created.Unix(), Expires: row.Expires.Unix(),
		Scope: strings.Join(scopes, " "), Accounts: accounts,
	}, nil
}

// ended reports whether an instant that ends something has come. The zero
// instant never comes.
func ended(expires, now time.Time) bool { return !expires.IsZero() && !now.Before(expires) }
