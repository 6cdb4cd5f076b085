package caddymodule

import (
	"cmp"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// accounts are the trading and bank accounts.
var accounts = recordKind[store.Account]{
	word: "account", path: "accounts", action: "account", kills: store.KindAccount,
	get: store.Reader.Account, list: store.Reader.Accounts, put: store.Writer.PutAccount,
	enabled: (*change).openAgain,
	fields: func(a *store.Account) fields {
		return fields{id: a.ID, source: a.Source, created: &a.Created, status: &a.Status, name: &a.Name}
	},
	show: func(_ store.Reader, a *store.Account) (record, error) {
		return record{
			ID: a.ID, Name: a.Name, Kind: a.Kind,
			Status: a.Status, Source: a.Source, Created: a.Created,
		}, nil
	},
}

func addAccount(c *adminCall) (any, error) {
	var in struct {
		ID   string            `json:"id"`
		Kind store.AccountKind `json:"kind"`
		Name string            `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	kind := cmp.Or(in.Kind, store.Bank)
	if kind != store.Bank && kind != store.Trading {
		return nil, refuse(http.StatusBadRequest, "account kind %q is unknown; known: %s, %s", kind, store.Bank, store.Trading)
	}
	if err := checkText("name", in.Name); err != nil {
		return nil, err
	}
	return accounts.add(c, store.Account{
		Environment: c.env, ID: in.ID, Kind: kind, Name: in.Name,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	})
}
