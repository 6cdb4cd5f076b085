package issuer

import (
	"net/url"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// mustSignIn finds who is signed in, or sends the browser to the sign-in page.
func (i *Issuer) mustSignIn(x *exchange) (*person, *response, error) {
	p, err := i.person(x)
	if p != nil || err != nil {
		return p, nil, err
	}
	to := seeOther(i.base + "/login?" + url.Values{"next": {x.URL.RequestURI()}}.Encode())
	return nil, &to, nil
}

// mustStepUp asks for the password again, unless it was given a moment ago.
func (i *Issuer) mustStepUp(x *exchange, p *person) (*response, error) {
	if p.justAuthenticated(x.now) {
		return nil, nil
	}
	to := seeOther(i.base + "/login?" + url.Values{"next": {x.URL.RequestURI()}, "confirm": {"1"}}.Encode())
	return &to, nil
}

// personEvent is the audit row for what a person does.
func (i *Issuer) personEvent(x *exchange, action, target string) store.Event {
	return store.Event{
		Environment: i.environment, At: x.now, Actor: "user:" + x.person, Action: action, Target: target,
		Outcome: "ok", Address: address(x.ip), RequestID: x.requestID,
	}
}
