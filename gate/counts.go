package gate

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// The words for what a gate decides, in metrics and logs.
const (
	Allow = "allow"
	Deny  = "deny"
	Fault = "error" // nothing is known about the token
)

// ended is the word for a stream that nobody cut.
const ended = "ended"

// StreamEnds are the words for why a stream has ended.
func StreamEnds() []string {
	words := []string{ended}
	for _, cause := range causes {
		words = append(words, eventOf(cause))
	}
	return words
}

var causes = []token.Cause{token.CauseExpired, token.CauseRevoked, token.CauseRights, token.CauseForbidden, token.CauseShutdown, causeBody}

// lanes is on how many cache lines what is counted at every request is spread. An
// exchange keeps its lane, and pools keep exchanges near a processor.
const lanes = 8

// Counts counts what the gates of one environment do. It outlives them, so that
// what was counted does not begin anew with each configuration. It is safe for
// concurrent use.
//
// A request that is let through costs two additions to a line of memory that other
// processors mostly leave alone, and neither a lock nor an allocation. A refusal
// takes a lock: it costs more than that anyway.
type Counts struct {
	turn   atomic.Uint32 // which lane the next exchange gets
	tokens [lanes]struct {
		hits, misses atomic.Uint64
		_            [64 - 16]byte
	}

	// forgotten rises when routes were forgotten: a book from before may lead to
	// counters that nobody reads any more.
	forgotten atomic.Uint64

	mu      sync.Mutex
	allowed map[allowance]*allowances
	refused map[DecisionKind]uint64

	streams atomic.Int64
	ends    []atomic.Uint64 // by the place in StreamEnds
}

// allowance is what requests that were let through have in common.
type allowance struct{ route, reason string }

// allowances counts them, each lane on a line of its own.
type allowances [lanes]struct {
	n atomic.Uint64
	_ [64 - 8]byte
}

// DecisionKind is what requests that are counted together have in common: words of
// ours and the id of a route.
type DecisionKind struct {
	Route    string // empty: none matched
	Decision string // Allow, Deny or Fault
	Reason   string // of Decision or Refusal
}

// NewCounts returns Counts of nothing.
func NewCounts() *Counts {
	return &Counts{allowed: map[allowance]*allowances{}, refused: map[DecisionKind]uint64{}, ends: make([]atomic.Uint64, len(StreamEnds()))}
}

// Decisions returns how many decisions of each kind there were.
func (c *Counts) Decisions() map[DecisionKind]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.refused)
	for kind, counted := range c.allowed {
		var n uint64
		for i := range counted {
			n += counted[i].n.Load()
		}
		if n > 0 { // it is made when a route is asked for, before anybody counts
			all[DecisionKind{kind.route, Allow, kind.reason}] = n
		}
	}
	return all
}

// Tokens returns how many tokens were found in the cache, and how many were not.
func (c *Counts) Tokens() (hits, misses uint64) {
	for i := range c.tokens {
		hits += c.tokens[i].hits.Load()
		misses += c.tokens[i].misses.Load()
	}
	return hits, misses
}

// Streams returns how many streams are open.
func (c *Counts) Streams() int64 { return c.streams.Load() }

// StreamsEnded returns how many streams have ended, by the words of StreamEnds.
func (c *Counts) StreamsEnded() map[string]uint64 {
	all := map[string]uint64{}
	for i, word := range StreamEnds() {
		all[word] = c.ends[i].Load()
	}
	return all
}

// Forget forgets what was counted of the routes that keep does not want.
func (c *Counts) Forget(keep func(route string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.allowed)
	maps.DeleteFunc(c.allowed, func(kind allowance, _ *allowances) bool { return !keep(kind.route) })
	maps.DeleteFunc(c.refused, func(kind DecisionKind, _ uint64) bool { return kind.Route != "" && !keep(kind.Route) })
	if len(c.allowed) < before {
		c.forgotten.Add(1)
	}
}

// Refuse counts a request that was not let through.
func (c *Counts) Refuse(f *Refusal) {
	kind := DecisionKind{Decision: f.Decision(), Reason: f.Reason}
	if f.Route != nil {
		kind.Route = f.Route.ID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[kind]++
}

func (c *Counts) countersOf(kind allowance) *allowances {
	c.mu.Lock()
	defer c.mu.Unlock()
	counters := c.allowed[kind]
	if counters == nil {
		counters = new(allowances)
		c.allowed[kind] = counters
	}
	return counters
}

// book leads from the routes of one revision of a policy to their counters, without
// looking anything up by name.
type book struct {
	forgotten uint64
	pages     []page
}

type page struct {
	route    *policy.Route
	counters atomic.Pointer[allowances] // nil: never asked for
}

func newBook(p *policy.Policy, forgotten uint64) *book {
	b := &book{forgotten: forgotten}
	if p != nil {
		b.pages = make([]page, len(p.Routes()))
		for i, route := range p.Routes() {
			b.pages[i].route = route
		}
	}
	return b
}

// allow counts a request that is let through.
func (g *Gate) allow(x *exchange, d *Decision) {
	forgotten := g.counts.forgotten.Load()
	b := g.book.Load()
	if b == nil || b.forgotten != forgotten || !b.has(d.Route) {
		b = newBook(g.policy(), forgotten)
		g.book.Store(b)
	}
	if !b.has(d.Route) { // the policy was swapped in this moment
		g.counts.countersOf(allowance{d.Route.ID, d.Reason})[x.lane].n.Add(1)
		return
	}
	at := &b.pages[d.Route.Index].counters
	counters := at.Load()
	if counters == nil {
		counters = g.counts.countersOf(allowance{d.Route.ID, d.Reason})
		at.Store(counters)
	}
	counters[x.lane].n.Add(1)
}

func (b *book) has(route *policy.Route) bool {
	return route.Index < len(b.pages) && b.pages[route.Index].route == route
}

// streamBegan and streamEnded count a stream and tell who wants to know.
func (g *Gate) streamBegan(o *response) {
	g.counts.streams.Add(1)
	if g.streams != nil {
		g.streams(o.request, StreamEvent{Decision: o.decision})
	}
}

func (g *Gate) streamEnded(o *response, cause token.Cause) {
	why := ended
	if cause != "" {
		why = eventOf(cause)
	}
	g.counts.streams.Add(-1)
	at := max(0, slices.Index(StreamEnds(), why)) // a word that is missing there counts as ended
	g.counts.ends[at].Add(1)
	if g.streams != nil {
		g.streams(o.request, StreamEvent{Decision: o.decision, Ended: why, Lasted: g.now().Sub(o.began)})
	}
}
