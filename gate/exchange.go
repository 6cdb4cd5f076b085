package gate

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// exchange is a request's place among the riders. It is pooled, so that asking
// costs no allocation; what next may hold on to is in response, which is not.
type exchange struct {
	token.Ride
	gate *Gate
	lane uint32 // of the counters; it is kept
	turn uint32 // how many requests it was used for; it is kept

	method, path string // as judged; set before joining

	began time.Time // when the lease was judged; the handler's alone, see response.began

	quota token.Quota // what the token's rate has left; zero: it has none

	// The answer of the policy that was asked last. Only the sweep uses them,
	// under the lock of the shard.
	judgedBy  *policy.Policy
	permitted bool

	cause atomic.Pointer[token.Cause] // set: cut
	out   atomic.Pointer[response]    // set: next is being served
}

func (g *Gate) take() *exchange {
	x, _ := g.exchanges.Get().(*exchange) // it holds nothing else
	return x
}

// release gives back an exchange that does not ride.
func (g *Gate) release(x *exchange) {
	x.method, x.path, x.judgedBy = "", "", nil
	x.began = time.Time{}
	if x.quota.Rate.Requests != 0 {
		x.quota = token.Quota{}
	}
	if x.cause.Load() != nil {
		x.cause.Store(nil)
	}
	if x.out.Load() != nil {
		x.out.Store(nil)
	}
	g.exchanges.Put(x)
}

// join begins the ride. What a sweep asked for an earlier lease is forgotten.
func (x *exchange) join(lease *token.Lease) {
	x.judgedBy, x.permitted = nil, false
	x.gate.authority.Join(&x.Ride, x, lease)
}

// leave ends the ride. After Leave returned no sweep knows the exchange.
func (g *Gate) leave(x *exchange) {
	g.authority.Leave(&x.Ride)
	g.release(x)
}

// board gives the sweep something to cut. A cut that came before is carried
// out now; one that comes between the two steps is carried out once, because
// response.cut is.
func (x *exchange) board(out *response) {
	x.out.Store(out)
	if cause := x.cause.Load(); cause != nil {
		out.cut(*cause)
	}
}

// Permitted implements token.Rider: it asks the present policy what was asked
// when the request came in.
func (x *exchange) Permitted() bool {
	p := x.gate.policy()
	if p != x.judgedBy {
		x.judgedBy, x.permitted = p, permits(p, x.method, x.path, x.Lease())
	}
	return x.permitted
}

func permits(p *policy.Policy, method, path string, lease *token.Lease) bool {
	if p == nil {
		return false
	}
	m, ok := p.Match(method, path)
	return ok && p.Decide(&m, factsOf(p, lease)).Allow
}

// Streaming implements token.Rider.
func (x *exchange) Streaming() bool {
	out := x.out.Load()
	return out != nil && out.streaming.Load()
}

// Cut implements token.Rider.
func (x *exchange) Cut(cause token.Cause) {
	x.cause.Store(&cause)
	if out := x.out.Load(); out != nil {
		out.cut(cause)
	}
}

// Describe implements token.Rider.
func (x *exchange) Describe() (token.Description, bool) {
	out := x.out.Load()
	if out == nil {
		return token.Description{}, false
	}
	what := out.describe()
	what.Method = x.method
	return what, true
}

// cutError is the cause of a context that was cut, and the error of a write
// that came too late. It is a context.Canceled, because a proxy takes any other
// cause for a fault of the upstream and counts it against its health.
type cutError struct{ cause token.Cause }

func (e *cutError) Error() string { return "cut by bearer gate: " + string(e.cause) }

func (e *cutError) Unwrap() error { return context.Canceled }

var _ token.Rider = (*exchange)(nil)
