package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Paths for people.
const (
	pathLogin  = "/login"
	pathLogout = "/logout"
)

// codeInvalidUser is the answer to a user id and password that do not fit.
const codeInvalidUser = "invalid_user"

// errInvalidUser is the one answer to a user id that is unknown, a password that
// is wrong, and somebody who is disabled, has no password or is a program. It
// has no challenge: a browser would ask for a password of its own.
var errInvalidUser error = &oauthError{
	status: http.StatusForbidden, code: codeInvalidUser, description: "the user id or the password is not right",
}

// signingIn is what the sign-in page was asked for.
type signingIn struct {
	next    string  // a page of ours, where it leads
	confirm *person // who gives the password again; nil: nobody is signed in yet
}

// login is the sign-in page.
func (i *Issuer) login(x *exchange) (response, error) {
	if x.Method != http.MethodPost {
		return i.askToSignIn(x)
	}
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	s := signingIn{next: i.localPath(f["next"])}
	if f["confirm"] != "" {
		if s.confirm, err = i.person(x); err != nil {
			return response{}, err
		}
		if s.confirm == nil { // the session ended while the page was open
			return seeOther(i.signInURL(s.next, false)), nil
		}
		if err := s.confirm.checkForm(f); err != nil {
			return response{}, err
		}
	}
	if i.upstream != nil {
		return i.leaveForProvider(x, &s)
	}
	return i.signIn(x, &s, f)
}

// askToSignIn shows the form, unless there is nothing to ask.
func (i *Issuer) askToSignIn(x *exchange) (response, error) {
	q, err := url.ParseQuery(x.URL.RawQuery)
	if err != nil {
		return response{}, invalidRequest("the query is not well-formed")
	}
	s := signingIn{next: i.localPath(only(q["next"]))}
	p, err := i.person(x)
	switch {
	case err != nil:
		return response{}, err
	case p != nil && (q.Get("confirm") == "" || p.justAuthenticated(x.now)):
		return seeOther(s.next), nil
	}
	s.confirm = p
	if i.upstream != nil {
		return i.askProvider(x, &s)
	}
	return i.signInPage(&s, http.StatusOK, pages.SignInData{}), nil
}

// only is the value of a parameter that was given once.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// signIn checks what the form holds and begins a session. The page that was open
// is shown again with what is wrong.
func (i *Issuer) signIn(x *exchange, s *signingIn, f form) (response, error) {
	id := strings.TrimSpace(f["user"])
	if s.confirm != nil {
		id = s.confirm.user.ID
	}
	x.sorry = func(e *oauthError) (response, bool) { return i.signInAgain(s, id, e) }
	switch {
	case id == "":
		return i.signInPage(s, http.StatusBadRequest, pages.SignInData{Problem: pages.NoUser}), nil
	case f["password"] == "":
		return i.signInPage(s, http.StatusBadRequest, pages.SignInData{ID: id, Problem: pages.NoPassword}), nil
	}
	user, err := i.authenticateUser(x, id, f["password"])
	if err != nil {
		return response{}, err
	}
	return i.welcome(x, user, s.next, x.now)
}

// welcome begins a session of who gave the password at an instant, and leads on.
func (i *Issuer) welcome(x *exchange, user *store.Principal, next string, authenticated time.Time) (response, error) {
	cookie, err := i.startSession(x, user, authenticated)
	if err != nil {
		return response{}, err
	}
	answer := seeOther(next)
	answer.cookies = []string{cookie}
	return answer, nil
}

// authenticateUser finds the user whose password this is.
//
// Wrong ones are counted for the user at this address, and for the address:
// nobody can lock a user out from where that user is. So somebody with many
// addresses may guess at all of them, as fast as the process computes
// hashes, two at a time: what holds then is the password.
func (i *Issuer) authenticateUser(x *exchange, id, password string) (*store.Principal, error) {
	parties := []party{{kindPrincipal, id}}
	from := throttledAddress(x.ip)
	if err := i.throttle.admit(x.now, from, parties...); err != nil {
		return nil, err
	}
	found, err := i.findParty(x.Context(), id)
	if err != nil {
		return nil, err
	}
	user, hash := found.Principal, token.NoSecret(id)
	if user.Kind == store.User {
		x.named = user.ID
		hash = usableHash(user.Status, user.SecretHash, id)
	}
	fits, err := i.secrets.Verify(x.Context(), hash, password)
	if err != nil {
		return nil, fmt.Errorf("check password: %w", err)
	}
	var wrong []party
	if !fits {
		wrong = parties
	}
	if err := i.throttle.settle(x.now, from, parties, wrong); err != nil {
		return nil, err
	}
	if !fits {
		return nil, errInvalidUser
	}
	x.person = user.ID
	return &user, nil
}

// signInAgain is the form with what was wrong beside it, if it is something that
// the form can put right.
func (i *Issuer) signInAgain(s *signingIn, id string, e *oauthError) (response, bool) {
	d := pages.SignInData{ID: id}
	switch {
	case e.code == codeInvalidUser:
		d.Problem = pages.WrongPassword
	case e.status == http.StatusTooManyRequests && errors.Is(e, token.ErrBusy):
		d.Problem = pages.Busy
	case e.status == http.StatusTooManyRequests:
		d.Problem, d.Wait = pages.Throttled, int((e.retryAfter+time.Second-1)/time.Second)
	default:
		return response{}, false
	}
	return i.signInPage(s, e.status, d), true
}

// signInPage shows the form.
func (i *Issuer) signInPage(s *signingIn, status int, d pages.SignInData) response {
	d.Layout, d.Next = i.layout(""), s.next
	if p := s.confirm; p != nil {
		d.Layout, d.Confirm, d.ID = i.layoutFor("", p), true, p.user.ID
	}
	return i.signInResponse(status, d)
}

// signInResponse is the sign-in page as an answer.
func (i *Issuer) signInResponse(status int, d pages.SignInData, formAction ...string) response {
	answer := pageResponse(status, pages.SignIn(d), formAction...)
	if i.servesApps(d.Next) {
		return answer.keepingOpener()
	}
	return answer
}

// logout ends the session. Who has none is as signed out as one can be.
func (i *Issuer) logout(x *exchange) (response, error) {
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	p, err := i.person(x)
	if err != nil {
		return response{}, err
	}
	if p != nil {
		if err := p.checkForm(f); err != nil {
			return response{}, err
		}
		if err := i.endSession(x, p); err != nil {
			return response{}, err
		}
	}
	answer := seeOther(i.base + pathLogin)
	answer.cookies = []string{i.cookie("")}
	return answer, nil
}
