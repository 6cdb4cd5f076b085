package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// tryPage asks for a token that somebody wants to know about.
func (i *Issuer) tryPage(_ *exchange, p *person) (response, error) {
	return pageResponse(http.StatusOK, pages.IntegrationTry(pages.IntegrationTryData{Layout: i.layoutIn(p, pages.SectionIntegrations)})), nil
}

// tryToken tells what the API would make of a token at this moment, as /token/self
// does. The token comes in the body of a form and is not in the answer.
func (i *Issuer) tryToken(x *exchange, p *person, f form) (response, error) {
	result, err := i.tried(x, strings.TrimSpace(f["token"]))
	if err != nil {
		return response{}, err
	}
	d := pages.IntegrationTryData{Layout: i.layoutIn(p, pages.SectionIntegrations), Result: &result}
	if x.Header.Get("Accept") == "application/json" { // our own script asks
		return jsonResponse(http.StatusOK, pages.TriedLive(&result))
	}
	return pageResponse(http.StatusOK, pages.IntegrationTry(d)), nil
}

// tried asks what selfAnswer tells.
func (i *Issuer) tried(x *exchange, raw string) (pages.Tried, error) {
	if raw == "" {
		return pages.Tried{Outcome: pages.TriedNothing}, nil
	}
	lease, err := i.selfLease(x, raw)
	var invalid *token.Invalid
	switch {
	case errors.As(err, &invalid):
		return pages.Tried{Outcome: pages.TriedInvalid}, nil
	case err != nil:
		return pages.Tried{}, fmt.Errorf("check token: %w", err)
	}
	result := pages.Tried{Outcome: pages.TriedGood, Scopes: lease.Scopes, Accounts: lease.Accounts, Expires: lease.Expires, Subject: lease.Subject}
	if own := lease.Personal; own != nil {
		if !own.Admits(x.ip) {
			return pages.Tried{Outcome: pages.TriedElsewhere, Address: address(x.ip)}, nil
		}
		result.Name = own.Label
		if i.authority.UseIsNews(lease, x.now) {
			i.authority.NoteUse(lease, x.now, x.ip)
		}
	}
	return result, nil
}
