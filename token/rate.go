package token

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// limiter lets a number of requests through at once, and then as many again in
// each span of time: a bucket of tokens, written as the instant at which all
// that was let through will have been paid for (the generic cell rate
// algorithm). A request that is refused costs nothing, so that whoever insists
// is not locked out for longer.
type limiter struct {
	rate  store.Rate
	each  time.Duration // one request's share of the span
	whole time.Duration // all shares: the span, but for rounding
	paid  atomic.Int64  // that instant, in nanoseconds on the clock of limiters

	handed time.Duration // when a lease was last made with it; guarded by limiters
}

func newLimiter(rate store.Rate) *limiter {
	n := time.Duration(rate.Requests)
	each := (rate.Per + n - 1) / n // rounded up, or there would be one too many
	return &limiter{rate: rate, each: each, whole: each * n}
}

// take asks for one request at an instant.
func (l *limiter) take(at time.Duration) (Quota, bool) {
	for {
		paid := l.paid.Load()
		next := max(paid, int64(at)) + int64(l.each)
		ahead := time.Duration(next) - at
		if ahead > l.whole {
			return Quota{Rate: l.rate, Reset: ahead - l.whole}, false
		}
		if l.paid.CompareAndSwap(paid, next) {
			left := (l.whole - ahead) / l.each
			return Quota{Rate: l.rate, Remaining: int(left), Reset: ahead - l.whole + (left+1)*l.each}, true
		}
	}
}

// idle reports whether nothing is owed any more: a new limiter would do the same.
func (l *limiter) idle(at time.Duration) bool { return l.paid.Load() <= int64(at) }

// limiters are those of all tokens of an environment that have a rate and were
// looked up of late. A token gets here only when the store has proven it, so
// there are never more than were issued.
type limiters struct {
	start time.Time

	mu      sync.Mutex
	byToken map[string]*limiter
	pruned  time.Duration
}

const (
	pruneLimiters = time.Minute
	// limiterLife is longer than a lease can be used: who still holds one then
	// has to look it up again, so that no token ever has two limiters.
	limiterLife = 2 * opaqueFactsLife
)

func newLimiters(now time.Time) *limiters {
	return &limiters{start: now, byToken: make(map[string]*limiter)}
}

// age is the clock of the limiters: monotonic, if now is.
func (r *limiters) age(now time.Time) time.Duration { return now.Sub(r.start) }

// of returns the limiter of a token. (A token's rate never changes.)
func (r *limiters) of(token string, rate store.Rate, now time.Time) *limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byToken[token]
	if l == nil {
		l = newLimiter(rate)
		r.byToken[token] = l
	}
	l.handed = r.age(now)
	return l
}

// prune forgets limiters that no lease can have and that owe nothing.
func (r *limiters) prune(now time.Time) {
	at := r.age(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at-r.pruned < pruneLimiters {
		return
	}
	r.pruned = at
	for token, l := range r.byToken {
		if at-l.handed >= limiterLife && l.idle(at) {
			delete(r.byToken, token)
		}
	}
}
