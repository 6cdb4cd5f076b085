package token

import (
	"sync"
	"sync/atomic"
	"time"
)

// CutGrace is how long an ordinary exchange may go on after it lost its right,
// so that a short order in flight still gets its answer. Streams have none.
const CutGrace = 500 * time.Millisecond

// Rider is a request or stream under way. Its methods are called by the
// sweep, from another goroutine than the exchange's own, and must neither block
// nor call back into the Authority.
type Rider interface {
	// Permitted asks the present policy again. It does not ask about the lease.
	Permitted() bool
	// Streaming reports whether the exchange is an upgrade or an event stream,
	// which are cut at once.
	Streaming() bool
	// Cut ends the exchange. It is called once.
	Cut(Cause)
	// Describe says what the exchange is; false while it is still being judged.
	Describe() (Description, bool)
}

// Cause is why a rider was cut.
type Cause string

// The causes.
const (
	CauseExpired   Cause = "token expired"
	CauseRevoked   Cause = "token revoked"
	CauseRights    Cause = "rights changed"
	CauseForbidden Cause = "forbidden by policy"
	CauseShutdown  Cause = "server shutting down"
)

// Ride is a rider's place in the register. Embed it in a pooled value: joining
// and leaving allocate nothing. The zero value is ready.
type Ride struct {
	rider      Rider
	lease      *Lease // nil on a public route
	next, prev *Ride
	shard      *shard
	doomed     time.Time // when the sweep first found that it must end
	cut        bool
}

// Lease returns the lease ridden on, nil on a public route.
func (r *Ride) Lease() *Lease { return r.lease }

const shards = 64

// riders is the register of all that is under way in one environment.
type riders struct {
	shards [shards]shard
	turn   atomic.Uint32
}

// shard is one list with its lock, on cache lines of its own.
type shard struct {
	mu    sync.Mutex
	first *Ride
	count int
	_     [128 - 24]byte
}

// join enters the ride. A Ride keeps the shard that it first got: pools keep
// values near a processor, so shards stay there too.
func (r *riders) join(ride *Ride, rider Rider, lease *Lease) {
	if ride.shard == nil {
		ride.shard = &r.shards[r.turn.Add(1)%shards]
	}
	ride.rider, ride.lease = rider, lease
	s := ride.shard
	s.mu.Lock()
	ride.next = s.first
	if s.first != nil {
		s.first.prev = ride
	}
	s.first = ride
	s.count++
	s.mu.Unlock()
}

// leave removes the ride. When it returns, no sweep holds it any more.
func (r *riders) leave(ride *Ride) {
	s := ride.shard
	s.mu.Lock()
	if ride.prev != nil {
		ride.prev.next = ride.next
	} else {
		s.first = ride.next
	}
	if ride.next != nil {
		ride.next.prev = ride.prev
	}
	s.count--
	s.mu.Unlock()
	*ride = Ride{shard: s}
}

func (r *riders) len() (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += s.count
		s.mu.Unlock()
	}
	return n
}

// each calls visit for every ride, under the lock of its shard.
func (r *riders) each(visit func(*Ride)) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for ride := s.first; ride != nil; ride = ride.next {
			visit(ride)
		}
		s.mu.Unlock()
	}
}
