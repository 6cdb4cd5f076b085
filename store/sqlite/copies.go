package sqlite

import "github.com/caddy-bearer/caddy-bearer/store"

// below says which tokens a kind of revocation kills: those whose sealed copies
// it destroys with them.
var below = map[store.Kind]string{
	store.KindToken:     `id = ?`,
	store.KindGrant:     `grant_id = ?`,
	store.KindPrincipal: `grant_id IN (SELECT id FROM grants g WHERE g.environment = token.environment AND g.principal = ?)`,
	store.KindClient:    `grant_id IN (SELECT id FROM grants g WHERE g.environment = token.environment AND g.client = ?)`,
	store.KindAccount:   `grant_id IN (SELECT grant_id FROM grant_account a WHERE a.environment = token.environment AND a.account = ?)`,
}

// destroyCopies destroys the sealed copies of the tokens that a revocation kills.
func (t *tx) destroyCopies(rev store.Revocation) error {
	which, kills := below[rev.Kind]
	if !kills {
		return nil
	}
	_, err := t.exec(`UPDATE token SET sealed = NULL WHERE environment = ? AND sealed IS NOT NULL AND `+which, rev.Environment, rev.Target)
	return err
}
