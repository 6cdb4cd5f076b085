package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// s4CodeRequest is a code call: everything is in headers.
type s4CodeRequest struct {
	client, account credentials
	scopes          []string
}

// s4Parties are who a code call is about. Those that do not exist are zero.
type s4Parties struct {
	client    store.Client
	principal store.Principal
	accounts  []string // bound to the principal
}

// s4Code answers the code call: a service account lets a client have a code.
func (i *Issuer) s4Code(x *exchange) (response, error) {
	req, err := readS4Code(x.Request)
	if err != nil {
		return response{}, err
	}
	parties, err := i.authenticatePairs(x, req)
	if err != nil {
		return response{}, err
	}
	if err := checkScopes(i.policy(), req.scopes, parties.client.MaxScopes, parties.principal.MaxScopes); err != nil {
		return response{}, err
	}
	raw, hash := i.keyring.NewOpaque(token.ClassCode)
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(),
		Principal: parties.principal.ID, Client: parties.client.ID,
		Scopes: req.scopes, Accounts: parties.accounts, Created: x.now,
	}
	_, err = i.store.Issue(x.Context(), store.Issue{
		Grant: grant,
		Code:  &store.Code{Hash: hash, KeyID: token.KeyIDOf(raw), Expires: x.now.Add(i.codeLifetime)},
		Event: x.event(i.environment, "code.issue", "grant:"+grant.ID),
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked):
		return response{}, errInvalidClient // gone since the snapshot
	case err != nil:
		return response{}, fmt.Errorf("issue code: %w", err)
	}
	x.grant = grant.ID
	return jsonResponse(http.StatusOK, struct {
		Code string `json:"code"`
	}{raw})
}

func readS4Code(r *http.Request) (req s4CodeRequest, err error) {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return req, err
	}
	// One way to authenticate in a request (RFC 6749 §2.3).
	if _, given, _ := basicCredentials(r.Header); given {
		return req, invalidRequest("Authorization is not accepted here: the credentials are in headers of their own")
	}
	if req.account.id, err = credentialHeader(r.Header, "X-Service-Account-ID"); err != nil {
		return req, err
	}
	if req.account.secret, err = credentialHeader(r.Header, "X-Service-Account-Secret"); err != nil {
		return req, err
	}
	if req.client.id, err = credentialHeader(r.Header, "X-IBM-client-id", "X-Client-ID"); err != nil {
		return req, err
	}
	if req.client.secret, err = credentialHeader(r.Header, "X-IBM-client-secret", "X-Client-Secret"); err != nil {
		return req, err
	}
	if req.scopes, err = scopeHeader(r.Header); err != nil {
		return req, err
	}
	_, err = readBody(r) // it says nothing, but may not be endless
	return req, err
}

// credentialHeader reads a header that must be there once, under one of its
// names.
func credentialHeader(h http.Header, names ...string) (string, error) {
	var found []string
	for _, name := range names {
		found = append(found, h.Values(name)...)
	}
	switch {
	case len(found) == 0 || len(found) == 1 && found[0] == "":
		return "", invalidRequest("the header %s is missing", names[0])
	case len(found) > 1:
		return "", invalidRequest("the header %s is given more than once", names[0])
	case !isCredential(found[0]):
		return "", invalidRequest("the header %s is not readable", names[0])
	}
	return found[0], nil
}

// authenticatePairs verifies both pairs, the second also if the first is wrong:
// the answer does not tell which it was. Only the pair that is wrong is
// throttled, so that a bot with a bad secret does not shut its neighbours out
// who share an address and a service account with it.
func (i *Issuer) authenticatePairs(x *exchange, req s4CodeRequest) (s4Parties, error) {
	client, principal := party{kindClient, req.client.id}, party{kindPrincipal, req.account.id}
	from := throttledAddress(x.ip)
	if err := i.throttle.admit(x.now, from, client, principal); err != nil {
		return s4Parties{}, err
	}
	found, err := i.findS4Parties(x.Context(), req.client.id, req.account.id)
	if err != nil {
		return s4Parties{}, err
	}
	x.named = found.client.ID
	clientFits, clientErr := i.verifyClient(x, &found.client, req.client)
	principalFits, principalErr := i.secrets.Verify(x.Context(),
		usableHash(found.principal.Status, found.principal.SecretHash, req.account.id), req.account.secret)
	if err := errors.Join(clientErr, principalErr); err != nil {
		return s4Parties{}, err
	}
	var wrong []party
	if !clientFits {
		wrong = append(wrong, client)
		x.wrong = "client"
	}
	if !principalFits {
		wrong = append(wrong, principal)
		x.wrong = strings.TrimPrefix(x.wrong+" and service account", " and ")
	}
	if err := i.throttle.settle(x.now, from, []party{client, principal}, wrong); err != nil {
		return s4Parties{}, err
	}
	if len(wrong) > 0 {
		return s4Parties{}, errInvalidClient
	}
	x.client = found.client.ID
	i.signedIn(x, "principal:"+found.principal.ID)
	return found, nil
}

// findS4Parties reads both without a snapshot in common: Issue reads them again,
// in its transaction.
func (i *Issuer) findS4Parties(ctx context.Context, client, principal string) (s4Parties, error) {
	c, err := i.findParty(ctx, client)
	if err != nil {
		return s4Parties{}, err
	}
	p, err := i.findParty(ctx, principal)
	if err != nil {
		return s4Parties{}, err
	}
	if p.Principal.Kind != store.Service {
		p = store.Party{} // a person, or a client, is no service account
	}
	return s4Parties{client: c.Client, principal: p.Principal, accounts: p.Accounts}, nil
}
