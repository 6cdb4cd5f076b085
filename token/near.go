package token

import (
	"math/bits"
	"sync/atomic"
)

// near is a table of leases that ristretto holds as well. Most tokens are found
// in it, by one cache line of its own instead of the dozen that ristretto's maps
// and locks touch. It is as wide as a processor's cache line: four ways, each with
// 64 bits of its token beside the lease, so that leases of others are not touched.
//
// Two writers at a time may leave one's bits beside the other's lease. As the
// whole token is compared, that is a miss, until somebody writes there again.
type near struct {
	shift uint8 // of the hash, to index sets
	sets  []nearSet
}

const ways = 4

type nearSet struct {
	marks  [ways]atomic.Uint64
	leases [ways]atomic.Pointer[Lease]
}

// newNear has room for n leases and as many again at most: in a set that is full
// they push each other out.
func newNear(n int64) near {
	size := max(1, bits.Len64(uint64(n/ways)))
	return near{shift: uint8(64 - size), sets: make([]nearSet, 1<<size)}
}

// markOf is 64 bits of a token. Its last bytes are random; the multiplication
// spreads what their alphabet leaves out.
func markOf(raw string) uint64 {
	const golden = 0x9e3779b97f4a7c15
	tail := raw[len(raw)-8:]
	word := uint64(tail[0]) | uint64(tail[1])<<8 | uint64(tail[2])<<16 | uint64(tail[3])<<24 |
		uint64(tail[4])<<32 | uint64(tail[5])<<40 | uint64(tail[6])<<48 | uint64(tail[7])<<56
	return word * golden
}

func (n *near) get(raw string, mark uint64) *Lease {
	set := &n.sets[mark>>n.shift]
	for i := range set.marks {
		if set.marks[i].Load() != mark {
			continue
		}
		if lease := set.leases[i].Load(); lease != nil && lease.raw == raw {
			return lease
		}
	}
	return nil
}

// put enters a lease: in the place of the same token's, in a free one, or in one
// that its bits choose.
func (n *near) put(lease *Lease, mark uint64) {
	set := &n.sets[mark>>n.shift]
	way, found := int(mark%ways), false
	for i := range set.marks {
		if set.marks[i].Load() == mark {
			way = i
			break
		}
		if !found && set.leases[i].Load() == nil {
			way, found = i, true
		}
	}
	set.leases[way].Store(lease)
	set.marks[way].Store(mark)
}

// replace enters a lease where there is one of the same token already.
func (n *near) replace(lease *Lease, mark uint64) {
	set := &n.sets[mark>>n.shift]
	for i := range set.marks {
		if set.marks[i].Load() == mark && set.leases[i].Load() != nil {
			set.leases[i].Store(lease)
		}
	}
}

// forget drops a lease that ristretto dropped, so that the memory is free.
func (n *near) forget(lease *Lease) {
	set := &n.sets[markOf(lease.raw)>>n.shift]
	for i := range set.leases {
		set.leases[i].CompareAndSwap(lease, nil)
	}
}

func (n *near) clear() { clear(n.sets) }
