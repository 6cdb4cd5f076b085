package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxURL is the longest address of a receiver, in bytes.
const MaxURL = 2048

// What can be wrong with an address that a user gives.
var (
	ErrURL      = errors.New("is not an address of the form https://host/path")
	ErrURLUser  = errors.New("holds a user or a password")
	ErrURLLong  = fmt.Errorf("has more than %d bytes", MaxURL)
	ErrInternal = errors.New("leads into a network that is not public")
)

// CheckURL reports what is wrong with the address of a receiver, as one of the
// errors above. Where a name leads is not looked up: that may change any time, and
// is asked at each delivery.
func (r *Rules) CheckURL(raw string) error {
	if len(raw) > MaxURL {
		return ErrURLLong
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '#' }) {
		return ErrURL
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return ErrURL
	case u.User != nil:
		return ErrURLUser
	case !isPort(u):
		return ErrURL
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !r.admits(addr) {
		return ErrInternal
	}
	return nil
}

// isPort knows ports that can be dialled. url.Parse takes any digits.
func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// Rules say which addresses may be reached. The zero value lets all that are public.
type Rules struct {
	Allow []netip.Prefix // further networks
}

// special are parts of the public address space that lead elsewhere, or to nobody
// (RFC 6890 and its registries).
var special = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // all that is given out of IPv6
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address in the last 4 bytes (RFC 6052)
	sixToFour     = netip.MustParsePrefix("2002::/16")    // in bytes 2 to 5 (RFC 3056)
)

func parsePrefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for k, text := range texts {
		list[k] = netip.MustParsePrefix(text)
	}
	return list
}

// admits reports whether an address may be dialled. An IPv4 address is one in
// whichever spelling, and what is translated is judged as what it is translated to.
func (r *Rules) admits(addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if holds(r.Allow, addr) {
		return true
	}
	if addr.Is4() {
		return !holds(special, addr)
	}
	raw := addr.As16()
	switch {
	case nat64.Contains(addr):
		return r.admits(netip.AddrFrom4([4]byte(raw[12:])))
	case sixToFour.Contains(addr):
		return r.admits(netip.AddrFrom4([4]byte(raw[2:6])))
	}
	return globalUnicast.Contains(addr) && !holds(special, addr)
}

func holds(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
