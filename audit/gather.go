package audit

import (
	"sync"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// maxKinds is how many different events a window has at most.
	maxKinds = 1000

	// refusalsPerWindow is how many different refusals each window adds to what
	// may be written, after a burst of maxKinds. A flood from many addresses so
	// adds some 5 KB a second to the database, however long it lasts.
	refusalsPerWindow = 20
)

// others is the actor and target of a row that sums up what there was no room
// for.
const others = "others"

// Gatherer counts events that are alike, so that a flood of them becomes a few
// rows. It is for what changes nothing: refusals and sign-ins. Whoever empties
// it once a second loses one second of them if the process is killed. It is safe
// for concurrent use.
type Gatherer struct {
	mu     sync.Mutex
	kinds  map[kind]int // index in events
	events []store.Event
	rest   map[kind]int // index in sums
	sums   []store.Event
	room   int // for different refusals
}

// kind is what events that are counted together have in common.
type kind struct {
	environment                                              store.Environment
	actor, action, target, subject, outcome, reason, address string
}

// NewGatherer returns an empty Gatherer.
func NewGatherer() *Gatherer {
	return &Gatherer{kinds: map[kind]int{}, rest: map[kind]int{}, room: maxKinds}
}

// Add counts an event. Time and request id are those of the first of its kind.
// Nothing in it may be a text that strangers choose, but for the address.
func (g *Gatherer) Add(e store.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(e, e.Outcome != outcomeOK)
}

// outcomeOK is the outcome of what was not refused.
const outcomeOK = "ok"

func (g *Gatherer) add(e store.Event, limited bool) {
	e.Count = max(e.Count, 1)
	k := kind{e.Environment, e.Actor, e.Action, e.Target, e.Subject, e.Outcome, e.Reason, e.Address}
	if i, known := g.kinds[k]; known {
		g.events[i].Count += e.Count
		return
	}
	if len(g.events) < maxKinds && (!limited || g.room > 0) {
		if limited {
			g.room--
		}
		g.kinds[k] = len(g.events)
		g.events = append(g.events, e)
		return
	}
	k = kind{environment: e.Environment, action: e.Action, outcome: e.Outcome}
	if i, known := g.rest[k]; known {
		g.sums[i].Count += e.Count
		return
	}
	g.rest[k] = len(g.sums)
	g.sums = append(g.sums, store.Event{
		Environment: e.Environment, At: e.At, Actor: others, Action: e.Action, Target: others,
		Outcome: e.Outcome, Count: e.Count,
	})
}

// Take returns what was gathered and begins the next window.
func (g *Gatherer) Take() []store.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	gathered := append(g.events, g.sums...)
	g.kinds, g.rest = map[kind]int{}, map[kind]int{}
	g.events, g.sums = nil, nil
	g.room = min(maxKinds, g.room+refusalsPerWindow)
	return gathered
}

// Restore puts back what Take returned and could not be written.
func (g *Gatherer) Restore(events []store.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range events {
		g.add(e, false)
	}
}
