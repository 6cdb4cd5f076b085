package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// builtInClients are the ids of the clients that every environment has. No
// party may have one: a token's client_id says where it came from.
var builtInClients = map[string]string{
	store.PersonalClient: "the built-in client of personal tokens",
}

// refuseBuiltIn fails if an id is one of them.
func refuseBuiltIn(id string) error {
	if whose, taken := builtInClients[id]; taken {
		return fmt.Errorf("the id %s is that of %s; choose another", id, whose)
	}
	return nil
}

// putBuiltInClients puts the rows to which grants of personal tokens refer. A
// client of that id from before it was built in ends with all that it obtained:
// it had a secret, and must not become one without a ceiling.
func (tx *change) putBuiltInClients() error {
	for _, id := range sortedKeys(builtInClients) {
		present, err := tx.Client(tx.env, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case present.Source == store.BuiltIn:
			continue
		default:
			if err := tx.endClient(id); err != nil {
				return err
			}
		}
		err = tx.PutClient(store.Client{
			Environment: tx.env, ID: id, Name: "Personal tokens",
			Status: store.Active, Source: store.BuiltIn, Created: tx.now,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endClient kills all that a client obtained, and disables the principal that
// it was when it acted for itself.
func (tx *change) endClient(id string) error {
	if err := declaredChange(tx, store.KindClient, id); err != nil {
		return err
	}
	return disableClientPrincipal(tx, &store.Client{Environment: tx.env, ID: id})
}
