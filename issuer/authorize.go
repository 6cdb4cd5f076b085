package issuer

import (
	"net/http"
	"slices"
	"time"
)

// consentTime is how long a person who gave the password for this page may take
// to read it.
const consentTime = 10 * time.Minute

// authorize is the authorization endpoint (RFC 6749 §3.1). A GET shows the page
// that asks for consent; its form is a POST to the same query, of which all is
// checked again.
func (i *Issuer) authorize(x *exchange) (response, error) {
	a, err := i.readAuthorization(x)
	if err != nil {
		return response{}, err
	}
	if err := i.checkAuthorization(a); err != nil {
		return a.refusal(i.url, err), nil
	}
	if slices.Contains(a.prompts, "none") {
		return i.withoutAsking(x, a)
	}
	p, away, err := i.signedInFor(x, a)
	switch {
	case err != nil:
		return response{}, err
	case away != nil:
		return *away, nil
	}
	o, err := i.offerOf(x, a, p)
	if err != nil {
		return response{}, err
	}
	if x.Method == http.MethodPost {
		return i.consentDecision(x, a, p, o)
	}
	return i.consentPage(x, a, p, o, nil, ""), nil
}

// withoutAsking answers who wants no page to be shown (OpenID Connect Core 1.0
// §3.1.2.1): consent is always asked for, so it is always an error.
func (i *Issuer) withoutAsking(x *exchange, a *authorization) (response, error) {
	p, err := i.person(x)
	switch {
	case err != nil:
		return response{}, err
	case p == nil:
		return a.refusal(i.url, oauthRefusal(codeLoginRequired, "nobody is signed in")), nil
	}
	return a.refusal(i.url, oauthRefusal(codeConsentRequired, "consent is asked for each time")), nil
}

// signedInFor returns who is signed in, or the way to the page where one does: to
// the one that asks for the password again, if the client wants that
// (prompt=login). The page is shown only right after it was given; whoever sends
// its form may have read for a while.
func (i *Issuer) signedInFor(x *exchange, a *authorization) (*person, *response, error) {
	p, away, err := i.mustSignIn(x)
	if away != nil || err != nil || !slices.Contains(a.prompts, "login") {
		return p, away, err
	}
	if age := x.now.Sub(p.session.Authenticated); x.Method == http.MethodPost && age >= 0 && age <= consentTime {
		return p, nil, nil
	}
	away, err = i.mustStepUp(x, p)
	return p, away, err
}
