package caddymodule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// ExchangeApp is an app of the access code exchange (S5): users connect it on a page
// of the issuer.
type ExchangeApp struct {
	// The app key, by which the app calls itself.
	ID string `json:"id"`

	// A name for people.
	Name string `json:"name,omitempty"`

	// What it is for, for people who are asked to trust it.
	Description string `json:"description,omitempty"`

	// The hash of the app secret, as made by `caddy bearer hash-secret`. Required.
	SecretHash string `json:"secret_hash"`

	// Where the browser of a user brings the access code: https, or http to 127.0.0.1,
	// [::1] or localhost. Compared as strings. One without a path is an origin, whose
	// pages may get it by postMessage. At least one.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// "optional" for an app from before state, which it cannot send. Default: required.
	State string `json:"state,omitempty"`

	// The most that it may ever carry.
	Scopes []string `json:"scopes,omitempty"`
}

// stateOptional is the value of ExchangeApp.State that lets it be left out.
const stateOptional = "optional"

func (e *Environment) readApp(d *caddyfile.Dispenser, args []string) error {
	a := &ExchangeApp{ID: args[0]}
	e.Apps = append(e.Apps, a)
	return readBlock(d, "app", []option{
		text("name", "<text>", &a.Name),
		text("description", "<text>", &a.Description),
		text("secret_hash", "<hash>", &a.SecretHash),
		list("redirect_uri", "<uri> [<uri>…]", &a.RedirectURIs),
		text("state", "optional|required", &a.State),
		list("scopes", "<scope> [<scope>…]", &a.Scopes),
	})
}

func (e *Environment) checkApps(env store.Environment) error {
	seen := map[string]bool{}
	for _, a := range e.Apps {
		if err := checkID("app", a.ID, seen); err != nil {
			return err
		}
		if err := e.checkApp(env, a); err != nil {
			return fmt.Errorf("app %s: %w", a.ID, err)
		}
	}
	return nil
}

func (e *Environment) checkApp(env store.Environment, a *ExchangeApp) error {
	switch {
	case a.State != "" && a.State != stateOptional && a.State != "required":
		return fmt.Errorf("state %q is unknown; known: optional, required", a.State)
	case slices.ContainsFunc(e.Clients, func(c *Client) bool { return c.ID == a.ID }):
		return errors.New("a client has the same id; choose another")
	case slices.ContainsFunc(e.ServiceAccounts, func(sa *ServiceAccount) bool { return sa.ID == a.ID }):
		return errors.New("a service_account has the same id; choose another")
	}
	if err := checkText("name", a.Name); err != nil {
		return err
	}
	if err := checkApp(&store.Client{Description: a.Description, RedirectURIs: a.RedirectURIs}); err != nil {
		return err
	}
	return checkParty(env, a.ID, a.SecretHash)
}

func (tx *change) appRows(declared []*ExchangeApp) (rows []store.Client) {
	for _, a := range declared {
		rows = append(rows, store.Client{
			Environment: tx.env, ID: a.ID, Name: a.Name, Description: a.Description, Exchange: true,
			SecretHash: a.SecretHash, MaxScopes: a.Scopes, RedirectURIs: a.RedirectURIs, StateOptional: a.State == stateOptional,
			Status: store.Active, Source: store.FromConfig, Created: tx.now,
		})
	}
	return rows
}
