package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// A state that nobody guesses has 128 bits: 22 characters of base64url. One that
// is longer than a kilobyte holds something else.
const minState, maxState = 22, 1024

// connectCall is what an app asks for when it sends a browser here.
type connectCall struct {
	app      store.Client
	redirect string // one of the app's
	state    string
	message  string // origin whose window gets the answer as a message; empty: a form brings it
}

// connect is the page of the access code exchange on which a user lets an app
// have accounts and scopes. What comes of it never stands in an address, where an
// access code and a user secret would be kept in histories and logs: handBack.
func (i *Issuer) connect(x *exchange) (response, error) {
	call, err := i.readConnect(x)
	if err != nil {
		return response{}, err
	}
	return i.personPage(func(x *exchange, p *person) (response, error) {
		r, err := i.presentRights(x, p)
		if err != nil {
			return response{}, err
		}
		return i.connectPage(x, p, &call, &r, nil, pages.ConnectProblem{}), nil
	}, func(x *exchange, p *person, f form) (response, error) {
		if f["decision"] != "allow" {
			return i.declined(p, &call), nil
		}
		r, err := i.presentRights(x, p)
		if err != nil {
			return response{}, err
		}
		return i.decide(x, p, &call, &r, f)
	})(x)
}

// readConnect reads who asks and where the answer goes. Until both are known to
// belong together, nothing leads away from here.
func (i *Issuer) readConnect(x *exchange) (call connectCall, err error) {
	query, err := parseForm(x.URL.RawQuery)
	if err != nil {
		return call, err
	}
	if query["appKey"] == "" {
		return call, notConnected("no_app")
	}
	found, err := i.store.Party(x.Context(), i.environment, query["appKey"])
	if err != nil {
		return call, fmt.Errorf("read app: %w", err)
	}
	call = connectCall{app: found.Client, redirect: query["redirect_uri"], state: query["state"]}
	switch {
	case !call.app.Exchange || call.app.Status != store.Active:
		return call, notConnected("unknown_app")
	case call.redirect == "" || !slices.Contains(call.app.RedirectURIs, call.redirect):
		return call, notConnected("other_place")
	case call.state == "" && call.app.StateOptional:
	case len(call.state) < minState || len(call.state) > maxState || !isVisible(call.state):
		return call, notConnected("state", "Least", minState, "Most", maxState)
	}
	call.message, err = messageOrigin(&call, query["response_mode"])
	return call, err
}

// notConnected tells people what is wrong with the app that sent them here, or with
// a form that no page of ours has.
func notConnected(why string, values ...any) error {
	return pageError(http.StatusBadRequest, codeInvalidRequest, "connect.refused."+why, values...)
}

// isVisible knows the characters of a state (RFC 6749 appendix A.5).
func isVisible(s string) bool {
	for k := range len(s) {
		if s[k] < ' ' || s[k] > '~' {
			return false
		}
	}
	return true
}

// connectPage asks the user. Nothing is ticked but what was before.
func (i *Issuer) connectPage(x *exchange, p *person, call *connectCall, r *rights, before form, problem pages.ConnectProblem) response {
	status := http.StatusOK
	if problem.Is != "" {
		status = http.StatusUnprocessableEntity
	}
	data := pages.ConnectData{
		Layout: i.layoutFor("", p), App: shownName(&call.app), About: shownText(call.app.Description, maxShownText),
		Action: i.base + pathConnect + "?" + x.URL.RawQuery, Returns: originOf(call.redirect), Problem: problem, Message: call.message != "",
		Scopes: i.scopeChoices(before, call.app.MaxScopes, r.user.MaxScopes),
	}
	for k := range r.open {
		at := &r.open[k]
		_, ticked := before["account."+at.Account.ID]
		data.Accounts = append(data.Accounts, pages.Choice{
			Name: "account." + at.Account.ID, Title: at.Account.ID, About: shownText(at.Account.Name, maxShownName), Ticked: ticked,
		})
	}
	return pageResponse(status, pages.Connect(data), formTarget(call.redirect)).keepingOpener()
}

// nameOf is what people call a program.
func nameOf(c *store.Client) string {
	if c.Name == "" {
		return c.ID
	}
	return c.Name
}

// scopeChoices are boxes for the scopes that all of the ceilings cover, the most
// dangerous first; those are ticked that were before.
func (i *Issuer) scopeChoices(before form, ceilings ...[]string) []pages.Choice {
	scopes := offered(i.policy(), ceilings...)
	names := make([]string, len(scopes))
	for k := range scopes {
		names[k] = scopes[k].Name
	}
	var choices []pages.Choice
	for _, scope := range i.shownScopes(names) {
		_, ticked := before["scope."+scope.Name]
		choices = append(choices, pages.Choice{
			Name: "scope." + scope.Name, Title: scope.Title, About: scope.Name, Risk: scope.Risk,
			Includes: strings.Join(scope.Includes, "; "), Ticked: ticked,
		})
	}
	return choices
}

// decide connects user and app as the form says.
func (i *Issuer) decide(x *exchange, p *person, call *connectCall, r *rights, f form) (response, error) {
	scopes, accounts := f.ticked("scope."), f.ticked("account.")
	if err := i.checkChoice(call, r, scopes, accounts); err != nil {
		return response{}, err
	}
	if len(scopes) == 0 {
		return i.connectPage(x, p, call, r, f, pages.ConnectProblem{Is: pages.NoScope}), nil
	}
	if problem := cutByPartial(i.policy(), r, scopes, accounts); problem.Is != "" {
		return i.connectPage(x, p, call, r, f, problem), nil
	}
	code, codeHash := i.keyring.NewOpaque(token.ClassAccessCode)
	secret, _ := i.keyring.NewOpaque(token.ClassSecret)
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(), Principal: p.user.ID, Client: call.app.ID,
		Scopes: scopes, Accounts: accounts, Created: x.now,
	}
	connection := store.Connection{
		Environment: i.environment, Grant: grant.ID, Token: token.NewID(), UserSecret: i.keyring.HashSecret(secret),
	}
	_, err := i.store.Issue(x.Context(), store.Issue{
		Grant: grant, Connection: &connection,
		Code:  &store.Code{Hash: codeHash, KeyID: token.KeyIDOf(code), Expires: x.now.Add(accessCodeLifetime)},
		Event: i.personEvent(x, "connection.issue", "grant:"+grant.ID),
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked):
		return response{}, pageError(http.StatusConflict, codeInvalidRequest, "connect.refused.changed").because(err)
	case err != nil:
		return response{}, fmt.Errorf("issue access code: %w", err)
	}
	x.grant = grant.ID
	return i.handBack(p, call, []pages.Field{
		{Name: "success", Value: "true"}, {Name: "accessCode", Value: code}, {Name: "userSecret", Value: secret},
		{Name: "connectionID", Value: grant.ID}, {Name: "userID", Value: p.user.ID}, {Name: "tokenID", Value: connection.Token},
	}), nil
}

// checkChoice refuses what the page did not offer.
func (i *Issuer) checkChoice(call *connectCall, r *rights, scopes, accounts []string) error {
	open := r.accountIDs()
	for _, id := range accounts {
		if !slices.Contains(open, id) {
			return notConnected("account")
		}
	}
	choices := offered(i.policy(), call.app.MaxScopes, r.user.MaxScopes)
	for _, name := range scopes {
		if !slices.ContainsFunc(choices, func(s policy.Scope) bool { return s.Name == name }) {
			return notConnected("scope")
		}
	}
	return nil
}

// cutByPartial says which account would take a scope away from all: one that is
// open in part does that.
func cutByPartial(vocabulary *policy.Policy, r *rights, scopes, accounts []string) (problem pages.ConnectProblem) {
	for k := range r.open {
		at := &r.open[k]
		if at.Binding.Access != store.Partial || !slices.Contains(accounts, at.Account.ID) {
			continue
		}
		for _, name := range scopes {
			if !vocabulary.Covers(at.Binding.Scopes, name) {
				return pages.ConnectProblem{Is: pages.OnlyPart, Account: at.Account.ID, Scope: name}
			}
		}
	}
	return problem
}
