//go:build proof

package proof

import (
	"database/sql"
	"fmt"
	"io"
	"os"

	_ "modernc.org/sqlite" // the driver
)

// rows are what the ledger says must stand in the database.
type rows struct {
	grants  []string // that were acknowledged
	ended   []string // grants that were revoked
	revoked []string // tokens that were
}

// rowsOf says what must be there at this moment.
func (m model) rowsOf() (want rows) {
	for _, h := range m {
		for _, g := range h.grants {
			if g.id != "" {
				want.grants = append(want.grants, g.id)
			}
			if g.ended {
				want.ended = append(want.ended, g.id)
			}
			for _, a := range g.access {
				if a.fate == dead {
					want.revoked = append(want.revoked, a.id)
				}
			}
		}
	}
	return want
}

// copyDatabase copies what a killed process left behind, so that looking at it
// does not change it: the first who opens it plays the log back.
func (s *server) copyDatabase(name string) (string, error) {
	for _, suffix := range []string{"", "-wal"} {
		from, err := os.Open(s.path("bearer.db" + suffix))
		if os.IsNotExist(err) && suffix != "" {
			continue
		}
		if err != nil {
			return "", err
		}
		defer from.Close()
		to, err := os.Create(s.path(name + suffix))
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(to, from); err != nil {
			return "", err
		}
		if err := to.Close(); err != nil {
			return "", err
		}
	}
	return s.path(name), nil
}

// never are queries that must count nothing, at any moment.
var never = map[string]string{
	"dangling rows":             `SELECT count(*) FROM pragma_foreign_key_check`,
	"grants without a code":     `SELECT count(*) FROM grants g WHERE g.principal <> g.client AND NOT EXISTS (SELECT 1 FROM code o WHERE o.environment = g.environment AND o.grant_id = g.id)`,
	"codes used for nothing":    `SELECT count(*) FROM code o WHERE o.used <> 0 AND NOT EXISTS (SELECT 1 FROM token t WHERE t.environment = o.environment AND t.grant_id = o.grant_id)`,
	"tokens of unused codes":    `SELECT count(*) FROM code o JOIN token t ON t.environment = o.environment AND t.grant_id = o.grant_id WHERE o.used = 0`,
	"families without one head": `SELECT count(*) FROM (SELECT 1 FROM token GROUP BY environment, grant_id HAVING sum(successor IS NULL) <> 1)`,
	"lost successors":           `SELECT count(*) FROM token t WHERE t.successor IS NOT NULL AND NOT EXISTS (SELECT 1 FROM token n WHERE n.environment = t.environment AND n.hash = t.successor)`,
	"unlogged revocations":      `SELECT count(*) FROM grants g WHERE g.revoked <> 0 AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.environment = g.environment AND r.kind = 'grant' AND r.target = g.id)`,
	"kills without effect":      `SELECT count(*) FROM revocation r JOIN grants g ON g.environment = r.environment AND g.id = r.target WHERE r.kind = 'grant' AND g.revoked = 0`,
	"revocations logged twice":  `SELECT count(*) FROM (SELECT 1 FROM revocation WHERE kind IN ('grant', 'token') GROUP BY environment, kind, target HAVING count(*) <> 1)`,
}

// survey looks at a database that no process has open.
func survey(path string, want rows, wrong *findings) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA cache_size = -65536`); err != nil {
		return err
	}
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		wrong.add("integrity_check: %s", verdict)
	}
	for name, query := range never {
		var n int
		if err := db.QueryRow(query).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n != 0 {
			wrong.add("%d %s", n, name)
		}
	}
	for name, expected := range map[string]struct {
		query string
		ids   []string
	}{
		"grant":                      {`SELECT id FROM grants`, want.grants},
		"revocation of a grant":      {`SELECT target FROM revocation WHERE kind = 'grant'`, want.ended},
		"revocation of a token":      {`SELECT target FROM revocation WHERE kind = 'token'`, want.revoked},
		"audit line of a grant":      {`SELECT substr(target, 7) FROM audit WHERE action IN ('code.issue', 'client_credentials.issue')`, want.grants},
		"audit line of a dead one":   {`SELECT substr(target, 7) FROM audit WHERE action = 'grant.revoke'`, want.ended},
		"audit line of a dead token": {`SELECT substr(target, 7) FROM audit WHERE action = 'token.revoke'`, want.revoked},
	} {
		there, err := texts(db, expected.query)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		missing := 0
		for _, id := range expected.ids {
			if !there[id] {
				missing++
			}
		}
		if missing != 0 {
			wrong.add("of %d acknowledged, there is no %s for %d", len(expected.ids), name, missing)
		}
	}
	return nil
}

// texts is the set of what a query finds.
func texts(db *sql.DB, query string) (map[string]bool, error) {
	found, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	set := map[string]bool{}
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		set[text] = true
	}
	return set, found.Err()
}
