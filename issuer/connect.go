package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
}

// connect is the page of the access code exchange on which a user lets an app
// have accounts and scopes. The app gets what comes of it as a form that the
// user's browser posts (OAuth 2.0 Form Post Response Mode): an access code and a
// user secret in an address would be kept in histories and logs.
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
		return i.connectPage(x, p, &call, &r, nil, ""), nil
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
		return call, invalidRequest("appKey is missing: the app that sent you here is not set up right")
	}
	found, err := i.store.Party(x.Context(), i.environment, query["appKey"])
	if err != nil {
		return call, fmt.Errorf("read app: %w", err)
	}
	call = connectCall{found.Client, query["redirect_uri"], query["state"]}
	switch {
	case !call.app.Exchange || call.app.Status != store.Active:
		return call, invalidRequest("there is no such app")
	case call.redirect == "" || !slices.Contains(call.app.RedirectURIs, call.redirect):
		return call, invalidRequest("redirect_uri is missing or is not registered for this app")
	case call.state == "" && call.app.StateOptional:
		return call, nil
	case len(call.state) < minState || len(call.state) > maxState || !isVisible(call.state):
		return call, invalidRequest("state must be there, of %d characters at least, and hard to guess", minState)
	}
	return call, nil
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
func (i *Issuer) connectPage(x *exchange, p *person, call *connectCall, r *rights, before form, problem string) response {
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	data := pages.ConnectData{
		Layout: i.layoutFor("Connect "+shownName(&call.app), p), App: shownName(&call.app), About: shownText(call.app.Description, maxShownText),
		Action: i.base + pathConnect + "?" + x.URL.RawQuery, Returns: originOf(call.redirect), Problem: problem,
		Scopes: scopeChoices(offered(i.policy(), call.app.MaxScopes, r.user.MaxScopes), before),
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

// scopeChoices are boxes for scopes, of which those are ticked that were before.
func scopeChoices(scopes []policy.Scope, before form) []pages.Choice {
	var choices []pages.Choice
	for _, scope := range scopes {
		_, ticked := before["scope."+scope.Name]
		choices = append(choices, pages.Choice{
			Name: "scope." + scope.Name, Title: scope.Title, About: scope.Name, Risk: scope.Risk.String(), Ticked: ticked,
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
		return i.connectPage(x, p, call, r, f, "Tick what the app may do."), nil
	}
	if problem := cutByPartial(i.policy(), r, scopes, accounts); problem != "" {
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
		return response{}, &oauthError{
			status: http.StatusConflict, code: codeInvalidRequest, cause: err,
			description: "the app, you, or one of the accounts was changed in this moment; nothing was connected",
		}
	case err != nil:
		return response{}, fmt.Errorf("issue access code: %w", err)
	}
	x.grant = grant.ID
	return i.handBack(p, call, "You are connected", []pages.Field{
		{Name: "success", Value: "true"}, {Name: "accessCode", Value: code}, {Name: "userSecret", Value: secret},
		{Name: "connectionID", Value: grant.ID}, {Name: "userID", Value: p.user.ID}, {Name: "tokenID", Value: connection.Token},
	}), nil
}

// checkChoice refuses what the page did not offer.
func (i *Issuer) checkChoice(call *connectCall, r *rights, scopes, accounts []string) error {
	open := r.accountIDs()
	for _, id := range accounts {
		if !slices.Contains(open, id) {
			return invalidRequest("one of the accounts is not open to you")
		}
	}
	choices := offered(i.policy(), call.app.MaxScopes, r.user.MaxScopes)
	for _, name := range scopes {
		if !slices.ContainsFunc(choices, func(s policy.Scope) bool { return s.Name == name }) {
			return invalidScope("one of the scopes is more than the app or you may have")
		}
	}
	return nil
}

// cutByPartial says which account would take a scope away from all: one that is
// open in part does that.
func cutByPartial(vocabulary *policy.Policy, r *rights, scopes, accounts []string) string {
	for k := range r.open {
		at := &r.open[k]
		if at.Binding.Access != store.Partial || !slices.Contains(accounts, at.Account.ID) {
			continue
		}
		for _, name := range scopes {
			if !vocabulary.Covers(at.Binding.Scopes, name) {
				return fmt.Sprintf("Account %s is open to you in part, without %s: tick fewer scopes, or connect that account by itself.", at.Account.ID, name)
			}
		}
	}
	return ""
}

// declined hands back that the user wants none of it.
func (i *Issuer) declined(p *person, call *connectCall) response {
	return i.handBack(p, call, "Nothing was connected", []pages.Field{
		{Name: "success", Value: "false"}, {Name: "type", Value: "ACCESS_DENIED"}, {Name: "msg", Value: "the user declined"},
	})
}

// handBack is the page whose form takes the browser to the app.
func (i *Issuer) handBack(p *person, call *connectCall, title string, fields []pages.Field) response {
	if call.state != "" {
		fields = append(fields, pages.Field{Name: "state", Value: call.state})
	}
	body := pages.HandBack(pages.HandBackData{
		Layout: i.layoutFor(title, p), App: shownName(&call.app), To: call.redirect, Returns: originOf(call.redirect), Fields: fields,
		Connected: fields[0].Value == "true",
	})
	return pageResponse(http.StatusOK, body, formTarget(call.redirect)).keepingOpener()
}

// CheckPostURI is CheckRedirectURI for an app of the access code exchange, to
// which a browser sends a form: that needs the web.
func CheckPostURI(raw string) error {
	if err := CheckRedirectURI(raw); err != nil {
		return err
	}
	if !strings.HasPrefix(raw, "https://") && !strings.HasPrefix(raw, "http://") {
		return fmt.Errorf("redirect URI %q: must begin with https://, because the app receives a form there, which no other scheme can take", raw)
	}
	return nil
}

// originOf is the origin of a redirect URI, for people. It is empty if the URI is
// not one that CheckPostURI lets pass.
func originOf(raw string) string {
	if CheckPostURI(raw) != nil {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return webOrigin(u)
}
