package token

import (
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// PersonalStatus is what has become of a personal token.
type PersonalStatus string

// The states of a personal token. All but the first are final, but for PersonalEnded
// where its owner was only disabled.
const (
	PersonalLive    PersonalStatus = "live"
	PersonalExpired PersonalStatus = "expired"
	PersonalRevoked PersonalStatus = "revoked"
	PersonalEnded   PersonalStatus = "ended" // its owner, or an account of it, was disabled or revoked since
)

// PersonalToken is a personal token as its owner sees it.
type PersonalToken struct {
	store.Token

	Grant  store.Grant
	Status PersonalStatus
}

// PersonalTokens lists the personal tokens of an owner, all of them, the newest
// first. Errors are those of the store.
func PersonalTokens(tx store.Reader, env store.Environment, owner string, now time.Time) ([]PersonalToken, error) {
	grants, err := tx.Grants(env, store.GrantFilter{Principal: owner, Client: store.PersonalClient})
	if err != nil || len(grants) == 0 {
		return nil, err
	}
	g, err := personalGround(tx, env, owner)
	if err != nil {
		return nil, err
	}
	list := make([]PersonalToken, 0, len(grants))
	for k := range grants {
		one, err := g.tokensOf(&grants[k], now)
		if err != nil {
			return nil, err
		}
		list = append(list, one...)
	}
	slices.SortStableFunc(list, func(a, b PersonalToken) int { return b.Created.Compare(a.Created) })
	return list, nil
}

// PersonalOf reads the personal token of a grant; none if it was deleted already.
// Errors are those of the store.
func PersonalOf(tx store.Reader, grant *store.Grant, now time.Time) ([]PersonalToken, error) {
	g, err := personalGround(tx, grant.Environment, grant.Principal)
	if err != nil {
		return nil, err
	}
	return g.tokensOf(grant, now)
}

// PersonalByID reads one personal token, of an owner or, if that is empty, of anybody.
// store.ErrNotFound: there is none.
func PersonalByID(tx store.Reader, env store.Environment, id, owner string, now time.Time) (PersonalToken, error) {
	row, err := tx.Token(env, id)
	if err != nil {
		return PersonalToken{}, err
	}
	grant, err := tx.Grant(env, row.Grant)
	switch {
	case err != nil:
		return PersonalToken{}, err
	case row.Class != store.Personal || grant.Client != store.PersonalClient || owner != "" && grant.Principal != owner:
		return PersonalToken{}, store.ErrNotFound
	}
	g, err := personalGround(tx, env, grant.Principal)
	if err != nil {
		return PersonalToken{}, err
	}
	status, err := g.status(&grant, &row, now)
	return PersonalToken{row, grant, status}, err
}

// ownedGround is what the personal tokens of an owner stand on.
type ownedGround struct {
	tx       store.Reader
	env      store.Environment
	standing store.Standing
	accounts map[string]int64 // their epochs
}

func personalGround(tx store.Reader, env store.Environment, owner string) (*ownedGround, error) {
	g := &ownedGround{tx: tx, env: env, accounts: map[string]int64{}}
	var err error
	if g.standing.Principal, err = tx.Principal(env, owner); err != nil {
		return nil, err
	}
	g.standing.Client, err = tx.Client(env, store.PersonalClient)
	return g, err
}

func (g *ownedGround) tokensOf(grant *store.Grant, now time.Time) ([]PersonalToken, error) {
	rows, err := g.tx.TokensOf(g.env, grant.ID)
	if err != nil {
		return nil, err
	}
	tokens := make([]PersonalToken, len(rows))
	for k := range rows {
		status, err := g.status(grant, &rows[k], now)
		if err != nil {
			return nil, err
		}
		tokens[k] = PersonalToken{rows[k], *grant, status}
	}
	return tokens, nil
}

// status asks of a token what would be asked if it were used.
func (g *ownedGround) status(grant *store.Grant, row *store.Token, now time.Time) (PersonalStatus, error) {
	standing := g.standing
	standing.Grant = *grant
	for _, id := range grant.Accounts {
		epoch, read := g.accounts[id]
		if !read {
			account, err := g.tx.Account(g.env, id)
			if err != nil {
				return "", err
			}
			epoch = account.Epoch
			g.accounts[id] = epoch
		}
		standing.AccountEpoch = max(standing.AccountEpoch, epoch)
	}
	switch {
	case !row.Revoked.IsZero() || !grant.Revoked.IsZero():
		return PersonalRevoked, nil
	case !row.Expires.IsZero() && !now.Before(row.Expires):
		return PersonalExpired, nil
	case standing.Dead():
		return PersonalEnded, nil
	}
	return PersonalLive, nil
}
