package token

import (
	"fmt"
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
// Before it lies a small table of the leases that were asked for last, one per
// slot: a hit there needs no hash, no lock and no bookkeeping, which halves the
// price of a token that is used all the time.
type cache struct {
	latest [latestSlots]atomic.Pointer[Lease]
	leases *ristretto.Cache[string, *Lease]
}

// latestSlots is a power of two. The table holds some megabytes at most.
const (
	latestBits  = 12
	latestSlots = 1 << latestBits
)

// slot is where a token belongs in the table. Its last bytes are random; the
// multiplication spreads what their alphabet leaves out.
func slot(raw string) uint64 {
	const golden = 0x9e3779b97f4a7c15
	tail := raw[len(raw)-8:]
	word := uint64(tail[0]) | uint64(tail[1])<<8 | uint64(tail[2])<<16 | uint64(tail[3])<<24 |
		uint64(tail[4])<<32 | uint64(tail[5])<<40 | uint64(tail[6])<<48 | uint64(tail[7])<<56
	return word * golden >> (64 - latestBits)
}

func newCache(bytes int64) (*cache, error) {
	leases, err := ristretto.NewCache(&ristretto.Config[string, *Lease]{
		NumCounters:        max(bytes/1024*10, 1000),
		MaxCost:            bytes,
		BufferItems:        64,
		IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, fmt.Errorf("token cache of %d bytes: %w", bytes, err)
	}
	return &cache{leases: leases}, nil
}

// get returns the lease of exactly this token. Who reaches the comparison has
// the key right already, so it need not take constant time.
func (c *cache) get(raw string) *Lease {
	if len(raw) < keyBytes {
		return nil
	}
	latest := &c.latest[slot(raw)]
	if lease := latest.Load(); lease != nil && lease.raw == raw {
		return lease
	}
	lease, found := c.leases.Get(raw[len(raw)-keyBytes:])
	if !found || lease.raw != raw {
		return nil
	}
	latest.Store(lease)
	return lease
}

// put has no time to live: a lease knows its age, and a cache that looks at the
// clock costs each hit as much as the look-up itself. What has expired is evicted
// like anything else that is not asked for.
func (c *cache) put(lease *Lease) {
	key := lease.raw[len(lease.raw)-keyBytes:]
	c.latest[slot(lease.raw)].Store(lease)
	c.leases.Set(key, lease, int64(len(lease.raw)+leaseOverhead))
}

func (c *cache) close() { c.leases.Close() }
