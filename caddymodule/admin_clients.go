package caddymodule

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// clients are the OAuth 2.0 clients.
var clients = recordKind[store.Client]{
	word: "client", path: "clients", action: "client",
	kills: store.KindClient, rights: clientRights,
	get: store.Reader.Client, list: store.Reader.Clients, put: putClient,
	rival: principalNamed,
	fields: func(c *store.Client) fields {
		return fields{c.ID, c.Source, &c.Created, &c.Status, &c.Name, &c.MaxScopes, &c.SecretHash}
	},
	show: showClient,
}

// showClient names accounts only if there are any: most clients act for others.
func showClient(tx store.Reader, c *store.Client) (record, error) {
	shown := record{
		ID: c.ID, Name: c.Name, Scopes: &c.MaxScopes,
		Status: c.Status, Source: c.Source, Created: c.Created,
	}
	rival, err := principalNamed(tx, c.Environment, c.ID)
	if err != nil || rival != "" {
		return shown, err
	}
	open, err := boundAccounts(tx, c.Environment, c.ID)
	if len(open) > 0 {
		shown.Accounts = &open
	}
	return shown, err
}

func addClient(c *adminCall) (any, error) {
	in, err := c.decodeParty()
	if err != nil {
		return nil, err
	}
	return clients.addParty(c, store.Client{
		Environment: c.env, ID: in.ID, Name: in.Name, MaxScopes: in.Scopes,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	})
}
