package token

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// revocations is the exact set of what is dead in one environment. Nothing is
// ever evicted from it; an entry goes only when nothing below its target can
// live any more.
//
// Readers compare one number. The generation rises after each change, so a
// lease that was found alive under the current generation is alive still, and
// the maps are consulted once per lease and change.
type revocations struct {
	generation atomic.Uint64

	mu      sync.RWMutex
	entries map[target]int64 // the number below which the target is dead; 0 for kinds without

	// due holds the entries that may go, by the minute of the monotonic clock
	// in which they may: a wall clock that jumps ahead must not make us forget.
	due    map[int64][]target
	start  time.Time
	pruned int64
}

type target struct {
	kind store.Kind
	id   string
}

func newRevocations(now time.Time) *revocations {
	r := &revocations{entries: make(map[target]int64), due: make(map[int64][]target), start: now}
	r.generation.Store(1) // a new lease has seen generation 0: it is judged first
	return r
}

// add enters revocations and then raises the generation. The other order would
// let a lease record the new generation while the old set was being read.
func (r *revocations) add(now time.Time, revs []store.Revocation) {
	r.mu.Lock()
	for i := range revs {
		rev := &revs[i]
		life := remembered(rev, now)
		if !rev.Expires.IsZero() && life <= 0 {
			continue
		}
		t := target{rev.Kind, rev.Target}
		r.entries[t] = max(r.entries[t], rev.Number)
		if !rev.Expires.IsZero() {
			minute := r.minute(now.Add(life)) + 1
			r.due[minute] = append(r.due[minute], t)
		}
	}
	r.mu.Unlock()
	r.generation.Add(1)
}

// remembered is how long a revocation that ends must be remembered: from when it
// was made, or from now if that is longer. Whoever made it may have had another
// clock, and one that was behind must not make it void.
func remembered(rev *store.Revocation, now time.Time) time.Duration {
	life := rev.Expires.Sub(now.Round(0))
	if !rev.At.IsZero() {
		life = max(life, rev.Expires.Sub(rev.At))
	}
	return life
}

// prune forgets what can no longer matter. It raises no generation: an entry
// that goes has no living token below it.
func (r *revocations) prune(now time.Time) {
	minute := r.minute(now)
	if minute <= r.pruned {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := r.pruned; m < minute; m++ {
		for _, t := range r.due[m] {
			delete(r.entries, t)
		}
		delete(r.due, m)
	}
	r.pruned = minute
}

func (r *revocations) minute(at time.Time) int64 { return int64(at.Sub(r.start) / time.Minute) }

func (r *revocations) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.entries)
}

// judge asks whether the lease is alive. The generation is loaded before the
// set is read and stored after: what is added meanwhile is seen next time.
func (r *revocations) judge(l *Lease) Verdict {
	generation := r.generation.Load()
	if l.generation.Load() == generation {
		return Live
	}
	verdict := r.consult(&l.Facts)
	if verdict == Live {
		l.generation.Store(generation)
	}
	return verdict
}

// consult looks everything up that the facts stand on. A killed key is dead
// whatever the number: who has stolen it writes the epochs of its tokens, and it
// never signs again.
func (r *revocations) consult(f *Facts) Verdict {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.named(store.KindToken, f.ID) || r.named(store.KindGrant, f.Grant) ||
		r.above(store.KindPrincipal, f.Subject, f.Epoch) ||
		r.above(store.KindClient, f.Client, f.Epoch) ||
		r.named(store.KindKey, f.KeyID) {
		return Revoked
	}
	for _, account := range f.Accounts {
		if r.above(store.KindAccount, account, f.Epoch) {
			return Revoked
		}
	}
	if r.above(store.KindRights, f.Subject, f.Rights) ||
		r.above(store.KindClientRights, f.Client, f.Rights) {
		return RightsChanged
	}
	// More rights refuse nobody. What a signed token says stays true; of an opaque
	// one it is known too little, until it is looked up.
	if f.Class != ClassAccess && r.given(f) > f.Rights {
		return Stale
	}
	return Live
}

// given is the highest number by which something was given to the parties.
func (r *revocations) given(f *Facts) int64 {
	return max(r.entries[target{store.KindRightsGiven, f.Subject}], r.entries[target{store.KindClientRightsGiven, f.Client}])
}

// behind reports whether something was given since the lease was looked up.
func (r *revocations) behind(l *Lease) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.given(&l.Facts) > max(l.Rights, l.renewed.Load())
}

func (r *revocations) named(kind store.Kind, id string) bool {
	_, dead := r.entries[target{kind, id}]
	return dead
}

func (r *revocations) above(kind store.Kind, id string, number int64) bool {
	return r.entries[target{kind, id}] > number
}
