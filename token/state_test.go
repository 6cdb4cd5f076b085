package token

import (
	"testing"
	"time"
)

// When keys end is known without asking the store, in every state of their lives.
func TestKeyEnds(t *testing.T) {
	n := openNode(t)
	ends := func(id string) KeyEnd { return n.KeyEnds()[id] }
	first := n.SignerID()
	if got := n.KeyEnds(); first == "" || len(got) != 0 {
		t.Errorf("%q signs until it is rotated by command, and ends %v", first, got)
	}
	const every = 90 * 24 * time.Hour
	n.set(t, func(s *Settings) { s.KeyRotation = every })
	began := n.clock.now()
	if got := ends(first); got.State != KeySigning || got.Ends.After(began.Add(every)) || got.Ends.Before(began.Add(every-time.Minute)) {
		t.Errorf("the one that signs: %+v at %s", got, began)
	}

	next := n.rotate(t, false)
	switchOver := ends(first).Ends
	if got := ends(first); got.State != KeySigning || switchOver.Sub(began) > PublishAhead+time.Minute {
		t.Errorf("the one that signs, with a successor: %+v", got)
	}
	if got := ends(next); got.State != KeyFuture || got.Ends.Sub(switchOver) != every {
		t.Errorf("the successor: %+v", got)
	}
	n.clock.advance(PublishAhead)
	if got := ends(first); n.SignerID() != next || got.State != KeyVerifying || got.Ends.Sub(switchOver) != n.Retention() {
		t.Errorf("%s signs; the one before: %+v", n.SignerID(), got)
	}
	n.clock.advance(n.Retention() + time.Hour)
	n.keep(t)
	if got := ends(first); got.State != KeyRetired || got.Ends.After(n.clock.now()) {
		t.Errorf("the retired one: %+v", got)
	}
	n.killKey(t, next)
	if got, there := n.KeyEnds()[next]; there || n.SignerID() == next {
		t.Errorf("one that was killed: %+v; %s signs", got, n.SignerID())
	}
}

func TestCacheUse(t *testing.T) {
	n := openNode(t)
	before, limit := n.CacheUse()
	raw := n.access(t).Raw
	if _, err := n.Check(raw); err != nil {
		t.Fatal(err)
	}
	n.settings.Load().cache.leases.Wait()
	after, _ := n.CacheUse()
	if before != 0 || limit != n.Settings().CacheBytes || after < int64(len(raw)) || after > int64(len(raw))+4*leaseOverhead {
		t.Errorf("%d, then %d of %d bytes for a token of %d", before, after, limit, len(raw))
	}
}
