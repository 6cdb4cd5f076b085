package caddymodule

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// serviceAccounts are the programs that own accounts.
var serviceAccounts = recordKind[store.Principal]{
	word: "service account", path: "service-accounts", action: "service_account",
	kills: store.KindPrincipal, rights: principalRights,
	get: store.Reader.Principal, list: store.Reader.Principals, put: store.Writer.PutPrincipal,
	ours:  func(p *store.Principal) bool { return p.Kind == store.Service },
	rival: rivalOf(store.Service),
	fields: func(p *store.Principal) fields {
		return fields{p.ID, p.Source, &p.Created, &p.Status, &p.Name, &p.MaxScopes, &p.SecretHash}
	},
	show: showPrincipal,
}

func showPrincipal(tx store.Reader, p *store.Principal) (record, error) {
	owned, err := boundAccounts(tx, p.Environment, p.ID)
	return record{
		ID: p.ID, Name: p.Name, Scopes: &p.MaxScopes, Accounts: &owned,
		Status: p.Status, Source: p.Source, Created: p.Created,
	}, err
}

func addServiceAccount(c *adminCall) (any, error) {
	in, err := c.decodeParty()
	if err != nil {
		return nil, err
	}
	return serviceAccounts.addParty(c, store.Principal{
		Environment: c.env, ID: in.ID, Kind: store.Service, Name: in.Name, MaxScopes: in.Scopes,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	})
}
