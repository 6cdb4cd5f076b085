package issuer

import (
	"net/url"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// mustSignIn returns who is signed in, or where to send a browser of whom nobody is.
func (i *Issuer) mustSignIn(x *exchange) (*person, *response, error) {
	p, err := i.person(x)
	if err != nil || p != nil {
		return p, nil, err
	}
	away := i.toSignIn(x, "")
	return nil, &away, nil
}

// mustStepUp returns nil if p has given the password a moment ago, or where to
// send the browser so that it is given again.
func (i *Issuer) mustStepUp(x *exchange, p *person) (*response, error) {
	if p.justAuthenticated(x.now) {
		return nil, nil
	}
	away := i.toSignIn(x, "&confirm=1")
	return &away, nil
}

func (i *Issuer) toSignIn(x *exchange, more string) response {
	return seeOther(i.base + "/login?next=" + url.QueryEscape(x.URL.RequestURI()) + more)
}

func (i *Issuer) personEvent(x *exchange, action, target string) store.Event {
	return store.Event{
		Environment: i.environment, At: x.now,
		Actor: "user:" + x.person, Action: action, Target: target,
		Outcome: "ok", Address: address(x.ip), RequestID: x.requestID,
	}
}

func (i *Issuer) layoutFor(title string, p *person) pages.Layout {
	l := i.layout(title)
	l.User, l.CSRF = p.user.ID, p.csrf
	return l
}
