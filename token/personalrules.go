package token

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// Bounds of what a personal token may be limited by.
const (
	MaxLabel    = 200 // bytes of its name
	MaxNetworks = 64
	MaxRequests = 1_000_000
	MaxRateSpan = 24 * time.Hour // limits are counted in memory: a start begins anew
)

// Flaw is why a personal token can't be as it is asked for, in a word.
type Flaw string

// The flaws.
const (
	FlawNoLabel       Flaw = "no_label"
	FlawLabel         Flaw = "label" // too long, or of characters that cannot be seen
	FlawNetwork       Flaw = "network"
	FlawNetworkBits   Flaw = "network_bits" // set behind its length
	FlawNetworkTwice  Flaw = "network_twice"
	FlawNetworkCount  Flaw = "network_count"
	FlawRateRequests  Flaw = "rate_requests"
	FlawRateSpan      Flaw = "rate_span"
	FlawScopeAbove    Flaw = "scope_above"    // more than the owner has
	FlawAccount       Flaw = "account"        // not open to the owner
	FlawAccountTwice  Flaw = "account_twice"  // named twice
	FlawAccountInPart Flaw = "account_partly" // open in part, without the scope
)

// Unfit says what is wrong with a personal token that is asked for.
type Unfit struct {
	Flaw   Flaw
	Value  string // in which it is
	Detail string // for operators: what was found and what was expected
}

func (e *Unfit) Error() string { return e.Detail }

func unfit(flaw Flaw, value, format string, args ...any) error {
	return &Unfit{Flaw: flaw, Value: value, Detail: fmt.Sprintf(format, args...)}
}

// CheckLabel reports, as *Unfit, what is wrong with the name of a personal token.
func CheckLabel(label string) error {
	switch {
	case label == "":
		return unfit(FlawNoLabel, "", "label is missing: a name by which its owner tells the token from others")
	case len(label) > MaxLabel:
		return unfit(FlawLabel, "", "label of %d bytes; at most %d", len(label), MaxLabel)
	case strings.ContainsFunc(label, func(c rune) bool { return !unicode.IsPrint(c) }):
		return unfit(FlawLabel, label, "label %q: only printable characters", label)
	}
	return nil
}

// CheckRate reports, as *Unfit, what is wrong with a rate.
func CheckRate(r store.Rate) error {
	switch {
	case r.Per < time.Second || r.Per > MaxRateSpan || r.Per%time.Second != 0:
		return unfit(FlawRateSpan, r.Per.String(), "rate per %s: expected whole seconds from 1s to 1d, as in 1s, 30s, 1m, 1h", r.Per)
	case r.Requests < 1 || r.Requests > MaxRequests:
		return unfit(FlawRateRequests, "", "rate of %d requests: expected 1 to %d", r.Requests, MaxRequests)
	}
	return nil
}

// ReadNetworks reads an allow-list: networks in CIDR notation, or single
// addresses. It fails with *Unfit.
func ReadNetworks(given []string) ([]netip.Prefix, error) {
	if len(given) > MaxNetworks {
		return nil, unfit(FlawNetworkCount, "", "%d networks; at most %d", len(given), MaxNetworks)
	}
	var networks []netip.Prefix
	for _, text := range given {
		network, err := ReadNetwork(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(networks, network) {
			return nil, unfit(FlawNetworkTwice, network.String(), "network %s is named twice", network)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// ReadNetwork reads a network or a single address. Bits behind the length of a
// network are refused: one of the two numbers is not what was meant.
func ReadNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, unfit(FlawNetwork, text, "network %q: expected CIDR or one address, as in 192.0.2.0/24, 2001:db8::/32, 192.0.2.7", text)
	}
	if network.Addr().Is4In6() {
		// Addresses of clients are compared as IPv4, so the network must be one.
		if network.Bits() < 96 {
			return network, unfit(FlawNetwork, text, "network %q: IPv4 written as IPv6 has a length of at least 96", text)
		}
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	if whole := network.Masked(); whole != network {
		single := netip.PrefixFrom(network.Addr(), network.Addr().BitLen())
		return network, unfit(FlawNetworkBits, text, "network %q has bits set behind its length; did you mean %s (the network) or %s (the one address)?", text, whole, single)
	}
	return network, nil
}

// OpenAccounts reads the accounts that are bound to a principal and active, by
// id. Errors are those of the store.
func OpenAccounts(tx store.Reader, env store.Environment, principal string) ([]store.Standpoint, error) {
	bindings, err := tx.Bindings(env, principal)
	if err != nil {
		return nil, err
	}
	return OpenOf(tx, env, bindings)
}

// OpenOf is OpenAccounts for who has read the bindings.
func OpenOf(tx store.Reader, env store.Environment, bindings []store.Binding) ([]store.Standpoint, error) {
	var open []store.Standpoint
	for _, b := range bindings {
		account, err := tx.Account(env, b.Account)
		if err != nil {
			return nil, err
		}
		if account.Status == store.Active {
			open = append(open, store.Standpoint{Account: account, Binding: b})
		}
	}
	return open, nil
}

// CheckPersonal refuses, as *Unfit, what is more than an owner has: scopes, and
// accounts of those that are open to it. An account that is open in part must not
// take away what is asked for: it would at the first use, and for all accounts.
func CheckPersonal(p *policy.Policy, owner *store.Principal, open []store.Standpoint, scopes, accounts []string) error {
	for _, scope := range scopes {
		if !p.Covers(owner.MaxScopes, scope) {
			return unfit(FlawScopeAbove, scope, "scope %q is more than %s may grant; it has: %s", scope, owner.ID, strings.Join(owner.MaxScopes, " "))
		}
	}
	for k, id := range accounts {
		at := slices.IndexFunc(open, func(s store.Standpoint) bool { return s.Account.ID == id })
		if at < 0 {
			return unfit(FlawAccount, id, "account %q is not open to %s; open: %s", id, owner.ID, openIDs(open))
		}
		if slices.Contains(accounts[:k], id) {
			return unfit(FlawAccountTwice, id, "account %q is named twice", id)
		}
		binding := &open[at].Binding
		for _, scope := range scopes {
			if binding.Access == store.Partial && !p.Covers(binding.Scopes, scope) {
				return unfit(FlawAccountInPart, id, "scope %q: account %s is open to %s in part, for: %s; a token for it would be cut to these on all accounts. Name other accounts or fewer scopes",
					scope, id, owner.ID, strings.Join(binding.Scopes, " "))
			}
		}
	}
	return nil
}

func openIDs(open []store.Standpoint) string {
	if len(open) == 0 {
		return "none"
	}
	ids := make([]string, len(open))
	for k := range open {
		ids[k] = open[k].Account.ID
	}
	return strings.Join(ids, ", ")
}
