package sqlite

import (
	"fmt"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const selectStanding = `SELECT ` + grantColumns + `, ` + principalColumns + `, ` + clientColumns + `
	FROM grants g
	JOIN principal p ON p.environment = g.environment AND p.id = g.principal
	JOIN client c ON c.environment = g.environment AND c.id = g.client
	WHERE g.environment = ? AND g.id = ?`

const selectStandpoints = `SELECT ` + accountColumns + `, ` + bindingColumns + `
	FROM grant_account s
	JOIN account a ON a.environment = s.environment AND a.id = s.account AND a.status = 'active'
	JOIN binding b ON b.environment = s.environment AND b.principal = ? AND b.account = s.account
	WHERE s.environment = ? AND s.grant_id = ?
	ORDER BY s.position`

// standing reads a grant with all that it stands on now.
func (s *session) standing(env store.Environment, grant string) (store.Standing, error) {
	var st store.Standing
	into := slices.Concat(grantInto(&st.Grant), principalInto(&st.Principal), clientInto(&st.Client))
	if err := s.get(into, selectStanding, env, grant); err != nil {
		return store.Standing{}, fmt.Errorf("grant: %w", err)
	}
	return st, s.addAccounts(&st)
}

// standing reads a grant with all that it stands on in this transaction.
func (t *tx) standing(env store.Environment, grant string) (store.Standing, error) {
	g, err := one(t.session, "grant", grantInto,
		`SELECT `+grantColumns+` FROM grants g WHERE g.environment = ? AND g.id = ?`, env, grant)
	if err != nil {
		return store.Standing{}, err
	}
	st := store.Standing{Grant: g}
	if err := t.addParties(&st); err != nil {
		return store.Standing{}, err
	}
	return st, t.addAccounts(&st)
}

func (t *tx) addParties(st *store.Standing) (err error) {
	if st.Principal, err = t.principal(st.Grant.Environment, st.Grant.Principal); err != nil {
		return err
	}
	st.Client, err = t.client(st.Grant.Environment, st.Grant.Client)
	return err
}

// addAccounts reads the accounts that a grant was made for, and of them those
// that are open to it.
func (s *session) addAccounts(st *store.Standing) (err error) {
	if st.AccountEpoch, err = s.accountsOf(&st.Grant); err != nil || len(st.Grant.Accounts) == 0 {
		return err
	}
	return s.each(func(scan func(...any) error) error {
		var point store.Standpoint
		if err := scan(append(accountInto(&point.Account), bindingInto(&point.Binding)...)...); err != nil {
			return err
		}
		st.Accounts = append(st.Accounts, point)
		return nil
	}, selectStandpoints, st.Grant.Principal, st.Grant.Environment, st.Grant.ID)
}

// accountsOf fills in the accounts that a grant was made for and returns the
// highest of their epochs.
func (s *session) accountsOf(g *store.Grant) (highest int64, err error) {
	err = s.each(func(scan func(...any) error) error {
		var account string
		var epoch int64
		if err := scan(&account, &epoch); err != nil {
			return err
		}
		g.Accounts = append(g.Accounts, account)
		highest = max(highest, epoch)
		return nil
	}, `SELECT s.account, a.epoch FROM grant_account s
		JOIN account a ON a.environment = s.environment AND a.id = s.account
		WHERE s.environment = ? AND s.grant_id = ? ORDER BY s.position`, g.Environment, g.ID)
	return highest, err
}
