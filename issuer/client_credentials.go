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

// issueMargin is how much longer than an access token's lifetime its grant
// lives: the lifetime begins after COMMIT, and no token may outlive its grant.
const issueMargin = 10 * time.Second

// ownParties are a client and what stands for it when it acts for itself, read
// in one snapshot.
type ownParties struct {
	client   store.Client
	accounts []string // bound to its principal
}

// clientCredentials lets a client act for itself (RFC 6749 §4.4). There is no
// refresh token: who has the secret needs none (§4.4.3).
func (i *Issuer) clientCredentials(x *exchange, f form) (response, error) {
	own, err := i.findOwnParties(x.Context(), x.client)
	if err != nil {
		return response{}, err
	}
	scopes, err := i.ownScopes(f["scope"], own.client.MaxScopes)
	if err != nil {
		return response{}, err
	}
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(),
		Principal: own.client.ID, Client: own.client.ID,
		Scopes: scopes, Accounts: own.accounts,
		Created: x.now, Expires: x.now.Add(i.authority.Settings().AccessLifetime + issueMargin),
	}
	standing, err := i.store.Issue(x.Context(), store.Issue{
		Grant: grant,
		Event: x.event(i.environment, "client_credentials.issue", "grant:"+grant.ID),
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked):
		return response{}, errInvalidClient // gone since it authenticated
	case err != nil:
		return response{}, fmt.Errorf("issue grant: %w", err)
	}
	return i.tokenAnswer(x, &standing, "")
}

// ownScopes are those that are asked for, or all that the client may have but
// for hidden ones: they are given to who knows them and asks.
func (i *Issuer) ownScopes(asked string, ceiling []string) ([]string, error) {
	p := i.policy()
	if asked != "" {
		names, err := parseScopes(asked)
		if err != nil {
			return nil, err
		}
		return names, checkScopes(p, names, ceiling)
	}
	var names []string
	for _, name := range ceiling {
		if scope, known := p.Scope(name); known && !scope.Hidden {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, invalidScope("there is no scope that this client has without asking for it")
	}
	return names, nil
}

// findOwnParties also makes sure that the principal with the client's id is the
// client's. (In databases older than this grant a service account may have it.)
func (i *Issuer) findOwnParties(ctx context.Context, client string) (own ownParties, err error) {
	var principal store.Principal
	err = i.store.View(ctx, func(tx store.Reader) error {
		own = ownParties{} // should the store read again
		if own.client, err = tx.Client(i.environment, client); err != nil {
			return err
		}
		if principal, err = tx.Principal(i.environment, client); unlessUnknown(err) != nil {
			return err
		}
		bindings, err := tx.Bindings(i.environment, client)
		for k := range bindings {
			own.accounts = append(own.accounts, bindings[k].Account)
		}
		return err
	})
	switch {
	case err != nil:
		return ownParties{}, fmt.Errorf("read client: %w", err)
	case principal.Kind != store.ClientPrincipal:
		return ownParties{}, &oauthError{
			status: http.StatusBadRequest, code: codeUnauthorizedClient,
			description: "this client cannot act for itself: a service account has the same id",
		}
	}
	return own, nil
}
