package issuer

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
)

// MaxRedirectURI is the most that a redirect URI may have, in bytes, and
// MaxRedirectURIs how many a client may have.
const (
	MaxRedirectURI  = 1000
	MaxRedirectURIs = 50
)

// loopbackHosts are those to which a program on the user's own machine listens
// (RFC 8252 §7.3). Nothing that is sent there goes over a network, so http will
// do.
var loopbackHosts = []string{"127.0.0.1", "::1", "localhost"}

// CheckRedirectURIs reports what is wrong with the redirect URIs of one client, if
// anything is.
func CheckRedirectURIs(uris []string) error {
	if wrong := findWrongURI(uris); wrong != nil {
		return wrong
	}
	return nil
}

// checkRedirectURIs is CheckRedirectURIs in the words of the page; nil: nothing is
// wrong.
func checkRedirectURIs(uris []string) *pages.Problem {
	if wrong := findWrongURI(uris); wrong != nil {
		return &wrong.problem
	}
	return nil
}

func findWrongURI(uris []string) *redirectError {
	if len(uris) > MaxRedirectURIs {
		return &redirectError{
			problem: pages.NewProblem("application.problem.too_many_uris", "Given", len(uris), "Most", MaxRedirectURIs),
			says:    fmt.Sprintf("%d redirect URIs; at most %d", len(uris), MaxRedirectURIs),
		}
	}
	for i, uri := range uris {
		if wrong := findWrong(uri); wrong != nil {
			return wrong
		}
		if slices.Contains(uris[:i], uri) {
			return &redirectError{pages.NewProblem("application.problem.uri_twice", "URI", uri), fmt.Sprintf("redirect URI %s is named twice", uri)}
		}
	}
	return nil
}

// CheckRedirectURI reports what is wrong with a redirect URI that a client
// registers (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §2.1). A code is sent there,
// and what is registered is compared as a string: so it says exactly where, and
// nothing of it could be read in two ways. It is
//
//   - https with a host, or
//   - http with a host of the user's own machine: 127.0.0.1, [::1] or localhost, or
//   - a private-use scheme that contains a dot, as com.example.app:/callback.
func CheckRedirectURI(raw string) error {
	if wrong := findWrong(raw); wrong != nil {
		return wrong
	}
	return nil
}

func findWrong(raw string) *redirectError {
	if len(raw) > MaxRedirectURI {
		return &redirectError{
			pages.NewProblem("application.problem.uri_long", "Length", len(raw), "Most", MaxRedirectURI),
			fmt.Sprintf("redirect URI of %d bytes; at most %d", len(raw), MaxRedirectURI),
		}
	}
	if wrong := checkRedirectURI(raw); wrong != nil {
		return &redirectError{
			pages.NewProblem("application.redirect."+wrong.key, "URI", raw, "What", wrong.what),
			fmt.Sprintf("redirect URI %q: %s", raw, wrong.says),
		}
	}
	return nil
}

// redirectError is what is wrong with redirect URIs: in the words of operators, and
// for the page of those who register applications.
type redirectError struct {
	problem pages.Problem
	says    string
}

func (e *redirectError) Error() string { return e.says }

// uriProblem is what is wrong with one URI.
type uriProblem struct {
	key  string // of the text application.redirect.KEY
	what string // of the URI stands in it; may be empty
	says string
}

// wrongURI is the problem with this key, and in the words of operators.
func wrongURI(key, says string, what ...any) *uriProblem {
	return &uriProblem{key, fmt.Sprint(what...), fmt.Sprintf(says, what...)}
}

func checkRedirectURI(raw string) *uriProblem {
	if raw == "" {
		return wrongURI("empty", "is empty; write for example https://app.example.com/callback")
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"<>\^{|}`+"`", c) }) {
		return wrongURI("character", "has a character that no URI has; escape it")
	}
	switch {
	case strings.Contains(raw, "#"):
		return wrongURI("fragment", "has a fragment, which is sent to nobody; leave out what begins with #")
	case strings.Contains(raw, "*"):
		return wrongURI("wildcard", "has a wildcard; redirect URIs are compared as strings, so register each")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return wrongURI("no_uri", "is not a URI")
	}
	switch {
	case u.Scheme == "":
		return wrongURI("relative", "is not absolute; write its scheme and host too")
	case !strings.HasPrefix(raw, u.Scheme+":"):
		return wrongURI("capitals", "has a scheme in capitals; write %s in small letters", u.Scheme)
	case u.User != nil:
		return wrongURI("user", "has a user or a password; leave out what stands before @")
	}
	if wrong := checkRedirectParts(u); wrong != nil {
		return wrong
	}
	switch {
	case u.Scheme == "https":
		return checkRedirectHost(u)
	case u.Scheme == "http":
		if wrong := checkRedirectHost(u); wrong != nil {
			return wrong
		}
		if !slices.Contains(loopbackHosts, u.Hostname()) {
			return wrongURI("unencrypted", "sends codes over a network without encryption; write https://, or http:// with 127.0.0.1, [::1] or localhost")
		}
		return nil
	case !strings.Contains(strings.Trim(u.Scheme, "."), "."):
		return wrongURI("scheme", "has the scheme %s; expected https, http to the user's own machine, or a domain of yours in reverse, as com.example.app:/callback", u.Scheme)
	case u.Opaque != "" || u.Path == "" && u.Host == "":
		return wrongURI("no_path", "has no path; write for example %s:/callback", u.Scheme)
	}
	return nil
}

// answerParameters are those that an answer adds to the query.
var answerParameters = []string{"code", "state", "iss", "error", "error_description", "error_uri"}

// checkRedirectParts looks at path and query, whatever the scheme.
func checkRedirectParts(u *url.URL) *uriProblem {
	path := u.Path + u.Opaque
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return wrongURI("query", "has a query that is not well-formed")
	}
	plain, err := url.QueryUnescape(u.RawQuery)
	if err != nil || !isPlain(path) || !isPlain(plain) {
		return wrongURI("hidden", "hides a control character or what is no UTF-8")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return wrongURI("dots", "has dot segments in its path; write where they lead")
		}
	}
	for _, name := range answerParameters {
		if query.Has(name) {
			return wrongURI("parameter", "has the query parameter %s, which the answer adds; choose another name", name)
		}
	}
	return nil
}

func isPlain(s string) bool {
	return isText(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 })
}

// checkRedirectHost wants a host that all parsers agree on, and a port that can
// be one.
func checkRedirectHost(u *url.URL) *uriProblem {
	host := u.Hostname()
	if u.Opaque != "" || host == "" {
		return wrongURI("no_host", "has no host; write for example %s://app.example.com/callback", u.Scheme)
	}
	if strings.ContainsFunc(host, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		return !letter && c != '-' && c != '.' && c != ':'
	}) {
		return wrongURI("host", "has a host with other characters than small letters, digits, dots and hyphens")
	}
	if strings.HasSuffix(u.Host, ":") {
		return wrongURI("colon", "has a colon behind its host and no port")
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 || strconv.Itoa(number) != port {
			return wrongURI("port", "has the port %s; expected 1 to 65535", port)
		}
	}
	return nil
}
