package issuer

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// staticTokens lists the tokens that a user issued to itself, with a form to issue
// one that sees all that the user sees.
func (i *Issuer) staticTokens(x *exchange, p *person) (response, error) {
	return i.staticTokensPage(x, p, http.StatusOK, nil, nil)
}

func (i *Issuer) staticTokensPage(x *exchange, p *person, status int, before form, problem *pages.Problem) (response, error) {
	r, err := i.presentRights(x, p)
	if err != nil {
		return response{}, err
	}
	listed, err := i.ownTokens(x, p)
	if err != nil {
		return response{}, err
	}
	shown := make([]pages.StaticToken, len(listed))
	for k := range listed {
		shown[k] = shownStatic(&listed[k])
	}
	return pageResponse(status, pages.StaticTokens(pages.StaticTokensData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Full: r.full, Scopes: visible(i.policy(), r.user.MaxScopes), Accounts: r.accountIDs(),
		Tokens: shown, Label: before["label"], Problem: problem,
	})), nil
}

// shownStatic puts a token into the form in which the page shows it.
func shownStatic(t *token.PersonalToken) pages.StaticToken {
	return pages.StaticToken{
		ID: t.ID, Label: t.Label, Scopes: t.Grant.Scopes, Accounts: t.Grant.Accounts,
		Created: t.Created, Expires: t.Expires, Used: t.Used, Status: pages.TokenStatus(t.Status),
	}
}

// createStaticToken issues a token with the full view of its user: all scopes that
// are not hidden, on all accounts. Whoever holds it sees what the user sees, so
// the password is asked for again; and what the user loses later, each use of
// the token lacks.
func (i *Issuer) createStaticToken(x *exchange, p *person, f form) (response, error) {
	r, err := i.presentRights(x, p)
	switch {
	case err != nil:
		return response{}, err
	case !r.full:
		return response{}, errNotFullAccess
	}
	if again, err := i.mustStepUp(x, p); again != nil || err != nil {
		return orEmpty(again), err
	}
	label := strings.TrimSpace(f["label"])
	scopes := visible(i.policy(), r.user.MaxScopes)
	switch {
	case label == "" || !isLabel(label, maxName):
		problem := pages.NewProblem("user_token.no_label", "Most", maxName)
		return i.staticTokensPage(x, p, http.StatusUnprocessableEntity, f, &problem)
	case len(scopes) == 0:
		problem := pages.NewProblem("user_token.no_scope")
		return i.staticTokensPage(x, p, http.StatusUnprocessableEntity, f, &problem)
	}
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(), Principal: p.user.ID, Client: store.PersonalClient,
		Scopes: scopes, Accounts: r.accountIDs(), Created: x.now,
	}
	raw, hash := i.keyring.NewOpaque(store.Personal)
	row := store.Token{
		Environment: i.environment, ID: token.NewID(), Hash: hash, Class: store.Personal, KeyID: token.KeyIDOf(raw),
		Created: x.now, Label: label,
	}
	_, err = i.store.Issue(x.Context(), store.Issue{
		Grant: grant, Tokens: []store.Token{row}, Event: i.personEvent(x, "personal_token.issue", "token:"+row.ID),
	})
	if err != nil {
		return response{}, fmt.Errorf("issue static token: %w", err)
	}
	x.grant, x.issued = grant.ID, GrantPersonal
	return pageResponse(http.StatusCreated, pages.NewStaticToken(pages.NewStaticTokenData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Label: label, Token: raw, Scopes: scopes, Accounts: grant.Accounts,
	})), nil
}

// confirmStaticRevoke asks before a token is revoked, and says what that stops.
func (i *Issuer) confirmStaticRevoke(x *exchange, p *person) (response, error) {
	one, err := i.ownToken(x, p, x.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	shown := shownStatic(&one)
	if !shown.Live() {
		return seeOther(i.base + pathStaticTokens), nil
	}
	return pageResponse(http.StatusOK, pages.StaticTokenRevoke(pages.StaticTokenRevokeData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Token: shown,
		Uses: i.underWay(func(f *token.Facts) bool { return f.ID == one.ID }),
	})), nil
}

// revokeStaticToken ends one of a user's own tokens. When it answers, the token is
// dead and its streams are cut.
func (i *Issuer) revokeStaticToken(x *exchange, p *person, _ form) (response, error) {
	if err := i.endOwnToken(x, p, x.PathValue("id")); err != nil {
		return response{}, err
	}
	return seeOther(i.base + pathStaticTokens), nil
}
