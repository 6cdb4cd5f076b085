package token

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Kinds of work that it takes to find out about a token, as metrics name them.
const (
	WorkVerify = "verify" // the signature of a signed one
	WorkLookup = "lookup" // the row of an opaque one
)

// turnPatience is how long a token waits for its turn, first come first served.
const turnPatience = time.Second

// Overloaded is the error for a token of which nothing was found out, because
// there was too much such work. It says nothing against the token, and is a
// store.ErrUnavailable to whoever does not ask further.
type Overloaded struct {
	Work string // WorkVerify or WorkLookup
	// Address tells that it is up to the address of who asks: too many tokens
	// came from there that were none of ours.
	Address    bool
	RetryAfter time.Duration
}

// Error is for logs.
func (e *Overloaded) Error() string {
	if e.Address {
		return "too many tokens from this address were not ours"
	}
	return "too much work of the kind " + e.Work
}

// Unwrap returns store.ErrUnavailable.
func (e *Overloaded) Unwrap() error { return store.ErrUnavailable }

// work is one kind of work, of which a few are done at a time: the rest of the
// machine is for requests whose token is known.
type work struct {
	name  string
	turns chan struct{}

	done, shed atomic.Uint64
}

func newWork(name string, atATime int) *work {
	return &work{name: name, turns: make(chan struct{}, atATime)}
}

// verifyAtATime and lookupAtATime are half the machine, and half the readers that
// a database has at least.
func verifyAtATime() int { return max(1, runtime.GOMAXPROCS(0)/2) }
func lookupAtATime() int { return max(2, runtime.GOMAXPROCS(0)/2) }

// enter waits for a turn. If it does not fail, leave must follow.
func (w *work) enter() error {
	select {
	case w.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(turnPatience)
	defer timer.Stop()
	select {
	case w.turns <- struct{}{}: // Go serves those who wait in their order
		return nil
	case <-timer.C:
		return w.refuse(false)
	}
}

func (w *work) leave() { <-w.turns }

// refuse counts what is not done.
func (w *work) refuse(address bool) error {
	w.shed.Add(1)
	return &Overloaded{Work: w.name, Address: address, RetryAfter: time.Second}
}

// WorkCount says how often a kind of work was done, and how often it was refused
// because there was too much of it, since the start.
type WorkCount struct{ Done, Shed uint64 }

// Work counts the work that tokens caused which were not in the cache.
func (a *Authority) Work() (verify, lookup WorkCount) {
	return a.verifying.count(), a.lookingUp.count()
}

func (w *work) count() WorkCount { return WorkCount{w.done.Load(), w.shed.Load()} }
