package token

import (
	"cmp"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// PublishAhead is how long a key is published before it signs, so that
	// whoever verifies by our JWK Set has it by then: the set may be cached for
	// five minutes.
	PublishAhead = 10 * time.Minute

	// MinKeyRotation is the shortest time between two scheduled keys. An old one
	// stays published for more than a day.
	MinKeyRotation = 24 * time.Hour
)

// KeyState is where a signing key stands in its life.
type KeyState string

// The states of a signing key, in this order, but for KeyRevoked, which may come
// at any time.
const (
	KeyFuture    KeyState = "future"    // published, and signs later
	KeySigning   KeyState = "signing"   // the one that signs
	KeyVerifying KeyState = "verifying" // published, and signs no more
	KeyRetired   KeyState = "retired"   // nothing that it signed can live
	KeyRevoked   KeyState = "revoked"   // everything that it signed is dead
)

// KeyLife is what is known of a signing key's life.
type KeyLife struct {
	State   KeyState
	Stops   time.Time // when it stops signing, or did; zero: not known yet
	Retires time.Time // when it will be or was retired; zero: not known yet
}

// keyLives tells the life of each key, by id. outlive is how long a key must
// outlive its last signature.
func keyLives(records []store.SigningKey, now time.Time, outlive time.Duration) map[string]KeyLife {
	lives := make(map[string]KeyLife, len(records))
	signer := signerAmong(records, now)
	for i := range records {
		r := &records[i]
		life := KeyLife{State: KeyVerifying, Stops: stops(r, records)}
		if !life.Stops.IsZero() {
			life.Retires = life.Stops.Add(outlive)
		}
		switch {
		case r.Epoch != 0:
			life = KeyLife{State: KeyRevoked}
		case !r.Retired.IsZero():
			life.State, life.Retires = KeyRetired, r.Retired
		case r == signer:
			life.State = KeySigning
		case r.SignFrom.After(now) && !withdrawn(r):
			life.State = KeyFuture
		}
		lives[r.ID] = life
	}
	return lives
}

// usable reports whether a key verifies: it is neither retired nor killed.
func usable(r *store.SigningKey) bool { return r.Retired.IsZero() && r.Epoch == 0 }

// withdrawn reports whether a key was made never to sign after all.
func withdrawn(r *store.SigningKey) bool {
	return !r.SignUntil.IsZero() && !r.SignUntil.After(r.SignFrom)
}

// signsAt reports whether a key may sign at an instant. Of several that may, the
// newest does.
func signsAt(from, until, at time.Time) bool {
	return !from.After(at) && (until.IsZero() || at.Before(until))
}

// newestFirst orders keys by the instant from which they sign.
func newestFirst(aFrom, bFrom time.Time, aID, bID string) int {
	return cmp.Or(bFrom.Compare(aFrom), strings.Compare(aID, bID))
}

func newer(a, b *store.SigningKey) bool { return newestFirst(a.SignFrom, b.SignFrom, a.ID, b.ID) < 0 }

// signerAmong returns the key that signs at an instant, nil if none does.
func signerAmong(records []store.SigningKey, at time.Time) *store.SigningKey {
	var signer *store.SigningKey
	for i := range records {
		r := &records[i]
		if usable(r) && signsAt(r.SignFrom, r.SignUntil, at) && (signer == nil || newer(r, signer)) {
			signer = r
		}
	}
	return signer
}

// stops returns when a newer key takes over from this one, zero if there is none
// yet. A key that was killed counts for none: it may never have signed.
func stops(k *store.SigningKey, records []store.SigningKey) time.Time {
	stop := k.SignUntil
	for i := range records {
		r := &records[i]
		if r.Epoch == 0 && newer(r, k) && !withdrawn(r) && (stop.IsZero() || r.SignFrom.Before(stop)) {
			stop = r.SignFrom
		}
	}
	return stop
}
