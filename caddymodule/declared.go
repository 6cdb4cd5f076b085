package caddymodule

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// declare makes the rows that the configuration owns what it says. One that it
// no longer names is disabled and everything under it is revoked; a maximum or
// a binding that changed raises the rights of who is concerned.
func declare(ctx context.Context, st store.Store, a *token.Authority, env *Environment) error {
	return st.Update(ctx, func(tx store.Writer) error {
		d := &change{
			Writer: tx, env: a.Environment(), now: a.Now().UTC(),
			retention: a.Retention(), reason: "changed in the configuration",
		}
		if err := d.putBuiltInClients(); err != nil {
			return err
		}
		if err := reconcile(d, &accounts, d.accountRows(env.Accounts)); err != nil {
			return err
		}
		// Clients first: one that is removed gives an id free that it shared with a
		// service account.
		if err := d.declareClients(env); err != nil {
			return err
		}
		if err := reconcile(d, &apps, d.appRows(env.Apps)); err != nil {
			return err
		}
		if err := reconcile(d, &serviceAccounts, d.serviceAccountRows(env.ServiceAccounts)); err != nil {
			return err
		}
		for _, sa := range env.ServiceAccounts {
			if err := d.declareBindings(sa.ID, sa.Accounts); err != nil {
				return err
			}
		}
		return nil
	})
}

func (tx *change) declareClients(env *Environment) error {
	rows := tx.clientRows(env.Clients)
	if len(env.TradingTokens) > 0 {
		rows = append(rows, tx.tradingClient(env.TradingTokens))
	}
	if err := reconcile(tx, &clients, rows); err != nil {
		return err
	}
	for _, c := range env.Clients {
		if err := tx.declareBindings(c.ID, c.Accounts); err != nil {
			return err
		}
	}
	return tx.addClientPrincipals()
}

func (tx *change) accountRows(declared []*Account) (rows []store.Account) {
	for _, a := range declared {
		rows = append(rows, store.Account{
			Environment: tx.env, ID: a.ID, Kind: a.Kind, Name: a.Name,
			Status: store.Active, Source: store.FromConfig, Created: tx.now,
		})
	}
	return rows
}

func (tx *change) serviceAccountRows(declared []*ServiceAccount) (rows []store.Principal) {
	for _, sa := range declared {
		rows = append(rows, store.Principal{
			Environment: tx.env, ID: sa.ID, Kind: store.Service, Name: sa.Name,
			SecretHash: sa.SecretHash, MaxScopes: sa.Scopes,
			Status: store.Active, Source: store.FromConfig, Created: tx.now,
		})
	}
	return rows
}

func (tx *change) clientRows(declared []*Client) (rows []store.Client) {
	for _, c := range declared {
		rows = append(rows, store.Client{
			Environment: tx.env, ID: c.ID, Name: c.Name, Description: c.Description,
			Public: c.Public, SecretHash: c.SecretHash, MaxScopes: c.Scopes,
			RedirectURIs: c.RedirectURIs, PKCEOptional: c.PKCE == pkceOptional,
			Status: store.Active, Source: store.FromConfig, Created: tx.now,
		})
	}
	return rows
}

// reconcile makes the rows of one kind what the configuration declares.
func reconcile[R any](tx *change, kind *recordKind[R], declared []R) error {
	present, err := kind.list(tx, tx.env)
	if err != nil {
		return err
	}
	if kind.ours != nil {
		present = slices.DeleteFunc(present, func(row R) bool { return !kind.ours(&row) })
	}
	named := map[string]bool{}
	for i := range declared {
		row := kind.fields(&declared[i])
		named[row.id] = true
		if err := checkRival(tx, kind, row.id); err != nil {
			return err
		}
		at := slices.IndexFunc(present, func(p R) bool { return kind.fields(&p).id == row.id })
		if at < 0 {
			if err := kind.put(tx, declared[i]); err != nil {
				return err
			}
			if err := tx.recordDeclared(kind.action+".add", kind.target(row.id)); err != nil {
				return err
			}
			continue
		}
		if err := replace(tx, kind, &present[at], &declared[i]); err != nil {
			return err
		}
	}
	for i := range present {
		row := kind.fields(&present[i])
		if named[row.id] || row.source != store.FromConfig || *row.status == store.Disabled {
			continue
		}
		*row.status = store.Disabled
		if err := kind.put(tx, present[i]); err != nil {
			return err
		}
		if err := declaredChange(tx, kind.kills, row.id); err != nil {
			return err
		}
	}
	return nil
}

// checkRival refuses an id that a record of another kind has already.
func checkRival[R any](tx *change, kind *recordKind[R], id string) error {
	if kind.rival == nil {
		return nil
	}
	rival, err := kind.rival(tx, tx.env, id)
	if err == nil && rival != "" {
		err = fmt.Errorf("%s %s: %s in the database has the same id; choose another", kind.word, id, rival)
	}
	return err
}

// replace puts what is declared in the place of a row that the configuration
// made before.
func replace[R any](tx *change, kind *recordKind[R], old, declared *R) error {
	before, row := kind.fields(old), kind.fields(declared)
	if before.source != store.FromConfig {
		return fmt.Errorf("%s %s was made by a command: choose another id", kind.word, row.id)
	}
	*row.created = *before.created
	if err := kind.put(tx, *declared); err != nil {
		return err
	}
	if *before.status == store.Disabled {
		if err := declaredAgain(tx, kind, row.id); err != nil {
			return err
		}
	}
	if kind.replaced != nil {
		if err := kind.replaced(tx, old, declared); err != nil {
			return err
		}
	}
	if row.secret != nil && *before.secret != *row.secret && *row.secret != "" {
		if err := tx.recordDeclared(kind.action+".rotate_secret", kind.target(row.id)); err != nil {
			return err
		}
	}
	if row.scopes == nil || slices.Equal(*before.scopes, *row.scopes) {
		return nil
	}
	return declaredChange(tx, kind.rights.kind(lessThan(*row.scopes, *before.scopes)), row.id)
}

// declaredAgain is for a row that was disabled and is in use again.
func declaredAgain[R any](tx *change, kind *recordKind[R], id string) error {
	err := tx.recordDeclared(kind.action+".enable", kind.target(id))
	if err != nil || kind.enabled == nil {
		return err
	}
	return kind.enabled(tx, id)
}

// declareBindings binds the accounts of a service account or client and unbinds
// those that the configuration bound before.
func (tx *change) declareBindings(principal string, accounts []string) error {
	present, err := tx.Bindings(tx.env, principal)
	if err != nil {
		return err
	}
	changed, taken := false, false
	for _, account := range accounts {
		at := slices.IndexFunc(present, func(b store.Binding) bool { return b.Account == account })
		if at >= 0 && present[at].Source == store.FromConfig {
			continue
		}
		changed = true
		binding := store.Binding{Environment: tx.env, Principal: principal, Account: account, Access: store.Full, Source: store.FromConfig}
		if err := tx.PutBinding(binding); err != nil {
			return err
		}
		if at < 0 {
			if err := tx.endGrants(principal, account); err != nil {
				return err
			}
		}
	}
	for _, b := range present {
		if b.Source != store.FromConfig || slices.Contains(accounts, b.Account) {
			continue
		}
		changed, taken = true, true
		if err := tx.unbind(principal, b.Account); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return declaredChange(tx, principalRights.kind(taken), principal)
}

// declaredChange revokes a numbered target and leaves a line in the audit
// trail.
func declaredChange(tx *change, kind store.Kind, id string) error {
	if err := tx.raise(kind, id); err != nil {
		return err
	}
	what, given := strings.CutSuffix(string(kind), "_given")
	if given {
		return tx.recordDeclared(what+".give", what+":"+id)
	}
	return tx.recordDeclared(what+".revoke", what+":"+id)
}

// recordDeclared leaves a line in the audit trail for what the configuration
// changes.
func (tx *change) recordDeclared(action, target string) error {
	whose, err := subjectOf(tx, tx.env, target)
	if err != nil {
		return err
	}
	return tx.Record(store.Event{
		Environment: tx.env, At: tx.now, Actor: "config", Action: action, Target: target, Subject: whose, Outcome: "ok", Reason: tx.reason,
	})
}
