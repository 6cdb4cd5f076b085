package gate

import (
	"io"
	"net/http"
	"strings"
)

// sanitize is step 1: it refuses what is too large, and what would make the proxy
// lose our headers, and deletes whatever the upstream could take for ours.
func (g *Gate) sanitize(r *http.Request) *flaw {
	if f := g.sizes.judge(r); f != nil {
		return f
	}
	if values := r.Header["Connection"]; len(values) > 0 && !harmless(values) {
		return flawConnection
	}
	if values := r.Header["Upgrade"]; len(values) > 0 &&
		(r.Method != http.MethodGet || len(values) > 1 || !strings.EqualFold(values[0], "websocket")) {
		dropUpgrade(r.Header)
	}
	fields, size := 0, 0
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
		switch g.identity.judge(name) {
		case forged:
			delete(r.Header, name)
		case fromProxy:
			if g.trustedProxy == nil || !g.trustedProxy(r) {
				delete(r.Header, name)
			}
		case innocent:
		}
	}
	if f := g.sizes.judgeHeader(fields, size); f != nil {
		return f
	}
	if r.Trailer != nil && r.Body != nil {
		r.Body = &trailers{ReadCloser: r.Body, fields: r.Trailer, identity: &g.identity}
		g.identity.scrub(r.Trailer)
	}
	return nil
}

// harmless reports whether Connection names nothing but what belongs to a
// connection. A proxy deletes each header that Connection names, and it does so
// after we have set ours: "Connection: X-Auth-Accounts" would undo them.
func harmless(values []string) bool {
	for _, list := range values {
		for more := true; more; {
			var option string
			option, list, more = strings.Cut(list, ",")
			switch option = trim(option); {
			case option == "",
				strings.EqualFold(option, "close"), strings.EqualFold(option, "keep-alive"),
				strings.EqualFold(option, "upgrade"), strings.EqualFold(option, "te"),
				strings.EqualFold(option, "http2-settings"):
			default:
				return false
			}
		}
	}
	return true
}

// dropUpgrade removes an upgrade that is not a WebSocket's: behind it the
// connection would carry requests that nobody judges (h2c).
func dropUpgrade(h http.Header) {
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
	var kept []string
	for _, list := range h["Connection"] {
		for option := range strings.SplitSeq(list, ",") {
			option = trim(option)
			if option != "" && !strings.EqualFold(option, "upgrade") && !strings.EqualFold(option, "http2-settings") {
				kept = append(kept, option)
			}
		}
	}
	delete(h, "Connection")
	if kept != nil {
		h["Connection"] = []string{strings.Join(kept, ", ")}
	}
}

// trim removes the blanks that a list allows around its elements.
func trim(s string) string { return strings.Trim(s, " \t") }

// origin is what a header name says about who may have set it.
type origin uint8

const (
	innocent  origin = iota
	forged           // only we may set it
	fromProxy        // only a trusted proxy may set it
)

// judge says who may set a header of that name. It is asked of every header of
// every request: names that cannot be meant are passed over by their first byte
// and length.
func (id *identity) judge(name string) origin {
	if name == "" {
		return innocent
	}
	switch name[0] | 0x20 {
	case 'x':
		return id.judgeFolded(name)
	case 'c':
		if n := len(name); n == len("client-cert") || n == len("client-cert-chain") || n == len("cf-connecting-ip") {
			return id.judgeFolded(name)
		}
	case 'f':
		if len(name) == len("forwarded") {
			return id.judgeFolded(name)
		}
	case 't':
		if len(name) == len("true-client-ip") {
			return id.judgeFolded(name)
		}
	}
	if len(id.unusual) > 0 {
		return id.judgeFolded(name)
	}
	return innocent
}

// longestName is how much of a header name is looked at: more than any name
// that means something here has.
const longestName = 64

// judgeFolded judges a name in the form that the most forgiving server gives
// it: CGI, WSGI and their heirs turn case and punctuation into one, and
// net/http hands X_Auth_Subject on as it is.
func (id *identity) judgeFolded(name string) origin {
	var space [longestName]byte
	folded := fold(space[:0], name)
	switch string(folded) {
	case "x-client-cert", "x-forwarded-client-cert", "client-cert", "client-cert-chain",
		"x-original-url", "x-rewrite-url",
		"x-http-method", "x-http-method-override", "x-method-override":
		return forged
	case "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip":
		return fromProxy
	}
	if hasPrefix(folded, "x-auth-") || hasPrefix(folded, "x-ssl-client-") {
		return forged
	}
	// The proxy sets X-Forwarded-For and its kin, in the usual spelling only.
	if hasPrefix(folded, "x-forwarded-") && !strings.EqualFold(name, string(folded)) {
		return forged
	}
	for _, own := range id.unusual {
		if string(folded) == own {
			return forged
		}
	}
	return innocent
}

// fold appends name to dst in lower case, with a hyphen for everything but
// letters and digits.
func fold(dst []byte, name string) []byte {
	for i := range min(len(name), longestName) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		dst = append(dst, c)
	}
	return dst
}

func hasPrefix(folded []byte, prefix string) bool {
	return len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix
}

// scrub deletes from trailers what has no business there: no proxy in front of
// us speaks through them.
func (id *identity) scrub(fields http.Header) {
	for name := range fields {
		if id.judge(name) != innocent || name == "Authorization" {
			delete(fields, name)
		}
	}
}

// trailers is a body that scrubs the trailers that follow it. They arrive in
// the very read that finds the end, those that were not announced too, and the
// proxy sends what it then finds.
type trailers struct {
	io.ReadCloser
	fields   http.Header
	identity *identity
}

func (t *trailers) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.identity.scrub(t.fields)
	}
	return n, err
}
