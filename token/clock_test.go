package token

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// hands are those of a machine's two clocks.
type hands struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func (h *hands) read() (time.Time, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall, h.elapsed
}

// move lets time pass by the monotonic clock, and lets the wall clock move by
// something else.
func (h *hands) move(elapsed, wall time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.elapsed = h.wall.Add(wall), h.elapsed+elapsed
}

func TestSteadyClockIsNeverSetBack(t *testing.T) {
	h := &hands{wall: noon, elapsed: 5 * time.Hour} // a machine that had been on for a while
	clock := newSteadyClock(h.read)
	for _, step := range []struct {
		what          string
		elapsed, wall time.Duration
		now, behind   time.Duration // since noon
	}{
		{"both go on", time.Minute, time.Minute, time.Minute, 0},
		{"set back by an hour", 0, -time.Hour, time.Minute, time.Hour},
		{"both go on", time.Minute, time.Minute, 2 * time.Minute, time.Hour},
		{"set forward by half of it", 0, 30 * time.Minute, 2 * time.Minute, 30 * time.Minute},
		{"jumps ahead", 0, 2 * time.Hour, 92 * time.Minute, 0},
		{"suspended: only the wall clock goes on", 0, 3 * time.Hour, 272 * time.Minute, 0},
		{"set back by a second", time.Second, 0, 272*time.Minute + time.Second, time.Second},
	} {
		h.move(step.elapsed, step.wall)
		now, behind := clock.look()
		if !now.Equal(noon.Add(step.now)) || behind != step.behind {
			t.Errorf("%s: %s, behind %s; want %s, %s", step.what, now.Sub(noon), behind, step.now, step.behind)
		}
	}
}

// By the monotonic clock alone time passes exactly, and a wall clock that jumps
// ahead is seen a millisecond of it later.
func TestSteadyClockAtAGlance(t *testing.T) {
	h := &hands{wall: noon, elapsed: time.Hour}
	clock := newSteadyClock(h.read)
	clock.run = func() time.Duration { _, elapsed := h.read(); return elapsed }
	clock.look()
	for _, step := range []struct {
		what          string
		elapsed, wall time.Duration
		now           time.Duration // since noon
	}{
		{"both go on", glance / 2, glance / 2, glance / 2},
		{"jumps ahead: not seen yet", glance / 4, time.Hour, glance * 3 / 4},
		{"seen", glance / 4, glance / 4, time.Hour + glance*3/4},
		{"set back", glance / 2, -2 * time.Hour, time.Hour + glance*5/4},
		{"still so", glance, glance, time.Hour + glance*9/4},
	} {
		h.move(step.elapsed, step.wall)
		if now := clock.now(); !now.Equal(noon.Add(step.now)) {
			t.Errorf("%s: %s, want %s", step.what, now.Sub(noon), step.now)
		}
	}
}

func TestSteadyClockGoesByTheSystemsOne(t *testing.T) {
	clock := systemClock()
	before := time.Now().Round(0)
	now, behind := clock.look()
	if after := time.Now().Round(0); now.Before(before) || now.After(after.Add(time.Second)) || behind > time.Second {
		t.Errorf("%v, behind %v, is not between %v and %v", now, behind, before, after)
	}
}

// What a step of the clock does to tokens, whether they are cached or not.
func TestClockSteps(t *testing.T) {
	const life = time.Hour // of openNode's access tokens
	refused := func(t *testing.T, n *node, raw string, want Reason) {
		t.Helper()
		var invalid *Invalid
		if _, err := n.Check(raw); !errors.As(err, &invalid) || invalid.Reason != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	lives := func(t *testing.T, n *node, what, raw string) {
		t.Helper()
		for _, where := range []string{"cached", "proven anew"} {
			if got := n.judge(t, raw); got != Live {
				t.Errorf("%s, %s: %s", what, where, got)
			}
			n.loseCache()
		}
	}
	for name, test := range map[string]func(*testing.T, *node, *hands){
		"set back: what has expired stays so": func(t *testing.T, n *node, h *hands) {
			raw := n.access(t).Raw
			n.judge(t, raw)
			h.move(life, life)
			h.move(0, -30*time.Minute)
			if got := n.judge(t, raw); got != Expired {
				t.Errorf("cached: %s", got)
			}
			n.loseCache()
			refused(t, n, raw, ReasonExpired)
		},
		"set back: what has not expired lives, and what is new": func(t *testing.T, n *node, h *hands) {
			old := n.access(t).Raw
			h.move(time.Minute, -time.Hour)
			lives(t, n, "a token from before", old)
			lives(t, n, "a token from after", n.access(t).Raw)
		},
		"set back: a token lives no longer": func(t *testing.T, n *node, h *hands) {
			raw := n.access(t).Raw
			h.move(0, -10*time.Hour)
			h.move(life-time.Second, life-time.Second)
			lives(t, n, "a second before its end", raw)
			h.move(time.Second, time.Second)
			refused(t, n, raw, ReasonExpired)
		},
		"ahead: tokens end, new ones live": func(t *testing.T, n *node, h *hands) {
			raw := n.access(t).Raw
			n.judge(t, raw)
			h.move(0, life)
			if got := n.judge(t, raw); got != Expired {
				t.Errorf("cached: %s", got)
			}
			n.loseCache()
			refused(t, n, raw, ReasonExpired)
			lives(t, n, "a token from after", n.access(t).Raw)
		},
		"ahead by days and back again: what is revoked stays so": func(t *testing.T, n *node, h *hands) {
			dead := n.access(t)
			n.revoke(t, store.KindToken, dead.ID)
			h.move(time.Minute, 100*24*time.Hour)
			n.revoked.prune(n.Now())
			h.move(time.Minute, -100*24*time.Hour)
			n.loseCache()
			refused(t, n, dead.Raw, ReasonExpired)
		},
		"set back by days: a revocation holds, whoever's clock it has": func(t *testing.T, n *node, h *hands) {
			raw := n.access(t)
			h.move(0, -100*24*time.Hour)
			wall, _ := h.read()
			n.Apply([]store.Revocation{{Environment: store.Sandbox, Kind: store.KindToken, Target: raw.ID,
				At: wall, Expires: wall.Add(n.Retention())}})
			h.move(life-time.Second, life-time.Second)
			n.revoked.prune(n.Now())
			if got := n.judge(t, raw.Raw); got != Revoked {
				t.Errorf("judged %s", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hands{wall: time.Now().Round(0)}
			test(t, openNodeAt(t, newSteadyClock(h.read)), h)
		})
	}
}
