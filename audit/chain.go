package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// What is hashed or signed begins with what it is: nothing of one kind can be
// taken for another. A change of the encoding is a new version here.
const (
	rowDomain   = "caddy-bearer audit row v1\x00"
	aboutDomain = "caddy-bearer audit row v2\x00" // of a row that has a subject
	sealDomain  = "caddy-bearer audit seal v1\x00"
	headDomain  = "caddy-bearer audit head v1\x00"
)

// checkSize is how many bytes of each row's hash a seal keeps. They only tell
// which row was changed; that one was is told by the digest.
const checkSize = 4

// appendNumber writes a number in eight bytes.
func appendNumber(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

// appendText writes a text behind its length, so that two texts can't be read
// as two others.
func appendText(b []byte, text string) []byte {
	return append(appendNumber(b, int64(len(text))), text...)
}

// appendInstant writes an instant as the store keeps it, in microseconds.
func appendInstant(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, t.UnixMicro())
}

// appendRow writes the one encoding of a row: every column, in this order. A row
// without a subject is written as it was before there were any.
func appendRow(b []byte, row *store.AuditRow) []byte {
	if row.Subject == "" {
		b = append(b, rowDomain...)
	} else {
		b = appendText(append(b, aboutDomain...), row.Subject)
	}
	b = appendNumber(b, row.Sequence)
	b = appendInstant(b, row.At)
	b = appendNumber(b, row.Count)
	for _, text := range [...]string{
		string(row.Environment), row.Actor, row.Action, row.Target, row.Outcome,
		row.Reason, row.Address, row.RequestID,
	} {
		b = appendText(b, text)
	}
	return b
}

// RowHash is what a seal covers of a row.
func RowHash(row *store.AuditRow) store.Hash { return sha256.Sum256(appendRow(nil, row)) }

// link computes a seal's digest row by row.
type link struct{ sum hash.Hash }

// newLink begins the digest of a seal that follows the one with digest before
// (zero: it is the first).
func newLink(before store.Hash, first, last int64, at time.Time) link {
	l := link{sha256.New()}
	b := append([]byte(sealDomain), before[:]...)
	b = appendNumber(b, first)
	b = appendNumber(b, last)
	l.sum.Write(appendInstant(b, at))
	return l
}

func (l link) add(row store.Hash) { l.sum.Write(row[:]) }

func (l link) digest() (d store.Hash) {
	l.sum.Sum(d[:0])
	return d
}

// signed is what the signature of a seal is over. The digest stands for first,
// and for all rows and seals before.
func signed(identity string, last int64, at time.Time, digest store.Hash) []byte {
	b := appendText([]byte(headDomain), identity)
	b = appendNumber(b, last)
	b = appendInstant(b, at)
	return append(b, digest[:]...)
}

// KeyID is a fingerprint by which a key can be told from others.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// Keys are the public keys that seals may be signed with, by their ids.
type Keys map[string]ed25519.PublicKey

// NewKeys returns the keys by their ids.
func NewKeys(keys ...ed25519.PublicKey) Keys {
	known := make(Keys, len(keys))
	for _, key := range keys {
		known[KeyID(key)] = key
	}
	return known
}
