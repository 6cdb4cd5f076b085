package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// pathCallback is where the provider sends people back to.
const pathCallback = pathLogin + "/callback"

// kindProvider counts what came back wrongly: each costs a call to the provider.
const kindProvider = "provider"

// codeAccessDenied is for who did not sign in at the provider.
const codeAccessDenied = "access_denied"

// askProvider shows the page that leads to the provider.
func (i *Issuer) askProvider(x *exchange, s *signingIn) (response, error) {
	known, err := i.upstream.discover(x.Context())
	if err != nil {
		return response{}, err
	}
	d := pages.SignInData{Layout: i.layout(""), Next: s.next, Provider: hostOf(i.upstream.Issuer)}
	if p := s.confirm; p != nil {
		d.Layout, d.Confirm, d.ID = i.layoutFor("", p), true, p.user.ID
	}
	return i.signInResponse(http.StatusOK, d, known.origin), nil
}

// leaveForProvider sends a person to the provider.
func (i *Issuer) leaveForProvider(x *exchange, s *signingIn) (response, error) {
	known, err := i.upstream.discover(x.Context())
	if err != nil {
		return response{}, err
	}
	f := i.newFlow(x.now, s)
	cookie, err := i.keepFlow(f)
	if err != nil {
		return response{}, err
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(f.Verifier), oauth2.SetAuthURLParam("nonce", f.Nonce),
	}
	if f.Confirm != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"),
			oauth2.SetAuthURLParam("max_age", fmt.Sprint(int(stepUpLife/time.Second))))
	}
	answer := seeOther(known.oauth2.AuthCodeURL(f.State, options...))
	answer.cookies = []string{cookie}
	return answer, nil
}

// callback is where the provider sends people back to.
func (i *Issuer) callback(x *exchange) (response, error) {
	from, parties := throttledAddress(x.ip), []party{{kind: kindProvider}}
	if err := i.throttle.admit(x.now, from, parties...); err != nil {
		return response{}, err
	}
	user, f, authenticated, err := i.backFromProvider(x)
	var wrong []party
	if err != nil && asOAuthError(err).status < 500 {
		wrong = parties
	}
	if err := i.throttle.settle(x.now, from, parties, wrong); err != nil {
		return response{}, err
	}
	if err != nil {
		return response{}, err
	}
	answer, err := i.welcome(x, user, f.Next, authenticated)
	if err != nil {
		return response{}, err
	}
	over, err := i.keepFlow(nil)
	if err != nil {
		return response{}, err
	}
	answer.cookies = append(answer.cookies, over)
	return answer, nil
}

// backFromProvider finds out who signed in at the provider.
func (i *Issuer) backFromProvider(x *exchange) (*store.Principal, *signInFlow, time.Time, error) {
	fail := func(err error) (*store.Principal, *signInFlow, time.Time, error) { return nil, nil, time.Time{}, err }
	q, err := url.ParseQuery(x.URL.RawQuery)
	if err != nil {
		return fail(invalidRequest("the query is not well-formed"))
	}
	f, ok := i.flow(x)
	// The page would be anybody's who sends a person here, if the state were not
	// looked at first.
	if !ok || !sameSecret(only(q["state"]), f.State) {
		return fail(pageError(http.StatusBadRequest, codeInvalidRequest, "error.provider.other_browser", "Minutes", int(flowLife/time.Minute)))
	}
	known, err := i.upstream.discover(x.Context())
	if err != nil {
		return fail(err)
	}
	if from, said := q["iss"]; said && only(from) != i.upstream.Issuer || !said && known.namesSelf {
		return fail(errNotProven(errors.New("the answer is of another OpenID provider (RFC 9207)")))
	}
	if _, failed := q["error"]; failed {
		return fail(i.providerRefused(only(q["error"]), only(q["error_description"])))
	}
	who, err := i.upstream.identify(x.Context(), known, only(q["code"]), f)
	if err != nil {
		return fail(err)
	}
	who.authenticated = authTime(who.authenticated, x.now)
	if f.Confirm != "" {
		if err := i.checkConfirmation(x, f, who); err != nil {
			return fail(err)
		}
	}
	user, err := i.knownUser(x, who.user)
	return user, f, who.authenticated, err
}

// checkConfirmation wants that the person who is signed in has given the password
// a moment ago. A provider that passes over prompt=login is found out by that.
func (i *Issuer) checkConfirmation(x *exchange, f *signInFlow, who identity) error {
	p, err := i.person(x)
	switch {
	case err != nil:
		return err
	case p == nil || p.user.ID != f.Confirm || who.user != f.Confirm:
		return pageError(http.StatusForbidden, codeInvalidUser, "error.provider.somebody_else")
	case x.now.Sub(who.authenticated) > stepUpLife:
		return pageError(http.StatusForbidden, codeInvalidUser, "error.provider.not_asked")
	}
	return nil
}

// providerSkew is how far the provider's clock may be ahead of ours.
const providerSkew = 10 * time.Second

// authTime is auth_time by our clock: zero if it is one of the future.
func authTime(at, now time.Time) time.Time {
	switch ahead := at.Sub(now); {
	case ahead > providerSkew:
		return time.Time{}
	case ahead > 0:
		return now
	}
	return at
}

// knownUser is the active user of that id.
func (i *Issuer) knownUser(x *exchange, id string) (*store.Principal, error) {
	found, err := i.findParty(x.Context(), id)
	if err != nil {
		return nil, err
	}
	user := found.Principal
	if user.Kind == store.User {
		x.named = user.ID
	}
	if user.Kind != store.User || user.Status != store.Active {
		return nil, pageError(http.StatusForbidden, codeInvalidUser, "error.provider.not_open", "User", shortText(id))
	}
	x.person = user.ID
	return &user, nil
}

// providerRefused repeats what the provider says, as text of its own and not
// too much of it.
func (i *Issuer) providerRefused(code, description string) error {
	says := shortText(code)
	if description != "" {
		says += ": " + shortText(description)
	}
	return pageError(http.StatusForbidden, codeAccessDenied, "error.provider.refused", "Provider", hostOf(i.upstream.Issuer), "Says", says)
}

// shortText is what strangers wrote, fit for a sentence.
func shortText(s string) string {
	const most = 200
	s = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	return u.Host
}
