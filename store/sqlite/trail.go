package sqlite

import (
	"errors"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// There is one writer, so that sequences are in the order of commits and a
// snapshot that has a row has all rows before it. A job that is rolled back
// takes its sequences back too: AUTOINCREMENT counts inside the transaction.

// Audit reads the trail from its end. The unary plus keeps SQLite from an index
// by environment, for which it would have to sort two lists of all rows.
func (r reader) Audit(env store.Environment, filter store.AuditFilter) ([]store.AuditRow, error) {
	query := `SELECT ` + eventColumns + ` FROM audit e WHERE +e.environment IN (?, ?)`
	args := []any{env, store.Everywhere}
	narrow := func(condition string, arg any) {
		query += " AND " + condition
		args = append(args, arg)
	}
	for _, by := range []struct{ column, word string }{
		{"actor", filter.Actor}, {"action", filter.Action}, {"target", filter.Target}, {"outcome", filter.Outcome},
	} {
		if by.word != "" {
			narrow("e."+by.column+" = ?", by.word)
		}
	}
	if !filter.Since.IsZero() {
		narrow("e.at >= ?", micros(filter.Since))
	}
	if !filter.Until.IsZero() {
		narrow("e.at < ?", micros(filter.Until))
	}
	limit := -1 // no limit, to SQLite
	if filter.Limit > 0 {
		limit = filter.Limit
	}
	return list(r.s, eventInto, query+` ORDER BY e.sequence DESC LIMIT ?`, append(args, limit)...)
}

func (r reader) AuditRows(after int64, limit int) ([]store.AuditRow, error) {
	return list(r.s, eventInto,
		`SELECT `+eventColumns+` FROM audit e WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?`, after, max(limit, 0))
}

func (r reader) AuditSeals(after int64, limit int) ([]store.AuditSeal, error) {
	return list(r.s, sealInto,
		`SELECT `+sealColumns+` FROM audit_seal s WHERE s.last > ? ORDER BY s.last LIMIT ?`, after, max(limit, 0))
}

func (r reader) LastAuditSeal() (store.AuditSeal, error) {
	return one(r.s, "seal", sealInto, `SELECT `+sealColumns+` FROM audit_seal s ORDER BY s.last DESC LIMIT 1`)
}

func (w writer) PutAuditSeal(s store.AuditSeal) error {
	before, err := w.LastAuditSeal()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if s.First != before.Last+1 || s.Last < s.First {
		return fmt.Errorf("seal of %d to %d behind %d: %w", s.First, s.Last, before.Last, store.ErrExists)
	}
	return w.put("seal", `INSERT INTO audit_seal (first, last, at, digest, checks, key_id, signature)
		VALUES (?, ?, ?, ?, ?, ?, ?)`,
		s.First, s.Last, micros(s.At), s.Digest[:], octets(s.Checks), s.KeyID, octets(s.Signature))
}
