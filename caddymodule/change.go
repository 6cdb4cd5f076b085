package caddymodule

import (
	"errors"
	"slices"
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

// rightsKinds are the two revocations that have the tokens of a principal or
// client judged by its new rights. Tokens that exist are refused, until they are
// renewed or looked up, only if something was taken away: else what they say is
// as true as it was.
type rightsKinds struct{ taken, given store.Kind }

var (
	principalRights = rightsKinds{store.KindRights, store.KindRightsGiven}
	clientRights    = rightsKinds{store.KindClientRights, store.KindClientRightsGiven}
)

func (k rightsKinds) kind(taken bool) store.Kind {
	if taken {
		return k.taken
	}
	return k.given
}

// lessThan reports whether scopes lack one of those before. (What they imply is
// not looked at: a policy may change that any time.)
func lessThan(scopes, before []string) bool {
	return slices.ContainsFunc(before, func(s string) bool { return !slices.Contains(scopes, s) })
}

// bind opens an account to a principal, in place of the binding before, if any.
func (tx *change) bind(next store.Binding, before *store.Binding) error {
	if err := tx.PutBinding(next); err != nil {
		return err
	}
	if before == nil {
		return errors.Join(tx.endGrants(next.Principal, next.Account), tx.raise(store.KindRightsGiven, next.Principal))
	}
	if before.Access == next.Access && slices.Equal(before.Scopes, next.Scopes) {
		return nil
	}
	taken := next.Access == store.Partial && (before.Access == store.Full || lessThan(next.Scopes, before.Scopes))
	return tx.raise(principalRights.kind(taken), next.Principal)
}

// openAgain gives an account that was disabled to those to whom it is bound:
// what they granted meanwhile covers it from now on.
func (tx *change) openAgain(account string) error {
	bindings, err := tx.Bindings(tx.env, "")
	if err != nil {
		return err
	}
	for _, b := range bindings {
		if b.Account != account {
			continue
		}
		if err := tx.raise(store.KindRightsGiven, b.Principal); err != nil {
			return err
		}
	}
	return nil
}

// unbind takes an account away from a principal and revokes what the principal
// granted for it.
func (tx *change) unbind(principal, account string) error {
	if err := tx.DeleteBinding(tx.env, principal, account); err != nil {
		return err
	}
	return tx.endGrants(principal, account)
}

// endGrants revokes what a principal granted for an account. When the account is
// bound, nothing should be there; but who asked for a grant before the account was
// taken away may have got it after, and it must not come to life.
func (tx *change) endGrants(principal, account string) error {
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
