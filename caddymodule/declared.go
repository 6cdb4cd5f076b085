package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// declare makes the rows that the configuration owns what it says. One that it
// no longer names is disabled and everything under it is revoked; a maximum or
// a binding that changed raises the rights of who is concerned.
func declare(ctx context.Context, st store.Store, a *token.Authority, env *Environment) error {
	d := declaration{env: a.Environment(), now: time.Now().UTC(), retention: a.Retention()}
	return st.Update(ctx, func(tx store.Writer) error {
		d.tx = tx
		return errors.Join(d.accounts(env.Accounts), d.serviceAccounts(env.ServiceAccounts), d.clients(env.Clients))
	})
}

type declaration struct {
	env       store.Environment
	now       time.Time
	retention time.Duration
	tx        store.Writer
}

// errNotOurs is for rows of the same id that a command made.
func errNotOurs(what, id string) error {
	return fmt.Errorf("%s %s was made by a command; disable it there or choose another id", what, id)
}

func (d *declaration) accounts(declared []*Account) error {
	present, err := d.tx.Accounts(d.env)
	if err != nil {
		return err
	}
	for _, a := range declared {
		old, found := byID(present, a.ID, func(p *store.Account) string { return p.ID })
		if found && old.Source != store.FromConfig {
			return errNotOurs("account", a.ID)
		}
		row := store.Account{
			Environment: d.env, ID: a.ID, Kind: a.Kind, Name: a.Name,
			Status: store.Active, Source: store.FromConfig, Created: d.created(found, old.Created),
		}
		if err := d.tx.PutAccount(row); err != nil {
			return err
		}
	}
	for _, old := range present {
		named := slices.ContainsFunc(declared, func(a *Account) bool { return a.ID == old.ID })
		if named || old.Source != store.FromConfig || old.Status == store.Disabled {
			continue
		}
		old.Status = store.Disabled
		if err := errors.Join(d.tx.PutAccount(old), d.kill(store.KindAccount, old.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (d *declaration) clients(declared []*Client) error {
	present, err := d.tx.Clients(d.env)
	if err != nil {
		return err
	}
	for _, c := range declared {
		old, found := byID(present, c.ID, func(p *store.Client) string { return p.ID })
		if found && old.Source != store.FromConfig {
			return errNotOurs("client", c.ID)
		}
		row := store.Client{
			Environment: d.env, ID: c.ID, Name: c.Name, SecretHash: c.SecretHash, MaxScopes: c.Scopes,
			Status: store.Active, Source: store.FromConfig, Created: d.created(found, old.Created),
		}
		if err := d.tx.PutClient(row); err != nil {
			return err
		}
		if found && !slices.Equal(old.MaxScopes, c.Scopes) {
			if err := d.raise(store.KindClientRights, c.ID); err != nil {
				return err
			}
		}
	}
	for _, old := range present {
		named := slices.ContainsFunc(declared, func(c *Client) bool { return c.ID == old.ID })
		if named || old.Source != store.FromConfig || old.Status == store.Disabled {
			continue
		}
		old.Status = store.Disabled
		if err := errors.Join(d.tx.PutClient(old), d.kill(store.KindClient, old.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (d *declaration) serviceAccounts(declared []*ServiceAccount) error {
	present, err := d.tx.Principals(d.env)
	if err != nil {
		return err
	}
	for _, sa := range declared {
		old, found := byID(present, sa.ID, func(p *store.Principal) string { return p.ID })
		if found && old.Source != store.FromConfig {
			return errNotOurs("service account", sa.ID)
		}
		row := store.Principal{
			Environment: d.env, ID: sa.ID, Kind: store.Service, Name: sa.Name,
			SecretHash: sa.SecretHash, MaxScopes: sa.Scopes,
			Status: store.Active, Source: store.FromConfig, Created: d.created(found, old.Created),
		}
		if err := d.tx.PutPrincipal(row); err != nil {
			return err
		}
		rebound, err := d.bindings(sa)
		if err != nil {
			return err
		}
		if found && (rebound || !slices.Equal(old.MaxScopes, sa.Scopes)) {
			if err := d.raise(store.KindRights, sa.ID); err != nil {
				return err
			}
		}
	}
	for _, old := range present {
		named := slices.ContainsFunc(declared, func(sa *ServiceAccount) bool { return sa.ID == old.ID })
		if named || old.Source != store.FromConfig || old.Status == store.Disabled {
			continue
		}
		old.Status = store.Disabled
		if err := errors.Join(d.tx.PutPrincipal(old), d.kill(store.KindPrincipal, old.ID)); err != nil {
			return err
		}
	}
	return nil
}

// bindings binds the accounts that a service account owns and unbinds the
// others, ending its grants for those.
func (d *declaration) bindings(sa *ServiceAccount) (changed bool, err error) {
	present, err := d.tx.Bindings(d.env, sa.ID)
	if err != nil {
		return false, err
	}
	for _, account := range sa.Accounts {
		if slices.ContainsFunc(present, func(b store.Binding) bool { return b.Account == account }) {
			continue
		}
		changed = true
		binding := store.Binding{Environment: d.env, Principal: sa.ID, Account: account, Access: store.Full, Source: store.FromConfig}
		if err := d.tx.PutBinding(binding); err != nil {
			return false, err
		}
	}
	for _, b := range present {
		if b.Source != store.FromConfig || slices.Contains(sa.Accounts, b.Account) {
			continue
		}
		changed = true
		if err := errors.Join(d.tx.DeleteBinding(d.env, sa.ID, b.Account), d.endGrants(sa.ID, b.Account)); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// endGrants revokes what a principal granted for an account that it has lost.
func (d *declaration) endGrants(principal, account string) error {
	grants, err := d.tx.Grants(d.env, store.GrantFilter{Principal: principal, Account: account, Live: d.now})
	if err != nil {
		return err
	}
	for _, g := range grants {
		rev := store.Revocation{
			Environment: d.env, Kind: store.KindGrant, Target: g.ID,
			At: d.now, Expires: d.now.Add(d.retention), Reason: "account " + account + " was unbound",
		}
		if _, err := d.tx.Revoke(rev); err != nil {
			return err
		}
	}
	return nil
}

func (d *declaration) kill(kind store.Kind, id string) error {
	return d.number(kind, id, "removed from the configuration")
}

func (d *declaration) raise(kind store.Kind, id string) error {
	return d.number(kind, id, "changed in the configuration")
}

// number revokes a numbered target and leaves a line in the audit trail.
func (d *declaration) number(kind store.Kind, id, reason string) error {
	rev := store.Revocation{Environment: d.env, Kind: kind, Target: id, At: d.now, Reason: reason}
	if _, err := d.tx.Revoke(rev); err != nil {
		return err
	}
	return d.tx.Record(store.Event{
		Environment: d.env, At: d.now, Actor: "config", Action: string(kind) + ".revoke", Target: string(kind) + ":" + id, Outcome: reason,
	})
}

func (d *declaration) created(found bool, at time.Time) time.Time {
	if found {
		return at
	}
	return d.now
}

func byID[R any](rows []R, id string, of func(*R) string) (row R, found bool) {
	for i := range rows {
		if of(&rows[i]) == id {
			return rows[i], true
		}
	}
	return row, false
}
