package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Snapshot implements store.Log.
func (s *Store) Snapshot(ctx context.Context) ([]store.Revocation, store.Cursor, error) {
	return s.after(ctx, 0)
}

// Tail implements store.Log. It fails when the cursor is not one of this
// database's, or ahead of it: an older copy of the database was restored.
func (s *Store) Tail(ctx context.Context, since store.Cursor) ([]store.Revocation, store.Cursor, error) {
	sequence, err := s.parse(since)
	if err != nil {
		return nil, "", err
	}
	return s.after(ctx, sequence)
}

// after reads the log behind a place. One writer draws the sequence numbers
// inside its transactions, so whoever sees one sees all below it.
func (s *Store) after(ctx context.Context, sequence int64) (revs []store.Revocation, cursor store.Cursor, err error) {
	err = s.snapshot(ctx, func(r *session) error {
		// The highest ever handed out: the row itself may have been collected.
		var last int64
		err := r.get([]any{&last}, `SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'revocation'`)
		if err != nil {
			return err
		}
		if sequence > last {
			return fmt.Errorf("sqlite: the cursor is at %d and the log ends at %d", sequence, last)
		}
		cursor = s.cursor(last)
		return r.each(func(scan func(...any) error) error {
			var rev store.Revocation
			if err := scan(revocationInto(&rev)...); err != nil {
				return err
			}
			revs = append(revs, rev)
			return nil
		}, `SELECT `+revocationColumns+` FROM revocation r WHERE r.sequence > ? ORDER BY r.sequence`, sequence)
	})
	if err != nil {
		return nil, "", err
	}
	return revs, cursor, nil
}

// A cursor is the identity of the database and a place in its log.
func (s *Store) cursor(sequence int64) store.Cursor {
	return store.Cursor(s.identity + "." + strconv.FormatInt(sequence, 10))
}

func (s *Store) parse(c store.Cursor) (int64, error) {
	identity, place, ok := strings.Cut(string(c), ".")
	sequence, err := strconv.ParseUint(place, 10, 63)
	if !ok || err != nil {
		return 0, errors.New("sqlite: malformed cursor")
	}
	if identity != s.identity {
		return 0, errors.New("sqlite: the cursor belongs to another database")
	}
	return int64(sequence), nil
}
