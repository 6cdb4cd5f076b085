package gate

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// IdentityHeaders are the names of the headers that tell the upstream who is
// asking. The defaults are X-Auth-Subject, X-Auth-Client, X-Auth-Accounts,
// X-Auth-Scope and X-Auth-Environment.
type IdentityHeaders struct {
	Subject, Client, Accounts, Scope, Environment string
}

const identityHeaders = 5

// identity is what a gate knows of the headers that are its own.
type identity struct {
	names       [identityHeaders]string // canonical, in the order of IdentityHeaders
	unusual     []string                // those that do not begin with X-Auth-, folded
	environment string                  // encoded
}

func newIdentity(names IdentityHeaders, environment string) (identity, error) {
	id := identity{environment: encode(environment)}
	given := [identityHeaders]string{names.Subject, names.Client, names.Accounts, names.Scope, names.Environment}
	usual := [identityHeaders]string{"X-Auth-Subject", "X-Auth-Client", "X-Auth-Accounts", "X-Auth-Scope", "X-Auth-Environment"}
	var seen []string
	for i, name := range given {
		if name == "" {
			name = usual[i]
		}
		folded := string(fold(nil, name))
		switch {
		case len(name) > longestName || !isToken(name):
			return id, fmt.Errorf("identity header %q is not a header name", name)
		case reserved(folded):
			return id, fmt.Errorf("identity header %q: HTTP or a proxy gives this name another meaning", name)
		case slices.Contains(seen, folded):
			return id, fmt.Errorf("identity header %q: two of them have this name, or names that servers read as one", name)
		}
		seen = append(seen, folded)
		id.names[i] = textproto.CanonicalMIMEHeaderKey(name)
		if !strings.HasPrefix(folded, "x-auth-") {
			id.unusual = append(id.unusual, folded)
		}
	}
	return id, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

// reserved reports whether a proxy or the protocol would overwrite, remove or
// act on a header of that (folded) name.
func reserved(name string) bool {
	switch name {
	case "authorization", "host", "cookie", "connection", "keep-alive", "te", "trailer",
		"transfer-encoding", "upgrade", "expect", "date", "via", "forwarded", "http2-settings", "user-agent":
		return true
	}
	for _, family := range []string{"content-", "proxy-", "sec-", "x-forwarded-", "accept", "if-"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// forward is step 8: it makes the headers what the upstream may trust, and
// reports whether a token was offered as a subprotocol, which the answer then
// has to select. The headers' values will live in values.
func (g *Gate) forward(r *http.Request, d *Decision, values *[identityHeaders]string) (offered bool) {
	if d.Lease == nil || !g.forwardToken {
		delete(r.Header, "Authorization")
	}
	if d.Lease == nil && r.URL.RawQuery != "" {
		stripQuery(r)
	}
	if offers := r.Header["Sec-Websocket-Protocol"]; len(offers) > 0 {
		offered = stripSubprotocol(r.Header, offers)
	}
	g.identity.identify(r.Header, d.Lease, values)
	return offered
}

// identify sets all identity headers, empty ones too: an upstream must never
// find a name that nobody has set. The values share one array that belongs to
// the request, because handlers behind us may change them in place.
func (id *identity) identify(h http.Header, lease *token.Lease, values *[identityHeaders]string) {
	if lease != nil {
		s := lease.Spelled(spell)
		values[0], values[1], values[2], values[3] = s.Subject, s.Client, s.Accounts, s.Scopes
	}
	values[4] = id.environment
	for i, name := range id.names {
		h[name] = values[i : i+1 : i+1]
	}
}

// spell writes facts as headers have them.
func spell(f *token.Facts) *token.Spelling {
	s := &token.Spelling{Subject: encode(f.Subject), Client: encode(f.Client)}
	s.Accounts, s.Scopes = string(appendList(nil, f.Accounts)), string(appendList(nil, f.Scopes))
	return s
}

// encode returns s as one visible ASCII word: percent-encoded UTF-8 where it
// is something else, and for the percent sign itself.
func encode(s string) string {
	if visible(s) {
		return s
	}
	return string(appendEncoded(nil, s))
}

func appendList(dst []byte, items []string) []byte {
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendEncoded(dst, item)
	}
	return dst
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '%' || s[i] > '~' {
			return false
		}
	}
	return true
}

func appendEncoded(dst []byte, s string) []byte {
	if visible(s) {
		return append(dst, s...)
	}
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c == '%' || c > '~' {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
