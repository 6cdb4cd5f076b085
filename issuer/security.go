package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Paths of who one is, and where one is signed in.
const (
	pathSettings    = "/settings"
	pathPassword    = pathSettings + "/password"
	pathSessions    = pathSettings + "/sessions"
	pathSessionsEnd = pathSessions + "/end"
)

// securityRoutes registers the page Security and its forms.
func (i *Issuer) securityRoutes(mux *http.ServeMux, base string) {
	getHeadOrPost := []string{http.MethodGet, http.MethodHead, http.MethodPost}
	mux.Handle(base+pathSettings, i.handlePage("settings", getHeadOrPost[:2], i.forPerson(i.security)))
	mux.Handle(base+pathPassword, i.handlePage("settings.password", getHeadOrPost, i.posted(pathSettings, i.changePassword)))
	mux.Handle(base+pathSessionsEnd, i.handlePage("sessions.end", getHeadOrPost, i.posted(pathSettings, i.signOutElsewhere)))
	mux.Handle(base+pathSessions+"/{id}/end", i.handlePage("sessions.end_one", getHeadOrPost, i.posted(pathSettings, i.signOutThere)))
}

// passwordChanged is the page that a changed password leads to.
const passwordChanged = pathSettings + "?changed=password"

// security shows who a person is, lets the password be changed and sessions ended.
func (i *Issuer) security(x *exchange, p *person) (response, error) {
	// Anybody may send a person to that address: it is believed of a new session only.
	changed := x.URL.Query().Get("changed") == "password" && p.justAuthenticated(x.now)
	return i.securityPage(x, p, http.StatusOK, pages.SecurityData{Changed: changed})
}

func (i *Issuer) securityPage(x *exchange, p *person, status int, d pages.SecurityData) (response, error) {
	d.Layout = i.layoutIn(p, pages.SectionSecurity)
	d.ID, d.MinPassword = p.user.ID, token.MinPassword
	d.Password = i.passwordPlace(&p.user)
	if i.upstream != nil {
		d.Provider = hostOf(i.upstream.Issuer)
	}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		r, err := i.rightsOf(tx, p.user.ID)
		if err != nil {
			return err
		}
		d.Name, d.Full = r.user.Name, r.full
		for k := range r.open {
			d.Accounts = append(d.Accounts, i.boundAccount(&r.open[k]))
		}
		d.Sessions, err = i.openSessions(tx, x, p)
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("read what the page Security shows: %w", err)
	}
	return pageResponse(status, pages.Security(d)), nil
}

// passwordPlace says where the password of a user is changed.
func (i *Issuer) passwordPlace(user *store.Principal) pages.PasswordPlace {
	switch {
	case i.upstream != nil:
		return pages.PasswordAtProvider
	case user.Source != store.FromCommand:
		return pages.PasswordDeclared
	case user.SecretHash == "":
		return pages.PasswordNowhere
	}
	return pages.PasswordHere
}

func (i *Issuer) boundAccount(at *store.Standpoint) pages.BoundAccount {
	shown := pages.BoundAccount{ID: at.Account.ID, Name: shownText(at.Account.Name, maxShownName), Partial: at.Binding.Access == store.Partial}
	for _, name := range visible(i.policy(), at.Binding.Scopes) {
		scope, _ := i.policy().Scope(name)
		shown.Limits = append(shown.Limits, cmp.Or(scope.Title, name))
	}
	return shown
}

// openSessions are the browsers at which a person is signed in, the newest first.
func (i *Issuer) openSessions(tx store.Reader, x *exchange, p *person) (shown []pages.OpenSession, err error) {
	open, err := tx.Sessions(i.environment, p.user.ID)
	for k := range open {
		s := &open[k]
		if !s.Lives(&p.user, x.now) {
			continue
		}
		browser, system := browserOf(s.Agent)
		shown = append(shown, pages.OpenSession{
			ID: s.ID, Since: s.Created, Seen: s.Seen, Address: s.Address,
			Agent: shownText(s.Agent, maxShownText), Browser: browser, System: system, This: s.Hash.Equal(p.session.Hash),
		})
	}
	return shown, err
}

// signOutThere ends one session of a person. One that has ended, or is somebody
// else's, is not there to be ended: the list shows that.
func (i *Issuer) signOutThere(x *exchange, p *person, _ form) (response, error) {
	id := x.PathValue("id")
	if id == p.session.ID {
		answer := seeOther(i.base + pathLogin)
		answer.cookies = []string{i.cookie("")}
		return answer, i.endSession(x, p)
	}
	return seeOther(i.base + pathSettings), i.endSessions(x, p, func(s *store.Session) bool { return s.ID == id })
}

// signOutElsewhere ends all other sessions.
func (i *Issuer) signOutElsewhere(x *exchange, p *person, _ form) (response, error) {
	return seeOther(i.base + pathSettings), i.endSessions(x, p, func(*store.Session) bool { return true })
}

// endSessions signs a person out at other browsers than this one.
func (i *Issuer) endSessions(x *exchange, p *person, which func(*store.Session) bool) error {
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		return i.endOthers(tx, x, p, which)
	})
	if err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return nil
}

func (i *Issuer) endOthers(tx store.Writer, x *exchange, p *person, which func(*store.Session) bool) error {
	open, err := tx.Sessions(i.environment, p.user.ID)
	if err != nil {
		return err
	}
	var errs []error
	for k := range open {
		if s := &open[k]; !s.Hash.Equal(p.session.Hash) && which(s) {
			errs = append(errs, tx.DeleteSession(i.environment, s.Hash),
				tx.Record(i.personEvent(x, "user.sign_out", "session:"+s.ID)))
		}
	}
	return errors.Join(errs...)
}

// changePassword takes another password from who knows the present one. Wrong ones
// count as they do at the sign-in page, so that a stolen session finds out nothing
// that a stranger could not.
func (i *Issuer) changePassword(x *exchange, p *person, f form) (response, error) {
	if place := i.passwordPlace(&p.user); place != pages.PasswordHere {
		return i.securityPage(x, p, http.StatusForbidden, pages.SecurityData{})
	}
	x.sorry = func(e *oauthError) (response, bool) { return i.passwordRefused(x, p, e) }
	if problem := passwordProblem(p.user.ID, f); problem != "" {
		return i.securityPage(x, p, http.StatusUnprocessableEntity, pages.SecurityData{Problem: problem})
	}
	user, err := i.authenticateUser(x, p.user.ID, f["old"])
	if err != nil {
		return response{}, err
	}
	if f["new"] == f["old"] {
		return i.securityPage(x, p, http.StatusUnprocessableEntity, pages.SecurityData{Problem: pages.NewPasswordIsOld})
	}
	hash, err := i.secrets.Hash(x.Context(), f["new"])
	if err != nil {
		return response{}, fmt.Errorf("hash password: %w", err)
	}
	cookie, err := i.putPassword(x, p, user, hash)
	if err != nil {
		return response{}, err
	}
	answer := seeOther(i.base + passwordChanged)
	answer.cookies = []string{cookie}
	return answer, nil
}

// passwordProblem finds what is wrong with the form, whatever the password is.
func passwordProblem(user string, f form) pages.PasswordProblem {
	if f["old"] == "" {
		return pages.NoOldPassword
	}
	var bad *token.BadPassword
	if errors.As(token.CheckPassword(user, f["new"]), &bad) {
		return pages.PasswordProblem("new_" + bad.Flaw)
	}
	if f["again"] != f["new"] {
		return pages.NewPasswordsDiffer
	}
	return ""
}

// passwordRefused is the page with what was wrong beside the old password, if it is
// something that the form can put right.
func (i *Issuer) passwordRefused(x *exchange, p *person, e *oauthError) (response, bool) {
	d := pages.SecurityData{}
	switch {
	case e.code == codeInvalidUser && e.status == http.StatusForbidden:
		d.Problem = pages.WrongOldPassword
	case e.status == http.StatusTooManyRequests && errors.Is(e, token.ErrBusy):
		d.Problem = pages.TooBusyForPasswords
	case e.status == http.StatusTooManyRequests:
		d.Problem, d.Wait = pages.TooManyOldPasswords, int((e.retryAfter+time.Second-1)/time.Second)
	default:
		return response{}, false
	}
	answer, err := i.securityPage(x, p, e.status, d)
	return answer, err == nil
}

// putPassword gives a user another password in one transaction with the end of all
// sessions, for one of which a new one begins: who has a copy of its cookie is left
// with nothing.
func (i *Issuer) putPassword(x *exchange, p *person, user *store.Principal, hash string) (cookie string, err error) {
	next, raw := i.newSession(x, user, x.now)
	err = i.store.Update(x.Context(), func(tx store.Writer) error {
		// What an operator did meanwhile, or another browser, stands.
		now, err := i.unchanged(tx, user)
		if err != nil {
			return err
		}
		now.SecretHash = hash
		return errors.Join(
			i.endOthers(tx, x, p, func(*store.Session) bool { return true }),
			tx.DeleteSession(i.environment, p.session.Hash), // which fails if it was ended meanwhile
			tx.PutPrincipal(now), tx.PutSession(next),
			tx.Record(i.personEvent(x, "user.password_change", "principal:"+user.ID)))
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", errSignInAgain
	case err != nil:
		return "", fmt.Errorf("change password: %w", err)
	}
	i.changed("user.password_change", "principal:"+user.ID)
	return i.cookie(raw), nil
}
