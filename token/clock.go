package token

import (
	"sync/atomic"
	"time"
)

// steadyClock is a wall clock that is never set back: it follows the system's
// when that jumps ahead (a machine was suspended, or a clock was behind), and
// goes on by itself, as fast as the monotonic clock, when that is set back. So
// what has expired stays so for the life of the process, whatever is in a cache,
// and what is issued now is not judged by another hour.
//
// It runs ahead of a system clock that was set back. Its price: if the hour was
// wrong before and is right now, tokens say the wrong one until a restart.
type steadyClock struct {
	read  func() (wall time.Time, elapsed time.Duration)
	start int64        // nanoseconds since 1970
	ahead atomic.Int64 // how many the wall clock has been ahead of start + elapsed

	// run reads the monotonic clock alone, at half the price of both; nil: there
	// is no such reading. looked is what it said when the wall clock was read last.
	run    func() time.Duration
	looked atomic.Int64
}

// glance is for how long now goes by the monotonic clock alone: a wall clock that
// jumps ahead is seen that much later. Time that just passes is exact.
const glance = time.Millisecond

// steady makes a clock of one that may be set back. What tells is the monotonic
// reading of its instants; without one it is taken as it is.
func steady(now func() time.Time) *steadyClock {
	begin := now()
	return newSteadyClock(func() (time.Time, time.Duration) {
		t := now()
		return t.Round(0), t.Sub(begin)
	})
}

// systemClock is the clock of this machine.
func systemClock() *steadyClock {
	begin := time.Now()
	c := newSteadyClock(func() (time.Time, time.Duration) {
		t := time.Now()
		return t.Round(0), t.Sub(begin)
	})
	c.run = func() time.Duration { return time.Since(begin) }
	return c
}

func newSteadyClock(read func() (wall time.Time, elapsed time.Duration)) *steadyClock {
	wall, elapsed := read()
	return &steadyClock{read: read, start: wall.UnixNano() - int64(elapsed)}
}

// now returns an instant without a monotonic reading: the difference of two is
// at least what has elapsed between them.
func (c *steadyClock) now() time.Time {
	if c.run != nil {
		elapsed := int64(c.run())
		if elapsed-c.looked.Load() < int64(glance) {
			return time.Unix(0, c.start+elapsed+c.ahead.Load())
		}
	}
	now, _ := c.look()
	return now
}

// look also returns how far the wall clock is behind.
func (c *steadyClock) look() (now time.Time, behind time.Duration) {
	wall, elapsed := c.read()
	c.looked.Store(int64(elapsed))
	jumped := wall.UnixNano() - c.start - int64(elapsed)
	ahead := c.ahead.Load()
	for jumped > ahead {
		if c.ahead.CompareAndSwap(ahead, jumped) {
			return wall, 0
		}
		ahead = c.ahead.Load()
	}
	behind = time.Duration(ahead - jumped)
	return wall.Add(behind), behind
}
