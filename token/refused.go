package token

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"
)

const (
	refusedSlots = 1 << 12
	// refusedLife is how long a refusal is remembered.
	refusedLife = time.Minute
)

// refused remembers tokens that were refused after work, one per slot, so that
// one that is presented again and again causes the work once a minute. A token
// that is remembered here is dead for good: what may change is not.
type refused [refusedSlots]atomic.Pointer[refusedToken]

// refusedToken holds the token's digest: tokens of strangers have any length and
// are nothing to keep.
type refusedToken struct {
	digest  [sha256.Size]byte
	keys    *SigningKeys // by which it was refused; nil: not by a signature
	until   int64        // in microseconds since 1970
	invalid *Invalid
}

func (r *refused) slot(digest *[sha256.Size]byte) *atomic.Pointer[refusedToken] {
	return &r[binary.LittleEndian.Uint64(digest[:])%refusedSlots]
}

// get returns why the token was refused before, nil if that is not known.
func (r *refused) get(q *question, now time.Time) *Invalid {
	known := r.slot(&q.digest).Load()
	if known == nil || known.digest != q.digest || known.keys != q.keys || now.UnixMicro() >= known.until {
		return nil
	}
	return known.invalid
}

func (r *refused) put(q *question, invalid *Invalid, now time.Time) {
	r.slot(&q.digest).Store(&refusedToken{q.digest, q.keys, now.Add(refusedLife).UnixMicro(), invalid})
}

// forGood reports whether a token that was refused so will always be. The time
// never goes back, and what has ended never lives again.
func (e *Invalid) forGood() bool {
	switch e.Reason {
	case ReasonNotYetValid:
		return false
	case ReasonRevoked:
		return e == errEnded
	default:
		return true
	}
}
