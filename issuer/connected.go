package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// What the programs of others may do for a user: the user let them, on the consent
// page or on that of the access code exchange, and ends it here.

// Paths of what a user let others have, and of what happened.
const (
	pathConnectedApps = "/settings/apps"
	pathDisconnect    = pathConnectedApps + "/{grant}/disconnect"
	pathActivity      = "/settings/activity"
)

// maxConnections is how many connections the page shows, the newest.
const maxConnections = 100

// linkedRoutes registers the pages on which users see what acts for them, and what
// it did.
func (i *Issuer) linkedRoutes(mux *http.ServeMux, base string) {
	get := []string{http.MethodGet, http.MethodHead}
	mux.Handle(base+pathConnectedApps, i.handlePage("connected", get, i.forPerson(i.connectedApps)))
	mux.Handle(base+pathDisconnect, i.handlePage("connected.disconnect", []string{http.MethodGet, http.MethodHead, http.MethodPost}, i.personPage(i.askToDisconnect, i.disconnect)))
	mux.Handle(base+pathActivity, i.handlePage("activity", get, i.forPerson(i.activity)))
}

// connectedApps lists what is connected.
func (i *Issuer) connectedApps(x *exchange, p *person) (response, error) {
	d := pages.ConnectedAppsData{Layout: i.layoutIn(p, pages.SectionConnectedApps)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		grants, err := tx.Grants(i.environment, store.GrantFilter{Principal: p.user.ID, Live: x.now})
		for k := 0; k < len(grants) && err == nil; k++ {
			var app pages.ConnectedApp
			var lives bool
			if app, lives, err = i.connectedApp(tx, &grants[k], x.now); !lives {
				continue
			}
			if d.More = len(d.Apps) == maxConnections; d.More {
				return nil
			}
			d.Apps = append(d.Apps, app)
		}
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("list connected apps: %w", err)
	}
	i.countUnderWay(p.user.ID, d.Apps)
	return pageResponse(http.StatusOK, pages.ConnectedApps(d)), nil
}

// connectedApp describes what a grant lets its app do now. A grant that nothing can
// come of any more does not live.
func (i *Issuer) connectedApp(tx store.Reader, g *store.Grant, now time.Time) (app pages.ConnectedApp, lives bool, err error) {
	if g.Client == store.PersonalClient {
		return app, false, nil
	}
	standing, err := token.StandingOf(tx, g)
	if err != nil || standing.Dead() {
		return app, false, err
	}
	tokens, err := tx.TokensOf(g.Environment, g.ID)
	if err != nil || !i.bears(&standing, tokens, now) {
		return app, false, err
	}
	client := &standing.Client
	app = pages.ConnectedApp{
		Grant: g.ID, App: shownName(client), Description: shownText(client.Description, maxShownText),
		Since: g.Created, Until: g.Expires, Renewed: lastRenewed(tokens), Waiting: len(tokens) == 0,
	}
	if app.Owner, err = i.ownerOf(tx, client); err != nil {
		return app, false, err
	}
	scopes, _ := token.Entitlement(i.policy(), &standing)
	app.Scopes = i.shownScopes(scopes)
	for k := range standing.Accounts {
		account := &standing.Accounts[k].Account
		app.Accounts = append(app.Accounts, pages.ConnectedAccount{ID: account.ID, Name: shownText(account.Name, maxShownName)})
	}
	return app, true, nil
}

// ownerOf is the name of the user who registered a client; empty: an operator did.
func (i *Issuer) ownerOf(tx store.Reader, client *store.Client) (string, error) {
	if client.Owner == "" {
		return "", nil
	}
	owner, err := tx.Principal(i.environment, client.Owner)
	if errors.Is(err, store.ErrNotFound) || err == nil && owner.Name == "" {
		return shownText(client.Owner, maxShownName), nil
	}
	return shownText(owner.Name, maxShownName), err
}

// bears reports whether a grant that was not revoked still has something that the
// app can use: a code that waits, a token, or an access token that was made from
// one. (Those are not recorded; so one that was made last is reckoned with.)
func (i *Issuer) bears(s *store.Standing, tokens []store.Token, now time.Time) bool {
	if ended(s.Grant.Expires, now) {
		return false
	}
	if len(tokens) == 0 {
		waits := i.codeLifetime
		if s.Client.Exchange {
			waits = accessCodeLifetime
		}
		return now.Before(s.Grant.Created.Add(waits))
	}
	return slices.ContainsFunc(tokens, func(t store.Token) bool {
		return t.Revoked.IsZero() && t.Head() &&
			(!ended(t.Expires, now) || now.Before(t.Created.Add(i.authority.Settings().AccessLifetime)))
	})
}

// lastRenewed is when the app came for another token; zero: it has the first. (A
// predecessor may have been deleted, but not within the time that a first token
// takes.)
func lastRenewed(tokens []store.Token) (at time.Time) {
	if len(tokens) < 2 {
		return at
	}
	for k := range tokens {
		if tokens[k].Created.After(at) {
			at = tokens[k].Created
		}
	}
	return at
}

// countUnderWay says of each app what it is doing at this moment.
func (i *Issuer) countUnderWay(user string, apps []pages.ConnectedApp) {
	for _, at := range i.authority.UnderWay(func(f *token.Facts) bool { return f != nil && f.Subject == user }) {
		for k := range apps {
			switch {
			case apps[k].Grant != at.Facts.Grant:
			case at.Streaming:
				apps[k].Streams++
			default:
				apps[k].Requests++
			}
		}
	}
}

// errNoConnection is the one answer to an id that nobody has and to what is somebody
// else's.
var errNoConnection error = &oauthError{
	status: http.StatusNotFound, code: codeInvalidRequest, description: "you have no such connected app",
}

// connectionNamed finds the connection that the path names, if it is this person's.
// One that has ended does not live.
func (i *Issuer) connectionNamed(x *exchange, p *person) (app pages.ConnectedApp, grant store.Grant, lives bool, err error) {
	err = i.store.View(x.Context(), func(tx store.Reader) (err error) {
		if grant, err = tx.Grant(i.environment, x.PathValue("grant")); err != nil {
			return err
		}
		if grant.Principal != p.user.ID || grant.Client == store.PersonalClient {
			return store.ErrNotFound
		}
		app, lives, err = i.connectedApp(tx, &grant, x.now)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoConnection
	}
	return app, grant, lives, err
}

// askToDisconnect says what would end.
func (i *Issuer) askToDisconnect(x *exchange, p *person) (response, error) {
	app, _, lives, err := i.connectionNamed(x, p)
	switch {
	case err != nil:
		return response{}, err
	case !lives:
		return seeOther(i.base + pathConnectedApps), nil
	}
	one := []pages.ConnectedApp{app}
	i.countUnderWay(p.user.ID, one)
	return pageResponse(http.StatusOK, pages.Disconnect(pages.DisconnectData{
		Layout: i.layoutIn(p, pages.SectionConnectedApps), ConnectedApp: one[0],
	})), nil
}

// disconnect ends a connection. It asks for no password: who finds that an app does
// what it should not must not be held up.
func (i *Issuer) disconnect(x *exchange, p *person, _ form) (response, error) {
	_, grant, lives, err := i.connectionNamed(x, p)
	if err != nil {
		return response{}, err
	}
	if lives {
		action, err := i.actionOfEnding(x, &grant)
		if err != nil {
			return response{}, err
		}
		if err := i.endGrant(x, grant.ID, "disconnected by its user", i.personEvent(x, action, "grant:"+grant.ID)); err != nil {
			return response{}, err
		}
	}
	return seeOther(i.base + pathConnectedApps), nil
}

// actionOfEnding is what the end of a grant is called in the audit trail.
func (i *Issuer) actionOfEnding(x *exchange, g *store.Grant) (string, error) {
	found, err := i.store.Party(x.Context(), i.environment, g.Client)
	switch {
	case err != nil:
		return "", fmt.Errorf("read app: %w", err)
	case found.Client.Exchange:
		return actionDelink, nil
	}
	return string(store.KindGrant) + ".revoke", nil
}
