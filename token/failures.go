package token

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// How much work may be for nothing: signatures that do not verify, rows that are
// not there. A token that has expired or was revoked was ours, and who presents
// it is no guesser.
const (
	failuresPerAddress = 60   // in a minute
	failuresOverall    = 1000 // in a second, of all addresses together
	suspectsPerSecond  = 500  // tokens of addresses that are beyond either

	// suspectsPatience is how long such a token waits for its turn. So a good one
	// gets in for sure as long as no more than 500 wait, and a flood that has fewer
	// connections is as slow as the lane.
	suspectsPatience = time.Second
)

// failureBuckets are all there ever are: 512 KiB.
const failureBuckets = 1 << 16

// failures counts tokens that were work for nothing, by the address that they
// came from. Only tokens that are not in the cache get here, and nobody is locked
// out: whoever has used up what is free shares a slow lane with others like him,
// because a good token may come from the same address, behind a proxy that no
// one told us to trust.
//
// An address is used up the sooner, the more is under way from everywhere: it
// needs its own share and the common one to be less than 1 together. So those who
// have failed at nothing come last to be slowed. The table forgets nobody before
// the time; those who share a bucket wait along, which costs them the fast lane.
type failures struct {
	seed  maphash.Seed
	start time.Time

	addresses [failureBuckets]bucket
	overall   bucket
	turn      atomic.Int64 // of the slow lane: when the last one given is

	sleep func(time.Duration) // time.Sleep, but for tests whose clock stands still
}

// bucket is a leaky bucket, written as the instant at which it will have run
// empty (the generic cell rate algorithm), in nanoseconds since the start.
type bucket struct{ empty atomic.Int64 }

func newFailures(now time.Time) *failures {
	return &failures{seed: maphash.MakeSeed(), start: now, sleep: time.Sleep}
}

// How long it takes to run empty, of a bucket that is full, and of one that has
// room for one more failure.
const (
	addressFull = time.Minute
	addressRoom = addressFull - addressFull/failuresPerAddress
	overallFull = time.Second
)

// at returns the bucket of an address. IPv6 has /64s where IPv4 has addresses:
// one customer has that much at least.
func (f *failures) at(address string) *bucket {
	key := maphash.String(f.seed, address)
	if ip, err := netip.ParseAddr(address); err == nil {
		bits := ip.As16()
		if !ip.Is4() && !ip.Is4In6() {
			binary.BigEndian.PutUint64(bits[8:], 0)
		}
		key = maphash.Bytes(f.seed, bits[:])
	}
	return &f.addresses[key%failureBuckets]
}

// suspects reports whether tokens from there have to take the slow lane: there is
// no room for one more failure.
func (f *failures) suspects(from *bucket, now time.Time) bool {
	if from == nil {
		return false
	}
	at := now.Sub(f.start)
	return from.level(at)+f.overall.level(at)*(addressFull/overallFull) > addressRoom
}

// mostly reports whether that is mostly up to the address.
func (f *failures) mostly(from *bucket, now time.Time) bool {
	return from.level(now.Sub(f.start)) > addressFull/2
}

// add counts a failure. That of a suspect is no one else's business: the slow lane
// bounds those.
func (f *failures) add(from *bucket, suspect bool, now time.Time) {
	if from == nil {
		return
	}
	at := now.Sub(f.start)
	from.add(at, addressFull/failuresPerAddress, addressFull)
	if !suspect {
		f.overall.add(at, overallFull/failuresOverall, overallFull)
	}
}

// wait returns how long it is until the next turn of the slow lane, which is then
// taken. It fails if that is too long to wait.
func (f *failures) wait(now time.Time) (time.Duration, bool) {
	at := int64(now.Sub(f.start))
	for {
		last := f.turn.Load()
		mine := max(last+int64(time.Second/suspectsPerSecond), at)
		if mine-at > int64(suspectsPatience) {
			return 0, false
		}
		if f.turn.CompareAndSwap(last, mine) {
			return time.Duration(mine - at), true
		}
	}
}

func (b *bucket) level(at time.Duration) time.Duration {
	return max(0, time.Duration(b.empty.Load())-at)
}

func (b *bucket) add(at, each, full time.Duration) {
	for {
		empty := b.empty.Load()
		next := min(max(time.Duration(empty), at)+each, at+full)
		if b.empty.CompareAndSwap(empty, int64(next)) {
			return
		}
	}
}
