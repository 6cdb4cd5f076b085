package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

const queryToken = "access_token" // RFC 6750 §2.3, which we do not accept

// credential is step 4: the one token that the request presents where the route
// accepts it. Two credentials are refused even if they are equal: another
// reader of the request might take the other.
func credential(r *http.Request, route *policy.Route) (raw string, f *flaw) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		f = flawNone
	case 1:
		raw, f = bearer(values[0])
	default:
		return "", flawTwo
	}
	inHeader := f == nil
	if route.Credentials.Has(policy.Subprotocol) && upgradeOf(r) != noUpgrade {
		if offers := r.Header["Sec-Websocket-Protocol"]; len(offers) > 0 {
			raw, f = withSubprotocol(raw, f, offers)
		}
	}
	if !route.Credentials.Has(policy.Header) && (f == nil && inHeader || f == flawNone || f == flawScheme) {
		return "", flawPlace
	}
	if r.URL.RawQuery != "" && inQuery(r.URL.RawQuery) {
		if f == nil {
			return "", flawTwo
		}
		if f == flawNone {
			return "", flawQuery
		}
	}
	return raw, f
}

// withSubprotocol adds the token among the subprotocols, if there is one, to
// what the Authorization header gave.
func withSubprotocol(raw string, f *flaw, offers []string) (string, *flaw) {
	offered, count := subprotocolToken(offers)
	switch {
	case count == 0 || f == flawMalformed:
		return raw, f
	case count > 1 || f == nil:
		return "", flawTwo
	case offered == "":
		return "", flawMalformed
	}
	return offered, nil
}

// bearer returns the token of an Authorization header. That it is well formed
// is found out later, and only if it is not good (see Gate.prove).
func bearer(value string) (raw string, f *flaw) {
	const scheme, usual = "bearer", "Bearer "
	if len(value) > len(usual) && value[:len(usual)] == usual {
		return value[len(usual):], nil
	}
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		if value == "" {
			return "", flawNone
		}
		return "", flawScheme
	}
	switch rest := value[len(scheme):]; {
	case len(rest) > 1 && rest[0] == ' ':
		return rest[1:], nil
	case rest != "" && isTokenChar(rest[0]):
		return "", flawScheme // a longer word
	}
	return "", flawMalformed
}

// wellFormed reports whether s is a b64token (RFC 6750 §2.1).
func wellFormed(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		c := body[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return body != ""
}

// CarriesSecret reports whether r holds a credential where an access log would
// print it: among the subprotocols or in the query. It must be asked before
// ServeHTTP, which removes some of them.
func CarriesSecret(r *http.Request) bool {
	if _, count := subprotocolToken(r.Header["Sec-Websocket-Protocol"]); count > 0 {
		return true
	}
	_, query, _ := strings.Cut(r.RequestURI, "?")
	return inQuery(r.URL.RawQuery) || inQuery(query)
}

// misplaced are headers that programs take for Authorization, and access logs for
// nothing secret.
var misplaced = [...]string{"X-Authorization", "X-Forwarded-Authorization", "X-Access-Token"}

// MisplacesSecret reports whether r, which was refused, may hold a good token in a
// header where none is looked for. An access log would print it.
func MisplacesSecret(r *http.Request) bool {
	for _, name := range misplaced {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

// inQuery reports whether a query holds an access_token. Semicolons separate
// too: net/url drops a field with one, an upstream may not.
func inQuery(query string) bool {
	for query != "" {
		var field string
		if field, query = cutField(query); isTokenField(field) {
			return true
		}
	}
	return false
}

func cutField(query string) (field, rest string) {
	if i := strings.IndexAny(query, "&;"); i >= 0 {
		return query[:i], query[i+1:]
	}
	return query, ""
}

func isTokenField(field string) bool {
	name, _, _ := strings.Cut(field, "=")
	if strings.Contains(name, "%") {
		var err error
		if name, err = url.QueryUnescape(name); err != nil {
			return false
		}
	}
	return strings.EqualFold(name, queryToken)
}

// stripQuery removes access_token from the query. The URL is replaced, because
// copies of the request share it. RequestURI goes with it: a proxy would log that.
func stripQuery(r *http.Request) {
	if _, query, _ := strings.Cut(r.RequestURI, "?"); !inQuery(r.URL.RawQuery) && !inQuery(query) {
		return
	}
	var kept []string
	for query := r.URL.RawQuery; query != ""; {
		var field string
		if field, query = cutField(query); !isTokenField(field) {
			kept = append(kept, field)
		}
	}
	clone := *r.URL
	clone.RawQuery = strings.Join(kept, "&")
	r.URL, r.RequestURI = &clone, clone.RequestURI()
}
