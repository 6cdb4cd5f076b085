package issuer

import (
	"cmp"
	"net/url"
	"path"
	"strings"
)

// mustSignIn returns who is signed in, or where to send a browser of whom nobody
// is: to the sign-in page, which leads back to what was asked for.
func (i *Issuer) mustSignIn(x *exchange) (*person, *response, error) {
	p, err := i.person(x)
	if err != nil || p != nil {
		return p, nil, err
	}
	away := i.toSignIn(x, false)
	return nil, &away, nil
}

// mustStepUp returns nil if p has given the password a moment ago, or where to
// send the browser so that it is given again. What is as good as a password
// itself is shown only then.
func (i *Issuer) mustStepUp(x *exchange, p *person) (*response, error) {
	if p.justAuthenticated(x.now) {
		return nil, nil
	}
	away := i.toSignIn(x, true)
	return &away, nil
}

func (i *Issuer) toSignIn(x *exchange, confirm bool) response {
	return seeOther(i.signInURL(i.wayBack(x), confirm))
}

// wayBack is what leads to the page of a request once more. What a form brought is
// not in it: its page is shown again.
func (i *Issuer) wayBack(x *exchange) string {
	back := x.URL.EscapedPath()
	if x.URL.RawQuery != "" {
		back += "?" + x.URL.RawQuery
	}
	return i.localPath(back)
}

// signInURL is the sign-in page's address with what comes after it.
func (i *Issuer) signInURL(next string, confirm bool) string {
	q := url.Values{"next": {next}}
	if confirm {
		q.Set("confirm", "1")
	}
	return i.base + pathLogin + "?" + q.Encode()
}

// maxNext is the longest address that the sign-in page leads to, in bytes.
const maxNext = 8 << 10

// firstPage is where people begin.
func (i *Issuer) firstPage() string { return cmp.Or(i.base, "/") }

// localPath returns next if it is the address of a page of ours, as a path
// from the root, and the first page's if it is anything else: somebody may have
// sent a person to our sign-in page so that it leads to his own. What
// parsers could read differently is refused, not put right.
func (i *Issuer) localPath(next string) string {
	first := i.firstPage()
	rawPath, _, _ := strings.Cut(next, "?")
	page, err := url.PathUnescape(rawPath)
	switch {
	case err != nil || len(next) > maxNext,
		strings.ContainsFunc(next, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '#' }),
		strings.ContainsFunc(page, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }),
		strings.Count(page, "/") != strings.Count(rawPath, "/"), // a slash was hidden
		!strings.HasPrefix(page, i.base+"/") && page != first,
		strings.Contains(page, "//"),                                     // what follows two would be a host
		page != "/" && path.Clean(page) != strings.TrimSuffix(page, "/"): // dots lead elsewhere
		return first
	}
	return next
}
