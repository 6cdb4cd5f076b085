package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// revokeTimeout bounds a revocation whose caller may be gone.
const revokeTimeout = 10 * time.Second

// revoke ends a token (RFC 7009). When it answers 200 the token is dead. The
// hint is not needed and not read: a token tells what it is.
func (i *Issuer) revoke(x *exchange) (response, error) {
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	// Who asks for a revocation and hangs up wants it all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	x.Request = x.WithContext(ctx)
	raw, err := i.revoker(x, f)
	if err != nil {
		return response{}, err
	}
	if err := i.revokeToken(x, raw); err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK}, nil
}

// revoker finds out who asks, and returns the token that it is about.
func (i *Issuer) revoker(x *exchange, f form) (raw string, err error) {
	if i.asTradingClient(x.Request, f) {
		x.client = store.TradingClient
		if f["token"] == "" {
			return "", errTokenMissing
		}
		return f["token"], nil
	}
	raw, readings, err := tokenCall(x.Header, f)
	if err == nil {
		_, err = i.authenticateClient(x, readings...)
	}
	return raw, err
}

// readTokenCall reads a call that is about one token (RFC 7009 §2.1, RFC 7662
// §2.1): the token, and the credentials of the client that asks.
func readTokenCall(r *http.Request) (raw string, readings []credentials, err error) {
	f, err := readForm(r)
	if err != nil {
		return "", nil, err
	}
	return tokenCall(r.Header, f)
}

func tokenCall(h http.Header, f form) (raw string, readings []credentials, err error) {
	if readings, err = standardReadings(h, f); err != nil {
		return "", nil, err
	}
	if f["token"] == "" {
		return "", nil, errTokenMissing
	}
	return f["token"], readings, nil
}

var errTokenMissing = invalidRequest("token is missing")

func (i *Issuer) revokeToken(x *exchange, raw string) error {
	if err := i.revocableHere(raw); err != nil {
		return err
	}
	found, err := i.authority.Find(x.Context(), raw)
	var invalid *token.Invalid
	switch {
	case errors.As(err, &invalid):
		return nil // unknown or dead already: what was asked for is so (RFC 7009 §2.2)
	case err != nil:
		return fmt.Errorf("find token: %w", err)
	case found.Client != x.client:
		// RFC 7009 §2.1 wants the request refused, and RFC 6749 §5.2 has a code
		// for a token that "was issued to another client".
		return invalidGrant("the token was issued to another client", nil)
	}
	target := string(found.Kind) + ":" + found.Target
	if found.Kind == store.KindGrant {
		x.grant = found.Target
	}
	_, err = i.authority.Revoke(x.Context(),
		store.Revocation{Kind: found.Kind, Target: found.Target, Reason: "revoked by the client"},
		x.event(i.environment, string(found.Kind)+".revoke", target))
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}
