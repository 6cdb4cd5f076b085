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
	f, err := readTokenCall(x.Request)
	if err != nil {
		return response{}, err
	}
	// Who asks for a revocation and hangs up wants it all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	x.Request = x.WithContext(ctx)
	party, err := i.identifyClient(x, f)
	if err != nil {
		return response{}, err
	}
	stranger := ""
	if party.Client.Public {
		stranger = x.ip // nobody has shown who he is
	}
	if err := i.revokeToken(x, f["token"], stranger); err != nil {
		return response{}, err
	}
	// RFC 7009 §2.2 has clients ignore the body. Some look at its type before
	// they do, and take anything but JSON for an error.
	return response{status: http.StatusOK, contentType: "application/json"}, nil
}

// readTokenCall reads a call that is about one token (RFC 7009 §2.1, RFC 7662
// §2.1).
func readTokenCall(r *http.Request) (form, error) {
	f, err := readForm(r)
	if err == nil && f["token"] == "" {
		err = invalidRequest("token is missing")
	}
	return f, err
}

func (i *Issuer) revokeToken(x *exchange, raw, stranger string) error {
	if err := i.revocableHere(raw); err != nil {
		return err
	}
	found, err := i.authority.Find(x.Context(), raw, stranger)
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
