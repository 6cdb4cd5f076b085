package sqlite

import (
	"errors"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// subjectOf names a principal in the audit trail, if it is one whose things people
// look at: programs have no page.
func subjectOf(p *store.Principal) string {
	switch p.Kind {
	case store.User:
		return store.UserWord(p.ID)
	case store.AccountPrincipal:
		return store.AccountWord(p.ID)
	case store.Service, store.ClientPrincipal:
	}
	return ""
}

const ownerOfGrant = ` JOIN principal p ON p.environment = g.environment AND p.id = g.principal WHERE g.environment = ?`

// owners find the kind and id of whom a revocation's target is.
var owners = map[store.Kind]string{
	store.KindGrant:       `SELECT p.kind, p.id FROM grants g` + ownerOfGrant + ` AND g.id = ?`,
	store.KindPrincipal:   `SELECT kind, id FROM principal WHERE environment = ? AND id = ?`,
	store.KindRights:      `SELECT kind, id FROM principal WHERE environment = ? AND id = ?`,
	store.KindRightsGiven: `SELECT kind, id FROM principal WHERE environment = ? AND id = ?`,
	store.KindAccount:     `SELECT 'account', id FROM account WHERE environment = ? AND id = ?`,
	store.KindClient:      `SELECT 'user', owner FROM client WHERE environment = ? AND id = ? AND owner <> ''`,
	store.KindToken: `SELECT p.kind, p.id FROM token t JOIN grants g ON g.environment = t.environment AND g.id = t.grant_id` +
		ownerOfGrant + ` AND t.id = ?`,
}

// concerned names whom a revocation concerns; "": nobody who could look.
func (t *tx) concerned(rev store.Revocation) (string, error) {
	query, has := owners[rev.Kind]
	if !has {
		return "", nil
	}
	var owner store.Principal
	err := t.get([]any{(*string)(&owner.Kind), &owner.ID}, query, rev.Environment, rev.Target)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil // a signed token has no row, and a program's app no owner
	}
	return subjectOf(&owner), err
}
