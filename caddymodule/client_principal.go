package caddymodule

import (
	"errors"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A client that acts for itself (client_credentials) is a principal with the
// client's own id. So clients and service accounts share their ids: who reads a
// token's sub must know whose it is.

// putClient puts a client and the principal that stands for it. Where a service
// account has the id already, the client stays without one: it works for others
// as before, and can still be disabled.
func putClient(tx store.Writer, c store.Client) error {
	if err := tx.PutClient(c); err != nil {
		return err
	}
	rival, err := serviceAccountNamed(tx, c.Environment, c.ID)
	if err != nil || rival != "" {
		return err
	}
	return tx.PutPrincipal(store.Principal{
		Environment: c.Environment, ID: c.ID, Kind: store.ClientPrincipal, Name: c.Name,
		MaxScopes: c.MaxScopes, Status: c.Status, Source: c.Source, Created: c.Created,
	})
}

// addClientPrincipals puts the principals of clients that were made before
// clients could act for themselves.
func (tx *change) addClientPrincipals() error {
	rows, err := tx.Clients(tx.env)
	if err != nil {
		return err
	}
	for _, c := range rows {
		if c.Source == store.BuiltIn {
			continue // it never acts
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

// serviceAccountNamed names the principal, other than a client's own, that has
// an id.
func serviceAccountNamed(tx store.Reader, env store.Environment, id string) (string, error) {
	p, err := tx.Principal(env, id)
	if err != nil || p.Kind == store.ClientPrincipal {
		return "", unlessUnknown(err)
	}
	return "a service account", nil
}

// clientNamed names the client that has an id. One that was disabled without
// ever having had a principal does not count: nothing can become of it.
func clientNamed(tx store.Reader, env store.Environment, id string) (string, error) {
	c, err := tx.Client(env, id)
	if err != nil {
		return "", unlessUnknown(err)
	}
	rival, err := serviceAccountNamed(tx, env, id)
	if err != nil || rival != "" && c.Status == store.Disabled {
		return "", err
	}
	return "a client", nil
}
