package token

import "time"

// Description is what a rider tells of its exchange.
type Description struct {
	Method    string
	Route     string    // the id that the policy has for it
	Remote    string    // address of the peer, with its port
	ClientIP  string    // of a stream: who the client is, if a proxy said so; may be empty
	Since     time.Time // when it was let through; zero: not known, on a public route
	Streaming bool
}

// UnderWay is one exchange under way.
type UnderWay struct {
	Description

	Facts *Facts // of the token; nil on a public route
}

// UnderWay lists the exchanges under way of whose token's facts wanted is true.
// It is a look from the side: the exchanges come and go meanwhile. Wanted is
// called under a lock that joining requests take, and must be quick.
func (a *Authority) UnderWay(wanted func(*Facts) bool) (found []UnderWay) {
	a.riders.each(func(ride *Ride) {
		var facts *Facts
		if ride.lease != nil {
			facts = &ride.lease.Facts
		}
		if ride.cut || !wanted(facts) {
			return
		}
		if what, ok := ride.rider.Describe(); ok {
			found = append(found, UnderWay{what, facts})
		}
	})
	return found
}
