package caddymodule

import (
	"errors"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A client that acts for itself (client_credentials) is a principal with the
// client's own id. So clients, service accounts and users share their ids: who
// reads a token's sub must know whose it is.

// putClient puts a client and the principal that stands for it. Where another
// principal has the id already, the client stays without one: it works for others
// as before, and can still be disabled.
func putClient(tx store.Writer, c store.Client) error {
	if err := putClientRow(tx, c); err != nil {
		return err
	}
	if !actsForItself(&c) {
		return disableClientPrincipal(tx, &c)
	}
	rival, err := principalNamed(tx, c.Environment, c.ID)
	if err != nil || rival != "" {
		return err
	}
	return tx.PutPrincipal(store.Principal{
		Environment: c.Environment, ID: c.ID, Kind: store.ClientPrincipal, Name: c.Name,
		MaxScopes: c.MaxScopes, Status: c.Status, Source: c.Source, Created: c.Created,
	})
}

// putClientRow puts a client. Being disabled ends a secret that was replaced for good:
// whoever enables the client later thinks of the present one.
func putClientRow(tx store.Writer, c store.Client) error {
	if c.Status != store.Active || c.Public {
		c.EndOldSecret()
	}
	return tx.PutClient(c)
}

// actsForItself reports whether a client can: not without a secret, because anybody
// could say that he is it, not as an app of the access code exchange, not if a user
// registered it, who must get nothing by it that no user granted, and not if nobody
// can be it.
func actsForItself(c *store.Client) bool {
	return !c.Public && !c.Exchange && c.Owner == "" && c.Source != store.BuiltIn
}

// disableClientPrincipal disables the principal of a client that acts for itself
// no more, if it has one from before.
func disableClientPrincipal(tx store.Writer, c *store.Client) error {
	p, err := tx.Principal(c.Environment, c.ID)
	if err != nil || p.Kind != store.ClientPrincipal || p.Status == store.Disabled {
		return unlessUnknown(err)
	}
	p.Status = store.Disabled
	return tx.PutPrincipal(p)
}

// addClientPrincipals puts the principals of clients that were made before
// clients could act for themselves.
func (tx *change) addClientPrincipals() error {
	rows, err := tx.Clients(tx.env)
	if err != nil {
		return err
	}
	for _, c := range rows {
		if !actsForItself(&c) {
			continue
		}
		_, err := tx.Principal(tx.env, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = putClient(tx, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// principalNamed names the principal, other than a client's own, that has an id.
func principalNamed(tx store.Reader, env store.Environment, id string) (string, error) {
	p, err := tx.Principal(env, id)
	if err != nil || p.Kind == store.ClientPrincipal {
		return "", unlessUnknown(err)
	}
	return "a " + principalWords[p.Kind], nil
}

// principalWords are the kinds of principal in messages.
var principalWords = map[store.PrincipalKind]string{
	store.User: "user", store.Service: "service account", store.ClientPrincipal: "client",
	store.AccountPrincipal: "trading account",
}

// rivalOf names what has an id that a principal of a kind must not have then: a
// principal of another kind, or a client.
func rivalOf(kind store.PrincipalKind) func(store.Reader, store.Environment, string) (string, error) {
	return func(tx store.Reader, env store.Environment, id string) (string, error) {
		rival, err := principalNamed(tx, env, id)
		if err != nil || rival != "" && rival != "a "+principalWords[kind] {
			return rival, err
		}
		return clientNamed(tx, env, id)
	}
}

// clientNamed names the client that has an id. One that was disabled without
// ever having had a principal does not count: nothing can become of it.
func clientNamed(tx store.Reader, env store.Environment, id string) (string, error) {
	c, err := tx.Client(env, id)
	if err != nil {
		return "", unlessUnknown(err)
	}
	rival, err := principalNamed(tx, env, id)
	if err != nil || rival != "" && c.Status == store.Disabled {
		return "", err
	}
	return "a client", nil
}
