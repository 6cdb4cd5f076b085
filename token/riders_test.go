package token

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// exchange is a rider that records what the sweep does to it.
type exchange struct {
	Ride
	stream, forbidden atomic.Bool
	cut               atomic.Pointer[Cause]
}

func (e *exchange) Permitted() bool { return !e.forbidden.Load() }
func (e *exchange) Streaming() bool { return e.stream.Load() }
func (e *exchange) Cut(c Cause)     { e.cut.Store(&c) }

func (e *exchange) Describe() (Description, bool) {
	return Description{Method: "GET", Streaming: e.stream.Load()}, true
}

func (e *exchange) cause() Cause {
	if c := e.cut.Load(); c != nil {
		return *c
	}
	return ""
}

// clock is a time that only a test moves.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := new(clock)
	start := time.Now()
	c.at.Store(&start)
	return c
}

func (c *clock) now() time.Time { return *c.at.Load() }
func (c *clock) advance(d time.Duration) {
	next := c.now().Add(d)
	c.at.Store(&next)
}

func TestSweepCutsWhoLostTheRight(t *testing.T) {
	clock := newClock()
	a := NewAuthority(store.Sandbox, clock.now)
	facts := factsOf(7, 3)
	facts.Expires = clock.now().Add(time.Hour)
	kill := func(kind store.Kind, target string) func(*exchange) {
		return func(*exchange) {
			a.Apply([]store.Revocation{{Environment: store.Sandbox, Kind: kind, Target: target, Number: 99}})
		}
	}
	for _, test := range []struct {
		name   string
		change func(*exchange)
		stream bool
		want   Cause
	}{
		{"a revoked grant, stream", kill(store.KindGrant, "grant-1"), true, CauseRevoked},
		{"a revoked grant, request in flight", kill(store.KindGrant, "grant-1"), false, ""},
		{"another grant", kill(store.KindGrant, "grant-2"), true, ""},
		{"rights taken away, stream", kill(store.KindRights, "alice"), true, CauseRights},
		{"forbidden by a new policy, stream", func(e *exchange) { e.forbidden.Store(true); a.Sweep() }, true, CauseForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			a.revoked = newRevocations(clock.now())
			e := new(exchange)
			e.stream.Store(test.stream)
			a.Join(&e.Ride, e, leaseOf("raw", facts, clock.now()))
			defer a.Leave(&e.Ride)
			test.change(e)
			if got := e.cause(); got != test.want {
				t.Errorf("cut with %q, want %q", got, test.want)
			}
		})
	}
}

func TestRequestInFlightHasItsGrace(t *testing.T) {
	clock := newClock()
	a := NewAuthority(store.Sandbox, clock.now)
	facts := factsOf(0, 0)
	facts.Expires = clock.now().Add(time.Minute)
	e := new(exchange)
	a.Join(&e.Ride, e, leaseOf("raw", facts, clock.now()))
	defer a.Leave(&e.Ride)

	clock.advance(time.Minute)
	a.Sweep()
	clock.advance(CutGrace - time.Millisecond)
	a.Sweep()
	if e.cause() != "" {
		t.Fatal("cut inside the grace")
	}
	clock.advance(time.Millisecond)
	a.Sweep()
	if e.cause() != CauseExpired {
		t.Fatalf("after the grace: %q", e.cause())
	}
}

// A request that turns into a stream after it lost its right has no grace left
// to claim.
func TestDoomedRequestThatBecomesAStreamIsCutAtOnce(t *testing.T) {
	clock := newClock()
	a := NewAuthority(store.Sandbox, clock.now)
	e := new(exchange)
	a.Join(&e.Ride, e, nil)
	defer a.Leave(&e.Ride)
	e.forbidden.Store(true)
	a.Sweep()
	e.stream.Store(true)
	a.Sweep()
	if e.cause() != CauseForbidden {
		t.Errorf("cut with %q", e.cause())
	}
}

func TestRevocationOfTheOtherEnvironmentChangesNothing(t *testing.T) {
	clock := newClock()
	a := NewAuthority(store.Sandbox, clock.now)
	facts := factsOf(0, 0)
	facts.Expires = clock.now().Add(time.Hour)
	lease := leaseOf("raw", facts, clock.now())
	a.Apply([]store.Revocation{{Environment: store.Production, Kind: store.KindGrant, Target: "grant-1"}})
	if got := a.Judge(lease, clock.now()); got != Live {
		t.Errorf("judged %s", got)
	}
}

// Riders come and go while sweeps run: nobody is lost, and after Leave nobody is
// touched (the race detector watches the plain field).
func TestJoinAndLeaveBesideSweeps(t *testing.T) {
	a := NewAuthority(store.Sandbox, time.Now)
	done := make(chan struct{})
	var sweeping, riding sync.WaitGroup
	sweeping.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				a.CutAll(CauseShutdown)
				a.Sweep()
				a.UnderWay(func(*Facts) bool { return true })
			}
		}
	})
	for range 4 {
		riding.Go(func() {
			e := new(plainRider)
			for range 2000 {
				a.Join(&e.Ride, e, nil)
				a.Leave(&e.Ride)
				e.touched = false // a data race if a sweep still held it
			}
		})
	}
	riding.Wait()
	close(done)
	sweeping.Wait()
	if n := a.Riders(); n != 0 {
		t.Errorf("%d riders left", n)
	}
}

type plainRider struct {
	Ride
	touched bool
}

func (r *plainRider) Permitted() bool { r.touched = true; return true }
func (r *plainRider) Streaming() bool { return true }
func (r *plainRider) Cut(Cause)       { r.touched = true }
func (r *plainRider) Describe() (Description, bool) {
	r.touched = true
	return Description{}, true
}

func BenchmarkJoinLeave(b *testing.B) {
	a := NewAuthority(store.Sandbox, time.Now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := new(exchange)
		for pb.Next() {
			a.Join(&e.Ride, e, nil)
			a.Leave(&e.Ride)
		}
	})
}

func BenchmarkSweep10000Riders(b *testing.B) {
	a := NewAuthority(store.Sandbox, time.Now)
	facts := factsOf(0, 0)
	facts.Expires = time.Now().Add(time.Hour)
	lease := leaseOf("raw", facts, time.Now())
	for range 10_000 {
		e := new(exchange)
		a.Join(&e.Ride, e, lease)
	}
	for b.Loop() {
		a.Sweep()
	}
}
