package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// serviceAccounts are the programs that own accounts.
var serviceAccounts = recordKind[store.Principal]{
	word: "service account", path: "service-accounts", action: "service_account",
	kills: store.KindPrincipal, rights: principalRights,
	get: store.Reader.Principal, list: store.Reader.Principals, put: store.Writer.PutPrincipal,
	ours:  func(p *store.Principal) bool { return p.Kind == store.Service },
	rival: clientNamed,
	fields: func(p *store.Principal) fields {
		return fields{p.ID, p.Source, &p.Created, &p.Status, &p.Name, &p.MaxScopes, &p.SecretHash}
	},
	show: showServiceAccount,
}

func showServiceAccount(tx store.Reader, p *store.Principal) (record, error) {
	owned, err := boundAccounts(tx, p.Environment, p.ID)
	return record{
		ID: p.ID, Name: p.Name, Scopes: &p.MaxScopes, Accounts: &owned,
		Status: p.Status, Source: p.Source, Created: p.Created,
	}, err
}

// boundAccounts lists the accounts that are open to a principal.
func boundAccounts(tx store.Reader, env store.Environment, principal string) ([]boundAccount, error) {
	bindings, err := tx.Bindings(env, principal)
	open := make([]boundAccount, 0, len(bindings))
	for _, b := range bindings {
		open = append(open, boundAccount{b.Account, b.Access, b.Scopes, b.Source})
	}
	return open, err
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

// bindAccount gives an account to a service account, or changes how much of it
// is open: all, or what some scopes allow.
func bindAccount(c *adminCall) (any, error) {
	var in struct {
		Scopes []string `json:"scopes"`
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	if err := c.checkScopes(in.Scopes); err != nil {
		return nil, err
	}
	return rebind(c, "bind", "accounts were changed", func(tx *change, b store.Binding, _ bool) error {
		_, err := tx.Account(c.env, b.Account)
		if errors.Is(err, store.ErrNotFound) {
			return refuse(http.StatusNotFound, "there is no account %q in %s", b.Account, c.env)
		}
		if err != nil {
			return err
		}
		b.Access, b.Scopes = store.Full, in.Scopes
		if len(in.Scopes) > 0 {
			b.Access = store.Partial
		}
		return tx.PutBinding(b)
	})
}

// unbindAccount takes an account away from a service account and ends what it
// granted for that.
func unbindAccount(c *adminCall) (any, error) {
	reason, err := c.decodeReason()
	if err != nil {
		return nil, err
	}
	return rebind(c, "unbind", reason, func(tx *change, b store.Binding, found bool) error {
		if !found {
			return refuse(http.StatusNotFound, "service account %s does not own account %q", b.Principal, b.Account)
		}
		return tx.unbind(b.Principal, b.Account)
	})
}

// rebind changes the binding that the path names, and with it the rights of the
// service account. Bindings have an owner of their own: a service account of
// the configuration may be given further accounts by command.
func rebind(c *adminCall, verb, reason string, apply func(tx *change, b store.Binding, found bool) error) (any, error) {
	wanted := store.Binding{
		Environment: c.env, Principal: c.request.PathValue("id"), Account: c.request.PathValue("account"), Source: store.FromCommand,
	}
	var shown record
	err := c.change("service_account."+verb, "binding:"+wanted.Principal+"/"+wanted.Account, reason, func(tx *change) error {
		owner, err := serviceAccounts.find(tx, c)
		if err != nil {
			return err
		}
		present, err := tx.Bindings(c.env, owner.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(present, func(b store.Binding) bool { return b.Account == wanted.Account })
		if at >= 0 && present[at].Source == store.FromConfig {
			return refuse(http.StatusConflict, "account %s of service account %s is declared in the configuration; change it there", wanted.Account, owner.ID)
		}
		if err := apply(tx, wanted, at >= 0); err != nil {
			return err
		}
		if err := tx.raise(store.KindRights, owner.ID); err != nil {
			return err
		}
		shown, err = serviceAccounts.show(tx, &owner)
		return err
	})
	return shown, err
}
