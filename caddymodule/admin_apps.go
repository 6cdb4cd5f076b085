package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// apps are the clients of the access code exchange: the id is the app key, the
// secret the app secret. They share a table, and so their ids, with the clients of
// OAuth 2.0, and neither is ever taken for the other. They have no principal,
// because they never act for themselves.
var apps = recordKind[store.Client]{
	word: "app", path: "apps", action: "app",
	kills: store.KindClient, rights: clientRights,
	get: store.Reader.Client, list: store.Reader.Clients, put: putClientRow,
	ours:  func(c *store.Client) bool { return c.Exchange },
	rival: rivalOfApp,
	fields: func(c *store.Client) fields {
		return fields{c.ID, c.Source, &c.Created, &c.Status, &c.Name, &c.MaxScopes, &c.SecretHash}
	},
	show: showApp,
}

func appRoutes() []adminRoute {
	return append(append(apps.routes(), partyRoutes(apps.path, setApp, rotateAppSecret)...),
		adminRoute{"POST", inEnvironment + "/" + apps.path, roleAdmin, addApp})
}

// rivalOfApp names the principal or OAuth client that has an id: ids are not shared,
// so that none of the two can become the other.
func rivalOfApp(tx store.Reader, env store.Environment, id string) (string, error) {
	rival, err := principalNamed(tx, env, id)
	if err != nil || rival != "" {
		return rival, err
	}
	c, err := tx.Client(env, id)
	if err != nil || c.Exchange {
		return "", unlessUnknown(err)
	}
	return "a client", nil
}

// rivalOfClient is the same for an OAuth client.
func rivalOfClient(tx store.Reader, env store.Environment, id string) (string, error) {
	rival, err := principalNamed(tx, env, id)
	if err != nil || rival != "" {
		return rival, err
	}
	c, err := tx.Client(env, id)
	if err != nil || !c.Exchange {
		return "", unlessUnknown(err)
	}
	return "an app", nil
}

func showApp(_ store.Reader, c *store.Client) (record, error) {
	return record{
		ID: c.ID, Name: c.Name, Scopes: &c.MaxScopes, Status: c.Status, Source: c.Source, Created: c.Created,
		Description: c.Description, RedirectURIs: c.RedirectURIs, StateOptional: c.StateOptional,
		OldSecretUntil: shownOverlap(c),
	}, nil
}

// appFields are what apps have beyond other parties. Absent in a call that changes
// an app: as before.
type appFields struct {
	Description   *string   `json:"description,omitzero"`
	RedirectURIs  *[]string `json:"redirect_uris,omitzero"`
	StateOptional *bool     `json:"state_optional,omitzero"`
}

func (in *appFields) any() bool {
	return in.Description != nil || in.RedirectURIs != nil || in.StateOptional != nil
}

// apply puts into an app what is given.
func (in *appFields) apply(to *store.Client) {
	if in.Description != nil {
		to.Description = *in.Description
	}
	if in.RedirectURIs != nil {
		to.RedirectURIs = *in.RedirectURIs
	}
	if in.StateOptional != nil {
		to.StateOptional = *in.StateOptional
	}
}

// newApp is the body of a call that adds an app.
type newApp struct {
	newParty
	appFields
}

func addApp(c *adminCall) (any, error) {
	var in newApp
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.checkParty(&in.newParty); err != nil {
		return nil, err
	}
	row := store.Client{
		Environment: c.env, ID: in.ID, Name: in.Name, Exchange: true, MaxScopes: in.Scopes,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	}
	in.apply(&row)
	if err := checkApp(&row); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return apps.addParty(c, row)
}

// setApp is set for apps. What was connected lives on, also where a redirect URI is
// taken away: whoever receives a code there can't exchange it without the secret.
func setApp(c *adminCall) (any, error) {
	var in struct {
		partyChange
		appFields
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !in.partyChange.any() && !in.appFields.any() {
		return nil, refuse(http.StatusBadRequest, "there is nothing to change; name one of: name, scopes, description, redirect_uris, state_optional")
	}
	if err := c.checkChange(&in.partyChange); err != nil {
		return nil, err
	}
	return apps.edit(c, "set", "scopes were changed", func(tx *change, row *store.Client) error {
		in.apply(row)
		if err := checkApp(row); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		if in.Name != nil {
			row.Name = *in.Name
		}
		if in.Scopes == nil || slices.Equal(row.MaxScopes, *in.Scopes) {
			return nil
		}
		taken := lessThan(*in.Scopes, row.MaxScopes)
		row.MaxScopes = *in.Scopes
		return tx.raise(apps.rights.kind(taken), row.ID)
	})
}

// checkApp refuses an app that could not be connected.
func checkApp(c *store.Client) error {
	if err := checkText("description", c.Description); err != nil {
		return err
	}
	if len(c.RedirectURIs) == 0 {
		return errors.New("redirect_uris are missing: where the browser of a user brings the access code")
	}
	if err := issuer.CheckRedirectURIs(c.RedirectURIs); err != nil {
		return err
	}
	for _, uri := range c.RedirectURIs {
		if err := issuer.CheckPostURI(uri); err != nil {
			return err
		}
	}
	return nil
}
