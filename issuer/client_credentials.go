package issuer

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// issueMargin is how much longer than an access token's lifetime its grant lives
// at least: the lifetime begins after COMMIT, and no token may outlive its grant.
const issueMargin = 10 * time.Second

// shareFor is how much longer a client's own grant lives than its first token,
// so that the tokens of a day share it: for itself, with the same scopes and
// accounts, a client has allowed one thing, however often it asks.
const shareFor = 24 * time.Hour

// clientCredentials lets a client act for itself (RFC 6749 §4.4). There is no
// refresh token: who has the secret needs none (§4.4.3).
func (i *Issuer) clientCredentials(x *exchange, own *store.Party, f form) (response, error) {
	client := &own.Client
	if client.Public {
		return response{}, oauthRefusal(codeUnauthorizedClient, "a public client cannot act for itself: anybody could say that he is it")
	}
	scopes, err := i.ownScopes(f["scope"], client.MaxScopes)
	if err != nil {
		return response{}, err
	}
	if client.Owner != "" {
		return response{}, oauthRefusal(codeUnauthorizedClient, "this client acts for users and not for itself: a user registered it")
	}
	if own.Principal.Kind != store.ClientPrincipal {
		// In databases older than this grant a service account may have the id.
		return response{}, oauthRefusal(codeUnauthorizedClient, "this client cannot act for itself: a service account has the same id")
	}
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(),
		Principal: client.ID, Client: client.ID,
		Scopes: scopes, Accounts: own.Accounts,
		Created: x.now, Expires: x.now.Add(i.authority.Settings().AccessLifetime + issueMargin),
	}
	standing, err := i.store.Issue(x.Context(), store.Issue{
		Grant: grant, Share: shareFor,
		Event: x.event(i.environment, "client_credentials.issue", ""), // the store knows which grant
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked):
		return response{}, errInvalidClient // gone since it authenticated
	case err != nil:
		return response{}, fmt.Errorf("issue grant: %w", err)
	}
	x.issued = GrantClientCredentials
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
