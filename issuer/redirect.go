package issuer

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// redirectFor finds where the answer to an authorization request may go: to a
// redirect URI that the client registered, compared as a string (RFC 9700 §2.1),
// or to its only one if the request names none (RFC 6749 §3.1.2.3). It returns ""
// if there is any doubt: then the answer goes nowhere.
func redirectFor(client *store.Client, named string) string {
	if named == "" {
		if len(client.RedirectURIs) == 1 {
			return client.RedirectURIs[0]
		}
		return ""
	}
	for _, registered := range client.RedirectURIs {
		if redirectMatches(registered, named) {
			return named
		}
	}
	return ""
}

// redirectMatches compares as strings, but for the port of a loopback address: a
// program on the user's machine listens where it finds a free one (RFC 8252
// §7.3). A host name, localhost too, may lead elsewhere and has no such licence
// (§8.3).
func redirectMatches(registered, named string) bool {
	if registered == named {
		return true
	}
	host, behind, ok := cutLoopback(registered)
	namedHost, namedBehind, namedOK := cutLoopback(named)
	return ok && namedOK && host == namedHost && behind == namedBehind
}

// cutLoopback cuts a URI that leads to a loopback address around its port.
func cutLoopback(uri string) (host, behind string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if port, has := strings.CutPrefix(rest, ":"); has {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			number, err := strconv.ParseUint(port[:digits], 10, 16)
			if err != nil || number == 0 || port[0] == '0' {
				return "", "", false
			}
			rest = port[digits:]
		}
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}

// withQuery adds parameters to a redirect URI, which may have a query already
// (RFC 6749 §3.1.2). Those without a value are left out.
func withQuery(uri string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(uri)
	separator := byte('?')
	if strings.Contains(uri, "?") {
		separator = '&'
	}
	for k := 0; k+1 < len(pairs); k += 2 {
		if pairs[k+1] == "" {
			continue
		}
		b.WriteByte(separator)
		b.WriteString(pairs[k] + "=" + url.QueryEscape(pairs[k+1]))
		separator = '&'
	}
	return b.String()
}

// formTarget is the redirect URI as a source of the Content-Security-Policy:
// Chromium lets a form lead only where its page says, redirects included. The
// scheme alone stands for what the grammar of sources has no word for: an app's
// own scheme and IPv6 addresses. It is "" for what has no place in a header.
func formTarget(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return ""
	}
	web := u.Scheme == "https" || u.Scheme == "http"
	if !web || strings.HasPrefix(u.Host, "[") {
		return u.Scheme + ":"
	}
	return webOrigin(u)
}

// webOrigin is the origin of a page at a URL, as browsers write it (RFC 6454
// §6.1), or "" if it has none that a header could name.
func webOrigin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if host == "" || strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`;,'"*`, c) }) {
		return ""
	}
	switch u.Scheme {
	case "https":
		return "https://" + strings.TrimSuffix(host, ":443")
	case "http":
		return "http://" + strings.TrimSuffix(host, ":80")
	}
	return ""
}

// destination is where a redirect URI leads, in a form that people can judge: a
// host, or the scheme of an app on their device.
func destination(uri string) (name string, leads pages.Leads) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return "", pages.ToSite
	case u.Scheme != "https" && u.Scheme != "http":
		return u.Scheme, pages.ToApp
	case slices.Contains(loopbackHosts, u.Hostname()):
		return u.Host, pages.ToProgram
	}
	return u.Host, pages.ToSite
}
