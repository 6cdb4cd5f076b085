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
	store.TradingClient:  "the built-in client of trading tokens",
}

// refuseBuiltIn fails if an id is one of them.
func refuseBuiltIn(id string) error {
	if whose, taken := builtInClients[id]; taken {
		return fmt.Errorf("the id %s is that of %s; choose another", id, whose)
	}
	return nil
}

// putBuiltInClients puts the row to which grants of personal tokens refer, and
// takes care that the ids of built-in clients are nobody else's. A client of such
// an id from before it was built in ends with all that it obtained: it had a secret,
// and must not become one without a ceiling.
func (tx *change) putBuiltInClients() error {
	for _, id := range sortedKeys(builtInClients) {
		present, err := tx.Client(tx.env, id)
		known := err == nil
		switch {
		case known && isBuiltIn(&present):
			continue
		case known:
			if err := tx.endClient(id); err != nil {
				return err
			}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		row := store.Client{
			Environment: tx.env, ID: id, Name: "Personal tokens",
			Status: store.Active, Source: store.BuiltIn, Created: tx.now,
		}
		if id == store.TradingClient {
			if !known {
				continue // it is there once it is asked for
			}
			row = tx.tradingClient(nil)
			row.Status = store.Disabled
		}
		if err := tx.PutClient(row); err != nil {
			return err
		}
	}
	return nil
}

// isBuiltIn tells a row of ours from that of a client which had the id before.
func isBuiltIn(c *store.Client) bool {
	if c.ID == store.TradingClient {
		return c.Source == store.FromConfig && c.Public
	}
	return c.Source == store.BuiltIn
}

// tradingClient is the client of trading tokens. It has a ceiling, and that is the
// configuration's: so the row is one of the configuration, and is changed, disabled
// and enabled as those are. It is public, because programs that use such tokens
// have nothing to show for themselves.
func (tx *change) tradingClient(scopes []string) store.Client {
	return store.Client{
		Environment: tx.env, ID: store.TradingClient, Name: "Trading tokens", Public: true, MaxScopes: scopes,
		Status: store.Active, Source: store.FromConfig, Created: tx.now,
	}
}

// endClient kills all that a client obtained, and disables the principal that
// it was when it acted for itself.
func (tx *change) endClient(id string) error {
	if err := declaredChange(tx, store.KindClient, id); err != nil {
		return err
	}
	return disableClientPrincipal(tx, &store.Client{Environment: tx.env, ID: id})
}
