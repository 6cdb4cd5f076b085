package token

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Personal is what was laid down when a personal token was issued: by what name
// its owner knows it, from where and how often it may be used.
type Personal struct {
	Label    string
	Networks []netip.Prefix // empty: from anywhere
	Rate     store.Rate     // zero: as often as one likes

	limiter *limiter // nil: no rate
}

// personal reads the limits of a row. The limiter belongs to the token and not
// to this reading of it: facts are looked up again every few minutes and caches
// forget, and neither may hand out the rate once more.
func (a *Authority) personal(row *store.Token) (*Personal, error) {
	p := &Personal{Label: row.Label, Networks: row.Networks, Rate: row.Rate}
	if p.Rate == (store.Rate{}) {
		return p, nil
	}
	if p.Rate.Requests < 1 || p.Rate.Per < time.Duration(p.Rate.Requests) {
		return nil, fmt.Errorf("token %s: rate of %d requests in %s", row.ID, p.Rate.Requests, p.Rate.Per)
	}
	p.limiter = a.limiters.of(row.ID, p.Rate, a.Now())
	return p, nil
}

// Admits reports whether the token may be used from an address, in the form
// that netip.ParseAddr reads. One that cannot be read is outside of every
// network. An IPv4 address is one in either spelling (RFC 4291 §2.5.5.2).
func (p *Personal) Admits(address string) bool {
	if len(p.Networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("") // a zone says which interface, and no network has one
	for _, network := range p.Networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// Quota is what a rate has left, in the words of the IETF's RateLimit header
// fields (draft-ietf-httpapi-ratelimit-headers).
type Quota struct {
	Rate      store.Rate    // zero: there is no limit
	Remaining int           // requests that would pass at once
	Reset     time.Duration // until there is one more than Remaining
}

// Spend takes one request out of the lease's rate, and reports whether there
// was one. It is one atomic exchange, or a comparison where there is no limit.
func (a *Authority) Spend(lease *Lease, now time.Time) (Quota, bool) {
	if lease.Personal == nil || lease.Personal.limiter == nil {
		return Quota{}, true
	}
	return lease.Personal.limiter.take(a.limiters.age(now))
}
