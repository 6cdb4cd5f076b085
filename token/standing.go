package token

import (
	"errors"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// StandingOf reads what a grant stands on now, in one snapshot. Errors are those of
// the store.
func StandingOf(tx store.Reader, g *store.Grant) (store.Standing, error) {
	var errs [3]error
	s := store.Standing{Grant: *g}
	s.Principal, errs[0] = tx.Principal(g.Environment, g.Principal)
	s.Client, errs[1] = tx.Client(g.Environment, g.Client)
	errs[2] = addStandpoints(tx, &s)
	return s, errors.Join(errs[:]...)
}

// addStandpoints reads the grant's accounts, as far as they are open to it.
func addStandpoints(tx store.Reader, s *store.Standing) error {
	g := &s.Grant
	bindings, err := tx.Bindings(g.Environment, g.Principal)
	if err != nil {
		return err
	}
	for _, id := range g.Accounts {
		account, err := tx.Account(g.Environment, id)
		if err != nil {
			return err
		}
		s.AccountEpoch = max(s.AccountEpoch, account.Epoch)
		at := slices.IndexFunc(bindings, func(b store.Binding) bool { return b.Account == id })
		if at >= 0 && account.Status == store.Active {
			s.Accounts = append(s.Accounts, store.Standpoint{Account: account, Binding: bindings[at]})
		}
	}
	return nil
}
