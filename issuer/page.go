package issuer

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
)

// withoutDevices takes from pages what browsers offer and no page needs.
const withoutDevices = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()"

// pageResponse is a page for people. Nothing of it may be framed or kept, only our
// own script is run, and forms go to us alone, or where formAction says. (Chromium
// asks that of redirects after a form too.) No window of another site holds on to
// it, nor does its content reach one.
func pageResponse(status int, body []byte, formAction ...string) response {
	policy := "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	return response{
		status: status, contentType: "text/html; charset=utf-8", body: body,
		header: map[string]string{
			"Content-Security-Policy": strings.Join(append([]string{policy}, formAction...), " "),
			"X-Frame-Options":         "DENY",

			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           withoutDevices,
		},
	}
}

// keepingOpener is a page that an app may show in a window of its own, which tells
// the app what came of it: cut off from who opened it, it couldn't. Each page on the
// way there must be one, or the two are parted for good.
func (a response) keepingOpener() response {
	a.header["Cross-Origin-Opener-Policy"] = "unsafe-none"
	return a
}

// servesApps reports whether an address of ours is one to which apps send people,
// maybe in a window of their own.
func (i *Issuer) servesApps(next string) bool {
	page, _, _ := strings.Cut(next, "?")
	return page == i.base+pathAuthorize || page == i.base+pathConnect
}

// seeOther sends a browser on with a GET, whatever it came with (RFC 9110 §15.4.4).
func seeOther(location string) response {
	return response{status: http.StatusSeeOther, header: map[string]string{"Location": location}}
}

// handlePage is handle for people: what goes wrong is answered with a page, and a
// form that another site sent is refused (it has no business here, with or
// without a session).
func (i *Issuer) handlePage(endpoint string, methods []string, serve func(*exchange) (response, error)) http.Handler {
	checked := func(x *exchange) (response, error) {
		if err := i.sameOrigin.Check(x.Request); err != nil {
			return response{}, pageError(http.StatusForbidden, codeInvalidRequest, "error.says.other_site").because(err)
		}
		return serve(x)
	}
	return i.handler(exchange{endpoint: endpoint, page: true}, methods, checked)
}

// errorPage says what went wrong to a person: on the page that was open, if that
// can be put right there.
func (i *Issuer) errorPage(x *exchange, e *oauthError) response {
	answer, said := response{}, false
	if x.sorry != nil {
		answer, said = x.sorry(e)
	}
	if !said {
		answer = pageResponse(e.status, pages.Error(pages.ErrorData{
			Layout: i.layout(""), Status: e.status, Text: e.text, Values: e.values, Description: e.description,
		}))
	}
	for name, value := range e.response().header {
		if name != "WWW-Authenticate" { // a browser would ask for a password of its own
			answer.header[name] = value
		}
	}
	return answer
}

// layout is what all pages have in common.
func (i *Issuer) layout(title string) pages.Layout {
	return pages.Layout{Title: title, Environment: string(i.environment), Base: i.base, Trading: len(i.tradingScopes) > 0}
}

// layoutFor is layout with who is signed in, and the form that signs out.
func (i *Issuer) layoutFor(title string, p *person) pages.Layout {
	l := i.layout(title)
	l.User, l.CSRF = cmp.Or(p.user.Name, p.user.ID), p.csrf
	return l
}

// layoutIn is layoutFor a page that is part of a section.
func (i *Issuer) layoutIn(p *person, section pages.Section) pages.Layout {
	l := i.layoutFor("", p)
	l.Section = section
	return l
}

// asset is a file that pages need.
func (i *Issuer) asset(x *exchange) (response, error) {
	file, known := pages.Asset(x.PathValue("file"))
	if !known {
		return notFound(x)
	}
	return response{status: http.StatusOK, contentType: file.ContentType, cache: "public, max-age=31536000, immutable", body: file.Body}, nil
}
