package policy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What holds if a policy does not say otherwise: a page can send its token and
// JSON, and a browser asks again after ten minutes.
var defaultCORSHeaders = []string{"authorization", "content-type"}

const defaultCORSMaxAge = 10 * time.Minute

// maxCORSMaxAge is the longest that any browser remembers (Firefox; others less).
const maxCORSMaxAge = 24 * time.Hour

// cors reads {origins, headers, expose, max_age}. Only a route may have no
// origins, which turns off for it what the policy says.
func (r *reader) cors(n *yaml.Node, ofRoute bool) *CORS {
	if ofRoute && n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!bool" || n.Value == "off" || n.Value == "none") {
		r.errorf(positionOf(n), "wrong-type", "cors: found %s; write {origins: []} to let no page of another origin use the route", describe(n))
		return nil
	}
	o, ok := r.object(n, "cors", "origins", "headers", "expose", "max_age")
	if !ok {
		return nil
	}
	c := &CORS{at: o.at, Origins: []string{}, Headers: defaultCORSHeaders, Expose: []string{}, MaxAge: int(defaultCORSMaxAge.Seconds())}
	if n := r.required(o, "origins"); n != nil {
		if ofRoute && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			r.nothingBesideNoOrigins(o)
			return &CORS{at: o.at, Origins: []string{}, Headers: []string{}, Expose: []string{}}
		}
		c.Origins = r.origins(n)
	}
	c.allowed = make(map[string]bool, len(c.Origins))
	for _, origin := range c.Origins {
		c.allowed[origin] = true
	}
	if n := o.values["headers"]; n != nil {
		c.Headers = r.headerNames(n, "headers", checkPageSends)
	}
	if n := o.values["expose"]; n != nil {
		c.Expose = r.headerNames(n, "expose", checkPageReads)
	}
	if n := o.values["max_age"]; n != nil {
		c.MaxAge = r.maxAge(n)
	}
	return c
}

func (r *reader) nothingBesideNoOrigins(o object) {
	for _, key := range []string{"headers", "expose", "max_age"} {
		if n := o.values[key]; n != nil {
			r.errorf(positionOf(n), "no-effect", "cors: %s has no effect without origins", key)
		}
	}
}

func (r *reader) origins(n *yaml.Node) []string {
	names, _ := r.someNames(n, "origins")
	origins := make([]string, 0, len(names))
	for _, name := range names {
		if err := checkOrigin(name.text); name.at != (position{}) && err != nil {
			r.errorf(name.at, "bad-origin", "origin %q: %v", name.text, err)
		}
		origins = append(origins, name.text)
	}
	return origins
}

// checkOrigin says what is wrong with an origin. It is compared with what a
// browser sends as a string, so that any other spelling than the browser's would
// never match and only look like a permission.
func checkOrigin(s string) error {
	switch {
	case s == "*":
		return errors.New("that would be every page on the web; name each origin, as in https://app.example.com")
	case s == "null":
		return errors.New("any page can take this one, in a sandboxed frame; name each origin, as in https://app.example.com")
	case strings.Contains(s, "*"):
		return errors.New("an origin is compared as it stands, without wildcards; name each, as in https://app.example.com")
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return errors.New("expected a scheme and a host, and a port if it is not the scheme's own, as in https://app.example.com or https://app.example.com:8443")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("scheme %q; expected https, or http for a loopback host", u.Scheme)
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return err
	}
	port, err := canonicalPort(u)
	if err != nil {
		return err
	}
	if u.Scheme == "http" && !isLoopback(host) {
		return fmt.Errorf("whoever is on the way can change a page that comes by http; expected https://%s, or http for localhost, 127.0.0.1 and [::1]", host+port)
	}
	if canonical := u.Scheme + "://" + host + port; s != canonical {
		return fmt.Errorf("browsers write it %q, without anything after it", canonical)
	}
	return nil
}

// canonicalHost is a host as browsers write it in an origin.
func canonicalHost(host string) (string, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.Is4In6() {
			return "", fmt.Errorf("%q is no address as browsers write it", host)
		}
		if address.Is6() {
			return "[" + address.String() + "]", nil
		}
		return address.String(), nil
	}
	host = strings.ToLower(host)
	for _, c := range host {
		if c >= 0x80 {
			return "", errors.New("browsers send a host in ASCII, as in xn--bcher-kva.example")
		}
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("%q is no host", host)
		}
	}
	if last := host[strings.LastIndexByte(host, '.')+1:]; last[0] >= '0' && last[0] <= '9' {
		return "", fmt.Errorf("%q is no host, and no address as browsers write it", host)
	}
	return host, nil
}

// canonicalPort is empty for the scheme's own.
func canonicalPort(u *url.URL) (string, error) {
	text := u.Port()
	if text == "" {
		return "", nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || port == 0:
		return "", fmt.Errorf("port %s; expected 1 to 65535", text)
	case u.Scheme == "https" && port == 443, u.Scheme == "http" && port == 80:
		return "", nil
	}
	return fmt.Sprintf(":%d", port), nil
}

// isLoopback reports whether a canonical host never leaves the machine
// (Secure Contexts, §3.1).
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// headerNames reads a list of header names and returns them in small letters.
func (r *reader) headerNames(n *yaml.Node, what string, check func(string) error) []string {
	names, _ := r.someNames(n, what)
	list := make([]string, 0, len(names))
	seen := make(map[string]string, len(names))
	for _, name := range names {
		folded := strings.ToLower(name.text)
		if err := check(folded); name.at != (position{}) && err != nil {
			r.errorf(name.at, "bad-header", "%s: %q: %v", what, name.text, err)
		}
		if other, twice := seen[folded]; twice && other != name.text {
			r.errorf(name.at, "duplicate-value", "%s: %q and %q are one header", what, other, name.text)
		}
		seen[folded] = name.text
		list = append(list, folded)
	}
	return list
}

func checkHeaderName(name string) error {
	if name == "*" {
		return errors.New("name each header: a browser takes * for all but authorization")
	}
	for _, c := range name {
		if ('a' > c || c > 'z') && ('0' > c || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) {
			return errors.New("not a header name")
		}
	}
	if name == "" {
		return errors.New("not a header name")
	}
	return nil
}

// checkPageSends refuses what no script can send (Fetch standard, §2.2.2).
func checkPageSends(name string) error {
	forbidden := []string{"cookie", "host", "origin", "referer", "connection", "content-length", "te", "trailer", "transfer-encoding", "upgrade", "via"}
	if slices.Contains(forbidden, name) || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "proxy-") {
		return errors.New("no effect: a browser lets no script set it")
	}
	return checkHeaderName(name)
}

// alwaysExposed are the response headers that every page can read, and those that
// the gate exposes because they say what to do about a refusal.
var alwaysExposed = []string{
	"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma",
	"www-authenticate", "retry-after", "ratelimit", "ratelimit-policy", "location",
}

func checkPageReads(name string) error {
	switch {
	case slices.Contains(alwaysExposed, name):
		return errors.New("no effect: pages can always read it")
	case name == "set-cookie" || name == "set-cookie2":
		return errors.New("no effect: a browser lets no script read it")
	}
	return checkHeaderName(name)
}

// maxAge reads a duration, and returns seconds.
func (r *reader) maxAge(n *yaml.Node) int {
	const want = `a duration of 0s to 24h, as in "10m"`
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrongType(n, "max_age", want)
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 || d > maxCORSMaxAge || d%time.Second != 0 {
		r.errorf(positionOf(n), "bad-value", "max_age: %q; expected %s", n.Value, want)
		return 0
	}
	return int(d / time.Second)
}
