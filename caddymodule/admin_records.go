package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// record is a client, a service account, a user or an account as the admin API
// shows it. A secret is shown in the answer that makes it and never again: what is
// kept of it is a hash, which is never shown at all.
type record struct {
	ID       string            `json:"id"`
	Name     string            `json:"name,omitzero"`
	Kind     store.AccountKind `json:"kind,omitzero"`     // of accounts
	Scopes   *[]string         `json:"scopes,omitzero"`   // the most that it may carry; not of accounts
	Accounts *[]boundAccount   `json:"accounts,omitzero"` // not of accounts, nor of clients that have none
	Status   store.Status      `json:"status"`
	Source   store.Source      `json:"source"`
	Created  time.Time         `json:"created"`
	Secret   string            `json:"secret,omitzero"`

	OldSecretUntil time.Time `json:"old_secret_until,omitzero"` // of clients and apps: the secret before is good until then

	// Of clients.
	Description  string   `json:"description,omitzero"`
	Owner        string   `json:"owner,omitzero"` // the user who registered it
	Public       bool     `json:"public,omitzero"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	PKCEOptional bool     `json:"pkce_optional,omitzero"`

	// Of apps.
	StateOptional bool `json:"state_optional,omitzero"`
}

// recordKind is what the operations on one kind of record have to know of it.
type recordKind[R any] struct {
	word   string      // in messages: "service account"
	path   string      // in paths: "service-accounts"
	action string      // in the audit trail: "service_account"
	kills  store.Kind  // ends everything under a record
	rights rightsKinds // one is raised when a record's scopes change

	get  func(store.Reader, store.Environment, string) (R, error)
	list func(store.Reader, store.Environment) ([]R, error)
	put  func(store.Writer, R) error
	// ours tells records of this kind from others that share a table; nil: all are.
	ours func(*R) bool
	// rival names what else has an id that a record of this kind must not have
	// then; "" if nothing has it. Nil: ids of this kind are its own.
	rival func(store.Reader, store.Environment, string) (string, error)
	// enabled has what gets more by a record that is enabled looked up again; nil:
	// nothing that lives does.
	enabled func(tx *change, id string) error
	// replaced does what has to follow when a record is changed, beyond what fields
	// have in common; nil: nothing.
	replaced func(tx *change, before, after *R) error
	// shares tells that a record of this kind may know trading tokens, which end with
	// it.
	shares bool
	fields func(*R) fields
	show   func(store.Reader, *R) (record, error)
}

// fields are what records of all kinds have; those that a kind lacks are nil.
type fields struct {
	id      string
	source  store.Source
	created *time.Time
	status  *store.Status
	name    *string
	scopes  *[]string
	secret  *string // its hash
}

func (k *recordKind[R]) routes() []adminRoute {
	base := inEnvironment + "/" + k.path
	return []adminRoute{
		{"GET", base, roleRead, k.answerList},
		{"GET", base + "/{id}", roleRead, k.answerShow},
		{"POST", base + "/{id}/disable", roleRevoke, k.disable},
		{"POST", base + "/{id}/revoke", roleRevoke, k.revoke},
		{"POST", base + "/{id}/enable", roleAdmin, k.enable},
	}
}

func (k *recordKind[R]) answerList(c *adminCall) (any, error) {
	shown := []record{}
	err := c.view(func(tx store.Reader) error {
		rows, err := k.list(tx, c.env)
		for i := range rows {
			if k.ours != nil && !k.ours(&rows[i]) {
				continue
			}
			one, err := k.show(tx, &rows[i])
			if err != nil {
				return err
			}
			shown = append(shown, one)
		}
		return err
	})
	return map[string][]record{k.action + "s": shown}, err
}

func (k *recordKind[R]) answerShow(c *adminCall) (any, error) {
	var shown record
	err := c.view(func(tx store.Reader) error {
		row, err := k.find(tx, c)
		if err == nil {
			shown, err = k.show(tx, &row)
		}
		return err
	})
	return shown, err
}

// find returns the record that the path names.
func (k *recordKind[R]) find(tx store.Reader, c *adminCall) (R, error) {
	id := c.request.PathValue("id")
	row, err := k.get(tx, c.env, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && k.ours != nil && !k.ours(&row) {
		return row, refuse(http.StatusNotFound, "there is no %s %q in %s", k.word, id, c.env)
	}
	return row, err
}

// add makes a record, whose id must be new.
func (k *recordKind[R]) add(c *adminCall, row R) (record, error) {
	id := k.fields(&row).id
	if err := c.checkNewID(k.word, id); err != nil {
		return record{}, err
	}
	var shown record
	c.status = http.StatusCreated
	err := c.change(k.action+".add", k.target(id), "", func(tx *change) error {
		holder, err := k.holder(tx, c.env, id)
		if err != nil {
			return err
		}
		if holder != "" {
			return refuse(http.StatusConflict, "the id %s is taken by %s", id, holder)
		}
		if err := k.put(tx, row); err != nil {
			return err
		}
		shown, err = k.show(tx, &row)
		return err
	})
	return shown, err
}

// holder names what has an id already: a record of this kind or a rival of it.
func (k *recordKind[R]) holder(tx store.Reader, env store.Environment, id string) (string, error) {
	if k.rival != nil {
		if rival, err := k.rival(tx, env, id); rival != "" || err != nil {
			return rival, err
		}
	}
	_, err := k.get(tx, env, id)
	if err != nil {
		return "", unlessUnknown(err)
	}
	return "another " + k.word, nil
}

// unlessUnknown passes over that there is no such record.
func unlessUnknown(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// edit changes the record that the path names, unless the configuration owns it:
// the next start would undo the change.
func (k *recordKind[R]) edit(c *adminCall, verb, reason string, apply func(*change, *R) error) (shown record, err error) {
	id := c.request.PathValue("id")
	err = c.change(k.action+"."+verb, k.target(id), reason, func(tx *change) error {
		row, err := k.find(tx, c)
		if err != nil {
			return err
		}
		if err := k.refuseDeclared(&row); err != nil {
			return err
		}
		if err := apply(tx, &row); err != nil {
			return err
		}
		if err := k.put(tx, row); err != nil {
			return err
		}
		shown, err = k.show(tx, &row)
		return err
	})
	return shown, err
}

// refuseDeclared refuses to change what the configuration owns, and what is
// built in.
func (k *recordKind[R]) refuseDeclared(row *R) error {
	f := k.fields(row)
	switch f.source {
	case store.FromCommand:
		return nil
	case store.BuiltIn:
		return refuse(http.StatusConflict, "%s %s is built in: it cannot be changed or disabled; revoking it ends all that stands on it", k.word, f.id)
	case store.FromConfig:
	}
	where := "is declared in the configuration; change it there"
	if *f.status == store.Disabled {
		where = "was declared in the configuration, and removed; declare it there again"
	}
	return refuse(http.StatusConflict, "%s %s %s", k.word, f.id, where)
}

// disable ends everything under a record and lets nothing new begin.
func (k *recordKind[R]) disable(c *adminCall) (any, error) {
	reason, keep, err := k.decodeEnding(c)
	if err != nil {
		return nil, err
	}
	if c.dry {
		return k.wouldEnd(c, k.refuseDeclared, keep)
	}
	return k.edit(c, "disable", reason, func(tx *change, row *R) error {
		f := k.fields(row)
		*f.status = store.Disabled
		if k.shares {
			if err := tx.endKnown(c, f.id, "", keep); err != nil {
				return err
			}
		}
		return tx.raise(k.kills, f.id)
	})
}

// decodeEnding reads why something ends, and whether trading tokens shall be kept.
func (k *recordKind[R]) decodeEnding(c *adminCall) (reason string, keep bool, err error) {
	if k.shares {
		return c.decodeEnding()
	}
	reason, err = c.decodeReason()
	return reason, false, err
}

// enable lets a record be used again. What was ended stays dead.
func (k *recordKind[R]) enable(c *adminCall) (any, error) {
	return k.edit(c, "enable", "was enabled", func(tx *change, row *R) error {
		f := k.fields(row)
		*f.status = store.Active
		if k.enabled == nil {
			return nil
		}
		return k.enabled(tx, f.id)
	})
}

// revoke ends everything under a record, which may be used on. It is no change
// of the record, so that the configuration's are no exception.
func (k *recordKind[R]) revoke(c *adminCall) (any, error) {
	reason, keep, err := k.decodeEnding(c)
	if err != nil {
		return nil, err
	}
	if c.dry {
		return k.wouldEnd(c, func(*R) error { return nil }, keep)
	}
	if err := c.view(func(tx store.Reader) error {
		_, err := k.find(tx, c)
		return err
	}); err != nil {
		return nil, err
	}
	if k.shares {
		return c.revokeUser(c.request.PathValue("id"), reason, keep)
	}
	return c.revoke(k.kills, c.request.PathValue("id"), reason)
}

// target names a record in the audit trail.
func (k *recordKind[R]) target(id string) string { return string(k.kills) + ":" + id }
