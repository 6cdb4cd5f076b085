package token

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// renewAgain is how long to wait after the store did not answer.
const renewAgain = time.Second

// tellGiven wakes keepFacts if something was given to somebody.
func (a *Authority) tellGiven(revs []store.Revocation) {
	for i := range revs {
		if revs[i].Kind == store.KindRightsGiven || revs[i].Kind == store.KindClientRightsGiven {
			select {
			case a.given <- struct{}{}:
			default: // it will look anyhow
			}
			return
		}
	}
}

// keepFacts renews the facts of exchanges under way whenever they are stale
// because something was given, until ctx ends.
func (a *Authority) keepFacts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.given:
		}
		for !a.renewFacts() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(renewAgain):
			}
		}
	}
}

// renewFacts looks up again the opaque tokens that exchanges are under way on and
// to whose parties something was given since. More rights are of no use to what
// is under way; but the end of a token that is rotated comes earlier, and streams
// must keep to it. It reports whether the store answered for all.
//
// Whoever was judged before the set was told rides already (Join comes first), and
// is found here; whoever comes later is judged by the set.
func (a *Authority) renewFacts() bool {
	behind := map[*Lease]bool{}
	a.riders.each(func(ride *Ride) {
		if l := ride.lease; l != nil && l.Class != ClassAccess && !ride.cut && a.revoked.behind(l) {
			behind[l] = true
		}
	})
	for lease := range behind {
		fresh, err := a.Recheck(lease)
		var invalid *Invalid
		switch {
		case errors.As(err, &invalid): // what killed it is in the set
		case err != nil:
			return false
		default:
			lease.endBy(fresh.Expires)
			lease.renewed.Store(fresh.Rights)
		}
	}
	return true
}

// endBy brings the end of a lease forward.
func (l *Lease) endBy(expires time.Time) {
	if expires.IsZero() {
		return
	}
	at := endsAt(expires)
	if ends := l.endsAt.Load(); ends == 0 || at < ends {
		l.endsAt.Store(at)
	}
}
