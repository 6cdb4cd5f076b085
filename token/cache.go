package token

import (
	"fmt"

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
type cache struct {
	leases *ristretto.Cache[string, *Lease]
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
	lease, found := c.leases.Get(raw[len(raw)-keyBytes:])
	if !found || lease.raw != raw {
		return nil
	}
	return lease
}

// put has no time to live: a lease knows its age, and a cache that looks at the
// clock costs each hit as much as the look-up itself. What has expired is evicted
// like anything else that is not asked for.
func (c *cache) put(lease *Lease) {
	key := lease.raw[len(lease.raw)-keyBytes:]
	c.leases.Set(key, lease, int64(len(lease.raw)+leaseOverhead))
}

func (c *cache) close() { c.leases.Close() }
