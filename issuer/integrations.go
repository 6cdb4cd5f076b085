package issuer

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Where people make tokens for their programs.
const (
	pathIntegrations      = "/settings/integrations"
	pathIntegrationNew    = pathIntegrations + "/new"
	pathIntegrationTry    = pathIntegrations + "/test"
	pathIntegrationStatus = pathIntegrations + "/status"
	pathIntegrationRevoke = pathIntegrations + "/{id}/revoke"
	pathIntegrationRotate = pathIntegrations + "/{id}/rotate"
)

// integrationRoutes are the pages "Server-To-Server Integrations".
func (i *Issuer) integrationRoutes(mux *http.ServeMux, base string) {
	get := []string{http.MethodGet, http.MethodHead}
	page := func(path, endpoint string, methods []string, serve func(*exchange) (response, error)) {
		mux.Handle(base+path, i.handlePage(endpoint, methods, serve))
	}
	both := append(slices.Clone(get), http.MethodPost)
	page(pathIntegrations, "integrations", get, i.forPerson(i.integrations))
	page(pathIntegrationStatus, "integrations.status", get, i.forPerson(i.integrationsStatus))
	page(pathIntegrationNew, "integrations.new", both, i.forPerson(i.newIntegration))
	page(pathIntegrationTry, "integrations.test", both, i.personPage(i.tryPage, i.tryToken))
	page(pathIntegrationRevoke, "integrations.revoke", both, i.personPage(i.revokeIntegrationPage, i.revokeIntegration))
	page(pathIntegrationRotate, "integrations.rotate", both, i.personPage(i.rotateIntegrationPage, i.rotateIntegration))
}

// integrations lists all tokens that a user issued to itself, on whichever page, and
// those that an operator issued for it.
func (i *Issuer) integrations(x *exchange, p *person) (response, error) {
	tokens, err := i.ownTokens(x, p)
	if err != nil {
		return response{}, err
	}
	data := pages.IntegrationsData{Layout: i.layoutIn(p, pages.SectionIntegrations), Tokens: i.shownIntegrations(tokens)}
	data.Wide = true
	ended := x.URL.Query().Get("ended")
	for k := range data.Tokens {
		if one := &data.Tokens[k]; one.ID == ended && !one.Live() {
			data.Ended = one.Name
		}
	}
	// There may be thousands: what is ready is sent while the rest is made.
	answer := pageResponse(http.StatusOK, nil)
	answer.stream = func(w *bufio.Writer) error { return pages.Integrations(w, data) }
	return answer, nil
}

// integrationsStatus is what changes in that list while it is looked at.
func (i *Issuer) integrationsStatus(x *exchange, p *person) (response, error) {
	tokens, err := i.ownTokens(x, p)
	if err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusOK, pages.IntegrationsLive(i.shownIntegrations(tokens)))
}

// ownTokens lists a user's personal tokens, those that live before the others and
// the newest first.
func (i *Issuer) ownTokens(x *exchange, p *person) (tokens []token.PersonalToken, err error) {
	err = i.store.View(x.Context(), func(tx store.Reader) error {
		tokens, err = token.PersonalTokens(tx, i.environment, p.user.ID, x.now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	dead := func(t token.PersonalToken) int {
		if t.Status == token.PersonalLive {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(tokens, func(a, b token.PersonalToken) int { return cmp.Compare(dead(a), dead(b)) })
	return tokens, nil
}

// shownIntegrations puts tokens into the form in which pages show them, with the
// streams that are open on each.
func (i *Issuer) shownIntegrations(tokens []token.PersonalToken) []pages.Integration {
	own := make(map[string]bool, len(tokens))
	for k := range tokens {
		own[tokens[k].ID] = true
	}
	streams := map[string]int{}
	for _, one := range i.authority.UnderWay(func(f *token.Facts) bool { return f != nil && own[f.ID] }) {
		if one.Streaming {
			streams[one.Facts.ID]++
		}
	}
	shown := make([]pages.Integration, len(tokens))
	for k := range tokens {
		shown[k] = shownIntegration(&tokens[k])
		shown[k].Streams = streams[tokens[k].ID]
	}
	return shown
}

func shownIntegration(t *token.PersonalToken) pages.Integration {
	return pages.Integration{
		ID: t.ID, Name: t.Label, Scopes: t.Grant.Scopes, Accounts: t.Grant.Accounts, Networks: t.Networks, Rate: t.Rate.Requests, Per: t.Rate.Per,
		Created: t.Created, Expires: t.Expires, Used: t.Used, UsedFrom: t.UsedFrom, Status: pages.TokenStatus(t.Status), Replaced: !t.Rotated.IsZero(),
	}
}

// ownToken reads one of a user's own tokens.
func (i *Issuer) ownToken(x *exchange, p *person, id string) (one token.PersonalToken, err error) {
	err = i.store.View(x.Context(), func(tx store.Reader) error {
		one, err = token.PersonalByID(tx, i.environment, id, p.user.ID, x.now)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return one, errNoToken
	case err != nil:
		return one, fmt.Errorf("find token: %w", err)
	}
	x.grant = one.Grant.ID
	return one, nil
}

// errNoToken is the one answer to an id that nobody has and to one of somebody
// else's.
var errNoToken error = &oauthError{status: http.StatusNotFound, code: codeInvalidRequest, description: "you have no such token"}
