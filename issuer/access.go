package issuer

import (
	"fmt"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// fullAccess reports whether a user sees everything of what belongs to it: it is
// active, accounts are bound to it, and all of them in full. Everybody else has
// partial access.
func fullAccess(user *store.Principal, bindings []store.Binding) bool {
	for k := range bindings {
		if bindings[k].Access != store.Full {
			return false
		}
	}
	return user.Kind == store.User && user.Status == store.Active && len(bindings) > 0
}

// rights are what a user has at this moment.
type rights struct {
	user    store.Principal
	full    bool               // fullAccess
	partial []string           // accounts that are open in part only
	open    []store.Standpoint // the accounts that are active, by id
}

// rightsOf reads the rights of a user.
func (i *Issuer) rightsOf(tx store.Reader, id string) (r rights, err error) {
	if r.user, err = tx.Principal(i.environment, id); err != nil {
		return r, err
	}
	bindings, err := tx.Bindings(i.environment, id)
	if err != nil {
		return r, err
	}
	r.full = fullAccess(&r.user, bindings)
	for _, b := range bindings {
		if b.Access != store.Full {
			r.partial = append(r.partial, b.Account)
		}
	}
	r.open, err = token.OpenOf(tx, i.environment, bindings)
	return r, err
}

// presentRights is rightsOf in a snapshot of its own.
func (i *Issuer) presentRights(x *exchange, p *person) (r rights, err error) {
	err = i.store.View(x.Context(), func(tx store.Reader) error {
		r, err = i.rightsOf(tx, p.user.ID)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("read rights: %w", err)
	}
	return r, nil
}

// requireFullAccess fails for a user without, in the transaction that it is needed
// for.
func (i *Issuer) requireFullAccess(tx store.Reader, id string) error {
	r, err := i.rightsOf(tx, id)
	if err == nil && !r.full {
		return errNotFullAccess
	}
	return err
}

// errNotFullAccess says who may create applications and static tokens.
var errNotFullAccess error = &oauthError{
	status: http.StatusForbidden, code: codeUnauthorizedClient,
	description: "this takes full access: at least one account must be bound to you, and none of yours in part only. An operator can change that",
}

// accountIDs are the ids of the accounts that are open.
func (r *rights) accountIDs() []string {
	ids := make([]string, 0, len(r.open))
	for k := range r.open {
		ids = append(ids, r.open[k].Account.ID)
	}
	return ids
}

// offered lists the scopes that all of the ceilings cover, in the order of the
// policy. Hidden ones are for who knows them and are offered to nobody.
func offered(p *policy.Policy, ceilings ...[]string) []policy.Scope {
	var scopes []policy.Scope
	for _, scope := range p.Scopes() {
		allowed := !scope.Hidden
		for _, ceiling := range ceilings {
			allowed = allowed && p.Covers(ceiling, scope.Name)
		}
		if allowed {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// visible leaves out of a list of scopes those that are hidden or unknown.
func visible(p *policy.Policy, names []string) []string {
	var seen []string
	for _, name := range names {
		if scope, known := p.Scope(name); known && !scope.Hidden {
			seen = append(seen, name)
		}
	}
	return seen
}
