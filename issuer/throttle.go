package issuer

import (
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// How many wrong secrets may be presented in a minute.
const (
	wrongPerPair    = 10  // for one id, from one address
	wrongPerAddress = 100 // from one address, whatever the id
)

// throttleBuckets of either kind are all there ever are: 1 MiB together.
const throttleBuckets = 1 << 16

// Throttle slows down who guesses secrets. It counts failures only: who
// presents right secrets is never slowed by their number. Once a bucket is
// full, right secrets too are refused there, or guessing would go on unslowed;
// from another address they work.
//
// The table cannot grow and forgets nobody before the time. Each address, and
// each pair of id and address, belongs to one of a fixed number of buckets by a
// hash that is keyed per process. Who attacks from so many addresses that
// buckets are shared makes newcomers who fall into a full one wait along: that
// is chosen over making room by forgetting offenders. An attacker's failures
// cost an argon2id computation each, of which two run at a time, so that even
// he cannot fill more than a small part of the buckets. It is safe for concurrent
// use.
type Throttle struct {
	seed  maphash.Seed
	start time.Time

	mu        sync.Mutex
	pairs     []bucket
	addresses []bucket
	shows     map[string]bucket // of trading tokens, by user

	oldSecrets map[string]oldSecretUse // by client
}

// bucket is a leaky bucket, written as the time at which it will have run empty
// (the generic cell rate algorithm).
type bucket time.Duration

// NewThrottle returns a Throttle that has seen no failure yet.
func NewThrottle(now time.Time) *Throttle {
	return &Throttle{
		seed: maphash.MakeSeed(), start: now,
		pairs: make([]bucket, throttleBuckets), addresses: make([]bucket, throttleBuckets),
	}
}

// party is what a secret is presented for.
type party struct {
	kind string // "client" or "principal": their ids are apart
	id   string
}

// admit says whether secrets of these parties, presented from the address, will
// be looked at. The error tells how long to wait.
func (t *Throttle) admit(now time.Time, address string, parties ...party) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusal(now.Sub(t.start), address, parties)
}

// settle ends one attempt that was admitted, at which the parties named by
// wrong presented wrong secrets. It fails if the attempt must be refused without
// saying whether it was right: others that were under way at the same time have
// filled the bucket meanwhile.
func (t *Throttle) settle(now time.Time, address string, parties, wrong []party) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := now.Sub(t.start)
	if err := t.refusal(at, address, parties); err != nil || len(wrong) == 0 {
		return err
	}
	t.address(address).add(at, wrongPerAddress)
	for _, p := range wrong {
		t.pair(p, address).add(at, wrongPerPair)
	}
	return nil
}

func (t *Throttle) refusal(at time.Duration, address string, parties []party) error {
	wait := t.address(address).wait(at, wrongPerAddress)
	for _, p := range parties {
		wait = max(wait, t.pair(p, address).wait(at, wrongPerPair))
	}
	if wait > 0 {
		return slowDown(wait)
	}
	return nil
}

func (t *Throttle) address(address string) *bucket {
	return &t.addresses[maphash.String(t.seed, address)%throttleBuckets]
}

func (t *Throttle) pair(p party, address string) *bucket {
	key := struct {
		party
		address string
	}{p, address}
	return &t.pairs[maphash.Comparable(t.seed, key)%throttleBuckets]
}

// wait is how long until one more fits in.
func (b *bucket) wait(at time.Duration, perMinute int) time.Duration {
	each := time.Minute / time.Duration(perMinute)
	return max(0, time.Duration(*b)+each-time.Minute-at)
}

func (b *bucket) add(at time.Duration, perMinute int) {
	*b = bucket(max(time.Duration(*b), at) + time.Minute/time.Duration(perMinute))
}

// peerIP is the address at the other end of the connection.
func peerIP(r *http.Request) string {
	return hostPart(r.RemoteAddr)
}

// hostPart is an address without its port, if it has one.
func hostPart(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// throttledAddress is the unit that is throttled: an IPv4 address, or the /64
// that one customer of an IPv6 provider has at least.
func throttledAddress(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}
