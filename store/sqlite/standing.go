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
	var err error
	if st.AccountEpoch, err = s.accountsOf(&st.Grant); err != nil || len(st.Grant.Accounts) == 0 {
		return st, err
	}
	err = s.each(func(scan func(...any) error) error {
		var point store.Standpoint
		if err := scan(append(accountInto(&point.Account), bindingInto(&point.Binding)...)...); err != nil {
			return err
		}
		st.Accounts = append(st.Accounts, point)
		return nil
	}, selectStandpoints, st.Grant.Principal, env, grant)
	return st, err
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
