package sqlite

import "github.com/caddy-bearer/caddy-bearer/store"

// destroyBelow says for a kind of revocation how the sealed copies of what it
// kills are destroyed. A party may have a million grants, of which hardly any has
// tokens with copies: so those are gone through that have one, by an index that
// holds nothing else, and not the party's grants.
var destroyBelow = map[store.Kind]string{
	store.KindToken: destroy + `id = ?2`,
	store.KindGrant: destroy + `grant_id = ?2`,
	store.KindPrincipal: destroy + `EXISTS (SELECT 1 FROM grants g
		WHERE g.environment = token.environment AND g.id = token.grant_id AND g.principal = ?2)`,
	store.KindClient: destroy + `EXISTS (SELECT 1 FROM grants g
		WHERE g.environment = token.environment AND g.id = token.grant_id AND g.client = ?2)`,
	store.KindAccount: destroy + `EXISTS (SELECT 1 FROM grant_account a
		WHERE a.environment = token.environment AND a.grant_id = token.grant_id AND a.account = ?2)`,
}

const (
	destroy = `UPDATE token SET sealed = NULL WHERE environment = ?1 AND sealed IS NOT NULL AND `

	// destroyDead is for all environments: it finds out anew what is dead.
	destroyDead = `UPDATE token SET sealed = NULL WHERE sealed IS NOT NULL AND (revoked <> 0 OR EXISTS (
		SELECT 1 FROM grants g
		JOIN principal p ON p.environment = g.environment AND p.id = g.principal
		JOIN client c ON c.environment = g.environment AND c.id = g.client
		WHERE g.environment = token.environment AND g.id = token.grant_id
			AND (g.revoked <> 0 OR g.epoch < p.epoch OR g.epoch < c.epoch OR EXISTS (
				SELECT 1 FROM grant_account s
				JOIN account a ON a.environment = s.environment AND a.id = s.account
				WHERE s.environment = g.environment AND s.grant_id = g.id AND g.epoch < a.epoch))))`

	destroyAll = `UPDATE token SET sealed = NULL WHERE sealed IS NOT NULL`
)

// destroyCopies destroys the sealed copies of the tokens that a revocation kills.
func (t *tx) destroyCopies(rev store.Revocation) error {
	query, kills := destroyBelow[rev.Kind]
	if !kills {
		return nil
	}
	_, err := t.exec(query, rev.Environment, rev.Target)
	return err
}
