package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// maxSealed is how many rows one seal covers at most.
const maxSealed = 10_000

// Sealer puts seals on the rows of a store's audit trail. One at a time may be
// used on a store; another one would be refused by it.
type Sealer struct {
	Store    store.Directory
	Identity string // of the store
	Key      ed25519.PrivateKey
}

// Sealed says what a call of Seal did.
type Sealed struct {
	Head Head // of the chain by now; zero: there is none yet
	Rows int  // that were sealed
	More bool // there may be more
	// Missing is the first row that should be among those sealed and is not there;
	// 0: none is. Who removes rows before they are sealed leaves such a gap.
	Missing int64
}

// Seal puts a seal on the rows that have none, at most 10,000. They are read
// beside the writers and hashed outside of any transaction; what is written in
// the meantime waits for the next seal.
func (s *Sealer) Seal(ctx context.Context, now time.Time) (Sealed, error) {
	var before store.AuditSeal
	var rows []store.AuditRow
	err := s.Store.View(ctx, func(r store.Reader) (err error) {
		if before, err = lastSeal(r); err != nil {
			return err
		}
		rows, err = r.AuditRows(before.Last, maxSealed)
		return err
	})
	if err != nil {
		return Sealed{}, fmt.Errorf("read the audit trail: %w", err)
	}
	if len(rows) == 0 {
		return Sealed{Head: s.head(&before)}, nil
	}
	seal := s.seal(&before, rows, now)
	if err := s.Store.Update(ctx, func(w store.Writer) error { return w.PutAuditSeal(seal) }); err != nil {
		return Sealed{}, fmt.Errorf("seal the audit trail: %w", err)
	}
	return Sealed{
		Head: s.head(&seal), Rows: len(rows), More: len(rows) == maxSealed,
		Missing: firstMissing(before.Last, rows),
	}, nil
}

// seal makes the seal over rows, of which there is at least one.
func (s *Sealer) seal(before *store.AuditSeal, rows []store.AuditRow, now time.Time) store.AuditSeal {
	seal := store.AuditSeal{
		First: before.Last + 1, Last: rows[len(rows)-1].Sequence,
		At:     now.UTC().Truncate(time.Microsecond), // as it is kept
		Checks: make([]byte, 0, checkSize*len(rows)),
		KeyID:  KeyID(s.Key.Public().(ed25519.PublicKey)), //nolint:errcheck // of what type else
	}
	digest := newLink(before.Digest, seal.First, seal.Last, seal.At)
	for i := range rows {
		row := RowHash(&rows[i])
		digest.add(row)
		seal.Checks = append(seal.Checks, row[:checkSize]...)
	}
	seal.Digest = digest.digest()
	seal.Signature = ed25519.Sign(s.Key, signed(s.Identity, seal.Last, seal.At, seal.Digest))
	return seal
}

func (s *Sealer) head(seal *store.AuditSeal) Head {
	if seal.Last == 0 {
		return Head{}
	}
	return headOf(s.Identity, seal)
}

// lastSeal is the zero seal if there is none.
func lastSeal(r store.Reader) (store.AuditSeal, error) {
	seal, err := r.LastAuditSeal()
	if errors.Is(err, store.ErrNotFound) {
		return store.AuditSeal{}, nil
	}
	return seal, err
}

// firstMissing returns the first sequence behind last that is not that of a
// row, unless all rows follow each other.
func firstMissing(last int64, rows []store.AuditRow) int64 {
	for i := range rows {
		if rows[i].Sequence != last+1 {
			return last + 1
		}
		last = rows[i].Sequence
	}
	return 0
}
