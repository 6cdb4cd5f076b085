package caddymodule

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// seen is what metrics say of one environment beside what its rooms know themselves.
// All kinds and words are there from the beginning, so nothing is locked.
type seen struct {
	decisions *gate.Counts
	took      map[string]*stopwatch // how long decisions took, by decision
	issued    map[string]*atomic.Uint64
	revoked   map[store.Kind]*atomic.Uint64
	reused    atomic.Uint64
	waiting   atomic.Int64 // since when a revocation waits to be put into effect, in Unix nanoseconds; 0: none does
}

// revocationKinds are those that metrics tell apart.
var revocationKinds = []store.Kind{
	store.KindToken, store.KindGrant, store.KindPrincipal, store.KindClient, store.KindAccount, store.KindKey,
	store.KindRights, store.KindClientRights, store.KindRightsGiven, store.KindClientRightsGiven,
}

func newSeen() *seen {
	s := &seen{
		decisions: gate.NewCounts(), took: map[string]*stopwatch{},
		issued: map[string]*atomic.Uint64{}, revoked: map[store.Kind]*atomic.Uint64{},
	}
	for _, decision := range []string{gate.Allow, gate.Deny, gate.Fault} {
		s.took[decision] = newStopwatch(checkBounds)
	}
	for _, grant := range issuer.Grants() {
		s.issued[grant] = new(atomic.Uint64)
	}
	for _, kind := range revocationKinds {
		s.revoked[kind] = new(atomic.Uint64)
	}
	return s
}

func (s *seen) tookFor(decision string, took time.Duration) { s.took[decision].note(took) }

func (s *seen) issuedFor(grant string) { s.issued[grant].Add(1) }

// staleness is since when a revocation waits to be put into effect.
func (s *seen) staleness(now time.Time) time.Duration {
	since := s.waiting.Load()
	if since == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, since)))
}

// takeEffect puts revocations into effect that were committed just now: nothing is
// acknowledged before it returns. It runs in the committer and must not wait.
func (rt *runtime) takeEffect(revs []store.Revocation) {
	now := time.Now().UnixNano()
	for i := range revs {
		if w := rt.worlds[revs[i].Environment]; w != nil {
			w.seen.waiting.Store(now)
		}
	}
	for _, w := range rt.worlds {
		w.authority.Apply(revs)
		w.seen.waiting.Store(0)
	}
	if j := rt.journal.Load(); j != nil {
		j.Append(revs)
	}
	for i := range revs {
		rev := &revs[i]
		if w := rt.worlds[rev.Environment]; w != nil && w.seen.revoked[rev.Kind] != nil {
			w.seen.revoked[rev.Kind].Add(1)
			if isReuse(rev) {
				w.seen.reused.Add(1)
			}
		}
		rt.events.revoked(rev)
	}
}

// isReuse reports whether something was revoked because a code or refresh token came
// back that had been used.
func isReuse(rev *store.Revocation) bool {
	return rev.Reason == store.ReasonCodeReplayed || rev.Reason == store.ReasonRefreshReused
}

// settled notes how a transaction has ended, and says so where the database was there
// and is not, or the other way round. It runs in the committer and must not wait.
func (rt *runtime) settled(commit time.Duration, err error) {
	if err == nil {
		rt.commits.note(commit)
	}
	if down := err != nil; rt.storeDown.Swap(down) != down {
		rt.events.store(err)
	}
}

// noticeSigners says which keys sign that did not a moment ago. Only the goroutine
// that watches calls it.
func (rt *runtime) noticeSigners(signers map[store.Environment]string) {
	for env, w := range rt.worlds {
		before, now := signers[env], w.authority.SignerID()
		signers[env] = now
		if before != "" && now != "" && before != now {
			rt.log.Load().Info("another key signs", zap.String("environment", string(env)), zap.String("key_id", now))
			rt.events.keyRotated(env, now)
		}
	}
}
