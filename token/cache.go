package token

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
)

// keyBytes of a token's end serve as its cache key: part of a signature, or
// most of the random bits with the check. Short keys hash fast, and since a hit
// is compared as a whole, a collision costs a miss and never an identity.
const keyBytes = 32

// leaseOverhead is roughly what a lease weighs beside its token, in bytes.
const leaseOverhead = 512

// cache remembers the facts of tokens. It may drop, delay or resurrect entries
// as it likes (ristretto does all three under load): no one takes a value in it
// for a verdict.
//
// Ristretto keeps the bound and chooses what goes. Before it lie two tables: the
// leases that were asked for last, one per slot, which a token of which ristretto
// wants to know nothing is found in too; and a wider one with what ristretto holds.
// A hit there needs no hash, no lock and no bookkeeping.
type cache struct {
	latest [latestSlots]atomic.Pointer[Lease]
	near   near
	leases *ristretto.Cache[string, *Lease]
	shared shared
}

// latestSlots is a power of two. The table holds some megabytes at most.
const (
	latestBits  = 12
	latestSlots = 1 << latestBits
)

// slot is where a token belongs in the table of the latest.
func slot(mark uint64) uint64 { return mark >> (64 - latestBits) }

// typicalLease is what a token of ours counts for in the cache, in bytes.
const typicalLease = 1280

func newCache(bytes int64) (*cache, error) {
	c := &cache{near: newNear(bytes / typicalLease), shared: shared{seed: maphash.MakeSeed()}}
	var err error
	c.leases, err = ristretto.NewCache(&ristretto.Config[string, *Lease]{
		NumCounters:        max(bytes/1024*10, 1000),
		MaxCost:            bytes,
		BufferItems:        64,
		IgnoreInternalCost: true,
		OnEvict:            func(item *ristretto.Item[*Lease]) { c.near.forget(item.Value) },
	})
	if err != nil {
		return nil, fmt.Errorf("token cache of %d bytes: %w", bytes, err)
	}
	return c, nil
}

// get returns the lease of exactly this token. Who reaches the comparison has
// the key right already, so it need not take constant time.
func (c *cache) get(raw string) *Lease {
	if len(raw) < keyBytes {
		return nil
	}
	mark := markOf(raw)
	if lease := c.latest[slot(mark)].Load(); lease != nil && lease.raw == raw {
		return lease
	}
	if lease := c.near.get(raw, mark); lease != nil {
		if rand.Uint32()%told == 0 { //nolint:gosec // G404: chance enough for counting
			c.leases.Get(keyOf(raw)) // or it would take the token for one that nobody asks for
		}
		return lease
	}
	lease, found := c.leases.Get(keyOf(raw))
	if !found || lease.raw != raw {
		return nil
	}
	c.latest[slot(mark)].Store(lease)
	c.near.put(lease, mark)
	return lease
}

// told is how many hits in the near table ristretto is told of one of.
const told = 64

func keyOf(raw string) string { return raw[len(raw)-keyBytes:] }

// put has no time to live: a lease knows its age, and a cache that looks at the
// clock costs each hit as much as the look-up itself. What has expired is evicted
// like anything else that is not asked for.
func (c *cache) put(lease *Lease) {
	mark := markOf(lease.raw)
	c.latest[slot(mark)].Store(lease)
	c.near.replace(lease, mark)
	c.leases.Set(keyOf(lease.raw), lease, int64(len(lease.raw)+leaseOverhead))
}

func (c *cache) close() { c.leases.Close() }
