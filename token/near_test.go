package token

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func rawOf(n int) string { return fmt.Sprintf("eyJhbGciOiJFUzI1NiJ9.payload.%040d", n) }

func TestNearTable(t *testing.T) {
	const size = 1024
	n := newNear(size)
	leases := make([]*Lease, size/2)
	for i := range leases {
		leases[i] = leaseOf(rawOf(i), Facts{}, noon)
		n.put(leases[i], markOf(leases[i].raw))
	}
	found := 0
	for _, l := range leases {
		switch got := n.get(l.raw, markOf(l.raw)); got {
		case l:
			found++
		case nil:
		default:
			t.Fatalf("%s: the lease of %s", l.raw, got.raw)
		}
	}
	if found < len(leases)*9/10 { // a set may be full by chance
		t.Errorf("%d of %d found in a table that is half full", found, len(leases))
	}
	last := leases[len(leases)-1]
	mark := markOf(last.raw)
	fresh := leaseOf(last.raw, Facts{Subject: "fresh"}, noon)
	if n.replace(fresh, mark); n.get(last.raw, mark) != fresh {
		t.Error("an older lease of the same token stays")
	}
	if n.forget(last); n.get(last.raw, mark) != fresh {
		t.Error("an older lease that goes takes the new one with it")
	}
	if n.forget(fresh); n.get(last.raw, mark) != nil {
		t.Error("not forgotten")
	}
	if n.replace(fresh, mark); n.get(last.raw, mark) != nil {
		t.Error("replaced what was not there")
	}
}

// Two tokens with the same bits are told apart, also when both are there.
func TestNearTableOfOtherTokenWithTheSameBits(t *testing.T) {
	n := newNear(4)
	alice, mallory := leaseOf("alice."+rawOf(1), Facts{}, noon), "mallory."+rawOf(1)
	n.put(alice, markOf(alice.raw))
	if markOf(mallory) != markOf(alice.raw) {
		t.Fatal("the bits differ")
	}
	if got := n.get(mallory, markOf(mallory)); got != nil {
		t.Errorf("got the lease of %s", got.raw)
	}
	other := leaseOf(mallory, Facts{}, noon)
	n.put(other, markOf(mallory))
	if got := n.get(alice.raw, markOf(alice.raw)); got != nil && got != alice {
		t.Errorf("got the lease of %s", got.raw)
	}
	if n.get(mallory, markOf(mallory)) != other {
		t.Error("the one that came last is not found")
	}
}

// Writers that meet in one set may cost a hit and never mix two tokens up.
func TestNearTableUnderManyWriters(t *testing.T) {
	n := newNear(8)
	leases := make([]*Lease, 64)
	for i := range leases {
		leases[i] = leaseOf(rawOf(i), Facts{}, noon)
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 2000 {
				l := leases[(i*7+w*13)%len(leases)]
				n.put(l, markOf(l.raw))
				other := leases[(i*5+w)%len(leases)]
				if got := n.get(other.raw, markOf(other.raw)); got != nil && got != other {
					t.Errorf("%s: the lease of %s", other.raw, got.raw)
				}
				n.forget(l)
			}
		})
	}
	all.Wait()
}

// What ristretto evicts is found nowhere: the bound of the cache holds for all.
func TestEvictedLeasesAreForgotten(t *testing.T) {
	c, err := newCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	long := strings.Repeat("x", 4096)
	fit := (1 << 20) / (len(long+rawOf(0)) + leaseOverhead)
	for i := range 20 * fit {
		l := leaseOf(long+rawOf(i), Facts{}, noon)
		c.put(l)
		c.leases.Wait()
		c.latest[slot(markOf(l.raw))].Store(nil)
		c.get(l.raw) // from ristretto, if that took it
	}
	held := 0
	for s := range c.near.sets {
		for w := range ways {
			if c.near.sets[s].leases[w].Load() != nil {
				held++
			}
		}
	}
	if held > fit || held == 0 {
		t.Errorf("%d leases in a table with room for more, want some, and %d at most", held, fit)
	}
}
