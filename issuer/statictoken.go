package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// maxListed is how many tokens a page lists.
const maxListed = 200

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
	return pageResponse(status, pages.StaticTokens(pages.StaticTokensData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Full: r.full, Scopes: visible(i.policy(), r.user.MaxScopes), Accounts: r.accountIDs(),
		Tokens: listed, Label: before["label"], Problem: problem,
	})), nil
}

// ownTokens lists a user's personal tokens, the newest first.
func (i *Issuer) ownTokens(x *exchange, p *person) ([]pages.StaticToken, error) {
	var grants []store.Grant
	rows := map[string][]store.Token{}
	err := i.store.View(x.Context(), func(tx store.Reader) (err error) {
		grants, err = tx.Grants(i.environment, store.GrantFilter{Principal: p.user.ID, Client: store.PersonalClient, Limit: maxListed})
		for k := 0; k < len(grants) && err == nil; k++ {
			rows[grants[k].ID], err = tx.TokensOf(i.environment, grants[k].ID)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	var listed []pages.StaticToken
	for k := range grants {
		for _, row := range rows[grants[k].ID] {
			shown, err := i.shownToken(x, &grants[k], &row)
			if err != nil {
				return nil, err
			}
			listed = append(listed, shown)
		}
	}
	return listed, nil
}

// shownToken says whether a token lives, which depends on all that it stands on.
func (i *Issuer) shownToken(x *exchange, g *store.Grant, row *store.Token) (pages.StaticToken, error) {
	shown := pages.StaticToken{
		ID: row.ID, Label: row.Label, Scopes: g.Scopes, Accounts: g.Accounts,
		Created: row.Created, Expires: row.Expires, Used: row.Used,
	}
	_, standing, err := i.store.TokenByHash(x.Context(), i.environment, row.Hash)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return shown, fmt.Errorf("list tokens: %w", err)
	case err != nil, standing.Dead(), !row.Revoked.IsZero():
		shown.Status = pages.TokenRevoked
	case ended(row.Expires, x.now):
		shown.Status = pages.TokenExpired
	default:
		shown.Status = pages.TokenLive
	}
	return shown, nil
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
		return orZero(again), err
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
	x.grant = grant.ID
	return pageResponse(http.StatusCreated, pages.NewStaticToken(pages.NewStaticTokenData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Label: label, Token: raw, Scopes: scopes, Accounts: grant.Accounts,
	})), nil
}

func orZero(r *response) response {
	if r == nil {
		return response{}
	}
	return *r
}

// ownToken finds a personal token of this person's.
func (i *Issuer) ownToken(ctx context.Context, p *person, id string) (row store.Token, grant store.Grant, err error) {
	err = i.store.View(ctx, func(tx store.Reader) (err error) {
		if row, err = tx.Token(i.environment, id); err == nil {
			grant, err = tx.Grant(i.environment, row.Grant)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (grant.Principal != p.user.ID || grant.Client != store.PersonalClient) {
		return row, grant, &oauthError{status: http.StatusNotFound, code: codeInvalidRequest, description: "you have no such token"}
	}
	if err != nil {
		return row, grant, fmt.Errorf("find token: %w", err)
	}
	return row, grant, nil
}

// confirmStaticRevoke asks before a token is revoked, and says what that stops.
func (i *Issuer) confirmStaticRevoke(x *exchange, p *person) (response, error) {
	row, grant, err := i.ownToken(x.Context(), p, x.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	shown, err := i.shownToken(x, &grant, &row)
	switch {
	case err != nil:
		return response{}, err
	case !shown.Live():
		return seeOther(i.base + pathStaticTokens), nil
	}
	return pageResponse(http.StatusOK, pages.StaticTokenRevoke(pages.StaticTokenRevokeData{
		Layout: i.layoutIn(p, pages.SectionUserTokens), Token: shown,
		Uses: i.underWay(func(f *token.Facts) bool { return f.ID == row.ID }),
	})), nil
}

// revokeStaticToken ends one of a user's own tokens. When it answers, the token is
// dead and its streams are cut.
func (i *Issuer) revokeStaticToken(x *exchange, p *person, _ form) (response, error) {
	id := x.PathValue("id")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	_, grant, err := i.ownToken(ctx, p, id)
	if err != nil {
		return response{}, err
	}
	x.grant = grant.ID
	_, err = i.authority.Revoke(ctx,
		store.Revocation{Kind: store.KindToken, Target: id, Reason: "revoked by its owner"},
		i.personEvent(x, "token.revoke", "token:"+id))
	if err != nil {
		return response{}, fmt.Errorf("revoke: %w", err)
	}
	return seeOther(i.base + pathStaticTokens), nil
}
