package sqlite

import (
	"errors"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// disable disables a record that was changed after the copy was made. The copy
// has it as it was before: perhaps with a secret that leaked, with scopes that
// were taken away, or active although it was disabled. Records that the
// configuration declares need none of that: the next start makes them what it
// says.
func (c *Changed) disable(t *tx, done *Restored) error {
	kind, id, _ := strings.Cut(c.Target, ":")
	if kind == "binding" {
		return c.unbind(t, done, id)
	}
	table, found := recordTables[store.Kind(kind)]
	if !found {
		done.Unknown = append(done.Unknown, string(c.Environment)+" "+c.Target)
		return nil
	}
	var status, source string
	err := t.get([]any{&status, &source}, `SELECT status, source FROM `+table+` WHERE environment = ? AND id = ?`, c.Environment, id)
	name := string(c.Environment) + " " + kind + ":" + id
	switch {
	case errors.Is(err, store.ErrNotFound):
		done.Unknown = append(done.Unknown, name)
		return nil
	case err != nil || store.Source(source) == store.FromConfig || store.Status(status) == store.Disabled:
		return err
	}
	if _, err := t.exec(`UPDATE `+table+` SET status = 'disabled' WHERE environment = ? AND id = ?`, c.Environment, id); err != nil {
		return err
	}
	done.Disabled = append(done.Disabled, name)
	if kind != string(store.KindClient) {
		return nil
	}
	// A client that acts for itself is a principal too, and changes with it.
	_, err = t.exec(`UPDATE principal SET status = 'disabled' WHERE environment = ? AND id = ? AND kind = ?`,
		c.Environment, id, store.ClientPrincipal)
	return err
}

// unbind takes an account away that the copy has bound: perhaps it was taken
// away since, or opened in part only.
func (c *Changed) unbind(t *tx, done *Restored, binding string) error {
	principal, account, _ := strings.Cut(binding, "/")
	var source string
	err := t.get([]any{&source}, `SELECT source FROM binding WHERE environment = ? AND principal = ? AND account = ?`,
		c.Environment, principal, account)
	name := string(c.Environment) + " " + c.Target
	switch {
	case errors.Is(err, store.ErrNotFound):
		done.Unknown = append(done.Unknown, name)
		return nil
	case err != nil || store.Source(source) == store.FromConfig:
		return err
	}
	done.Unbound = append(done.Unbound, name)
	_, err = t.exec(`DELETE FROM binding WHERE environment = ? AND principal = ? AND account = ?`, c.Environment, principal, account)
	return err
}

// recordTables has the tables of records that can be disabled.
var recordTables = map[store.Kind]string{
	store.KindPrincipal: "principal",
	store.KindClient:    "client",
	store.KindAccount:   "account",
}
