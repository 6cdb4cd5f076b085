package caddymodule

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// change is a transaction that changes who may do what, with what its
// revocations say of it. The configuration and the admin API make the same
// changes.
type change struct {
	store.Writer
	env       store.Environment
	now       time.Time
	retention time.Duration // how long the revocation of a grant is kept
	reason    string
}

// raise revokes a numbered target: it kills everything under it or, for the
// rights, has it judged anew.
func (tx *change) raise(kind store.Kind, target string) error {
	_, err := tx.Revoke(store.Revocation{
		Environment: tx.env, Kind: kind, Target: target, At: tx.now, Reason: tx.reason,
	})
	return err
}

// unbind takes an account away from a principal and revokes what the principal
// granted for it.
func (tx *change) unbind(principal, account string) error {
	if err := tx.DeleteBinding(tx.env, principal, account); err != nil {
		return err
	}
	grants, err := tx.Grants(tx.env, store.GrantFilter{Principal: principal, Account: account, Live: tx.now})
	if err != nil {
		return err
	}
	for _, grant := range grants {
		_, err := tx.Revoke(store.Revocation{
			Environment: tx.env, Kind: store.KindGrant, Target: grant.ID,
			At: tx.now, Expires: tx.now.Add(tx.retention), Reason: tx.reason,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
