package issuer

import (
	"net/url"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// mustSignIn returns who is signed in, or the way to the page where one does.
func (i *Issuer) mustSignIn(x *exchange) (*person, *response, error) {
	p, err := i.person(x)
	if p != nil || err != nil {
		return p, nil, err
	}
	away := seeOther(i.base + "/login?next=" + url.QueryEscape(x.URL.RequestURI()))
	return nil, &away, nil
}

// mustStepUp returns nil if the password was just given, or the way to the page
// that asks for it again.
func (i *Issuer) mustStepUp(x *exchange, p *person) (*response, error) {
	if p.justAuthenticated(x.now) {
		return nil, nil
	}
	away := seeOther(i.base + "/login?confirm=1&next=" + url.QueryEscape(x.URL.RequestURI()))
	return &away, nil
}

// personEvent is the audit row for what the person who is signed in does.
func (i *Issuer) personEvent(x *exchange, action, target string) store.Event {
	e := x.event(i.environment, action, target)
	e.Actor = "user:" + x.person
	return e
}
