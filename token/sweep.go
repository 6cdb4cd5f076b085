package token

import (
	"context"
	"time"
)

// sweepEvery bounds how long an expired token's stream lives on.
const sweepEvery = 250 * time.Millisecond

// Join registers a rider on the lease (nil on a public route). It must come
// before Judge and before the policy's decision.
func (a *Authority) Join(ride *Ride, rider Rider, lease *Lease) { a.riders.join(ride, rider, lease) }

// Leave ends what Join began. When it returns the rider is not in use by any
// sweep and may be pooled.
func (a *Authority) Leave(ride *Ride) { a.riders.leave(ride) }

// Riders counts the exchanges under way.
func (a *Authority) Riders() int { return a.riders.len() }

// Sweep asks of every rider what was asked when it came in, and cuts those that
// would now be refused.
func (a *Authority) Sweep() {
	now := a.Now()
	a.riders.each(func(ride *Ride) {
		cause := a.fate(ride, now)
		switch {
		case cause == "":
			ride.doomed = time.Time{}
		case ride.cut:
		case ride.rider.Streaming():
			ride.end(cause)
		case ride.doomed.IsZero():
			ride.doomed = now
		case now.Sub(ride.doomed) >= CutGrace:
			ride.end(cause)
		}
	})
}

// CutAll ends every exchange under way, whatever its token says.
func (a *Authority) CutAll(cause Cause) {
	a.riders.each(func(ride *Ride) {
		if !ride.cut {
			ride.end(cause)
		}
	})
}

func (r *Ride) end(cause Cause) {
	r.cut = true
	r.rider.Cut(cause)
}

func (a *Authority) fate(ride *Ride, now time.Time) Cause {
	if ride.lease != nil {
		switch a.Judge(ride.lease, now) {
		case Expired:
			return CauseExpired
		case Revoked:
			return CauseRevoked
		case RightsChanged:
			return CauseRights
		case Live, Stale: // a stream needs no fresh facts: what kills them is in the set
		}
	}
	if !ride.rider.Permitted() {
		return CauseForbidden
	}
	return ""
}

// tick sweeps and prunes until ctx ends.
func (a *Authority) tick(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.Sweep()
			a.noteSweep()
			a.revoked.prune(a.Now())
			a.limiters.prune(a.Now())
		}
	}
}
