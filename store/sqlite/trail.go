package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// There is one writer, so that sequences are in the order of commits and a
// snapshot that has a row has all rows before it. A job that is rolled back
// takes its sequences back too: AUTOINCREMENT counts inside the transaction.

// Audit reads the trail from its end. The unary plus keeps SQLite from an index
// by environment, for which it would have to sort two lists of all rows.
func (r reader) Audit(env store.Environment, filter store.AuditFilter) ([]store.AuditRow, error) {
	if filter.User != "" {
		return r.concerning(env, &filter)
	}
	return r.narrowed("audit e WHERE +e.environment IN (?, ?)", []any{env, store.Everywhere}, &filter)
}

// What is read of the trail by an index that has only such rows. To name the index
// makes an error of what would be a walk through the whole trail.
const (
	byUser    = `audit e INDEXED BY audit_by_user WHERE e.environment = ? AND e.actor = ? AND substr(e.actor, 1, 5) = 'user:'`
	bySubject = `audit e INDEXED BY audit_by_subject WHERE e.environment = ? AND e.subject = ? AND e.subject <> ''`
)

// concerning reads what concerns a user from one index entry after the other: what
// the user did, what was done to it, and to each of its accounts. Each is read from
// its end, so that a page costs as much as it shows.
func (r reader) concerning(env store.Environment, filter *store.AuditFilter) ([]store.AuditRow, error) {
	user := store.UserWord(filter.User)
	rows, err := r.narrowed(byUser, []any{env, user}, filter)
	if err != nil {
		return nil, err
	}
	subjects := []string{user}
	for _, account := range filter.Accounts {
		subjects = append(subjects, store.AccountWord(account))
	}
	for _, subject := range subjects {
		more, err := r.narrowed(bySubject, []any{env, subject}, filter)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	slices.SortFunc(rows, func(a, b store.AuditRow) int { return cmp.Compare(b.Sequence, a.Sequence) })
	rows = slices.CompactFunc(rows, func(a, b store.AuditRow) bool { return a.Sequence == b.Sequence })
	if filter.Limit > 0 {
		rows = rows[:min(len(rows), filter.Limit)]
	}
	return rows, nil
}

// narrowed reads the rows of a table expression with its condition, newest first, as
// far as a filter lets them through.
func (r reader) narrowed(from string, args []any, filter *store.AuditFilter) ([]store.AuditRow, error) {
	query, args := narrowing(from, args, filter)
	return list(r.s, eventInto, query, args...)
}

func narrowing(from string, args []any, filter *store.AuditFilter) (string, []any) {
	query := `SELECT ` + eventColumns + ` FROM ` + from
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
	if filter.Before > 0 {
		narrow("e.sequence < ?", filter.Before)
	}
	if filter.Refused {
		narrow("e.outcome <> ?", outcomeOK)
	}
	if len(filter.Actions) > 0 {
		query += " AND e.action IN (?" + strings.Repeat(", ?", len(filter.Actions)-1) + ")"
		for _, action := range filter.Actions {
			args = append(args, action)
		}
	}
	limit := -1 // no limit, to SQLite
	if filter.Limit > 0 {
		limit = filter.Limit
	}
	return query + ` ORDER BY e.sequence DESC LIMIT ?`, append(args, limit)
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
