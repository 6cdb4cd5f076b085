package issuer

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// maxRedirectURI is the most that a redirect URI may have, in bytes.
const maxRedirectURI = 1000

// CheckRedirectURI reports what is wrong with a redirect URI that is to be
// registered, if anything is. Redirect URIs are compared as strings, so nothing
// is changed about one: what could be spelt in two ways is refused.
//
// It is https, or http to the device itself (RFC 8252 §7.3), or has a private-use
// scheme with a dot in it (§7.1). It is absolute and has no fragment (RFC 6749
// §3.1.2), and nothing in it stands for anything else.
func CheckRedirectURI(raw string) error {
	if raw == "" || len(raw) > maxRedirectURI {
		return errors.New("has not 1 to 1000 bytes")
	}
	for k := range len(raw) {
		if c := raw[k]; c <= ' ' || c > '~' || strings.IndexByte(`"<>\^{}|*`+"`", c) >= 0 {
			return errors.New("has characters that a URL must not have (other letters stand percent-encoded, in a host as xn--), or a * for any")
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case strings.Contains(raw, "#"):
		return errors.New("must have no fragment (#)")
	case u.User != nil:
		return errors.New("must not hold a user or a password")
	}
	scheme := u.Scheme
	switch {
	case scheme == "":
		return errors.New("is not absolute: it must begin with https://")
	case !strings.HasPrefix(raw, scheme+":") || u.Host != strings.ToLower(u.Host):
		return errors.New("has capitals in its scheme or host: write them small")
	case scheme == "https" && plainHost(u):
		return nil
	case scheme == "http" && plainHost(u):
		if !loopbackHost(u.Hostname()) {
			return errors.New("is http: only 127.0.0.1, [::1] and localhost may do without https")
		}
		return nil
	case scheme == "https" || scheme == "http":
		return errors.New("has no host, or one that is not a plain name or address")
	case !strings.Contains(scheme, "."):
		return errors.New("must begin with https://, or with a scheme of your own that has a dot, as com.example.app:")
	case u.Opaque == "" && u.Path == "" && u.Host == "":
		return errors.New("has nothing behind its scheme")
	}
	return nil
}

// plainHost reports whether a host is a name of letters, digits, dots and hyphens
// or an address, with or without a port.
func plainHost(u *url.URL) bool {
	name := u.Hostname()
	if _, err := netip.ParseAddr(name); err == nil {
		return !strings.Contains(name, "%")
	}
	return !strings.HasSuffix(u.Host, ":") && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// loopbackHost reports whether a host is the device itself.
func loopbackHost(name string) bool {
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.IsLoopback()
}

// CheckPostURI is CheckRedirectURI for an app of the access code exchange, to
// which a browser sends a form: that needs the web.
func CheckPostURI(raw string) error {
	if err := CheckRedirectURI(raw); err != nil {
		return err
	}
	if !strings.HasPrefix(raw, "https://") && !strings.HasPrefix(raw, "http://") {
		return errors.New("must begin with https://: the app receives a form, which no scheme of its own can take")
	}
	return nil
}

// originOf is the origin of a redirect URI as a source in a policy of the page
// (CSP). It is empty if the URI is not one that CheckPostURI lets pass.
func originOf(raw string) string {
	if CheckPostURI(raw) != nil {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
