package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	sessionLife  = 12 * time.Hour   // however much it is used
	sessionTouch = time.Minute      // how exactly its last use is known
	stepUpLife   = 60 * time.Second // how long a password counts as just given
)

// person is who is signed in at the browser that sent a request.
type person struct {
	session store.Session
	user    store.Principal
	csrf    string // what forms of this session must send along
}

// justAuthenticated reports whether the password was given a moment ago: what is
// as good as a password itself is shown only then.
func (p *person) justAuthenticated(now time.Time) bool {
	age := now.Sub(p.session.Authenticated)
	return age >= 0 && age <= stepUpLife
}

// sessionCookie is the name of the cookie. Cookies are shared by all ports of a
// host, so the environment stands in it. The prefix makes browsers refuse one
// that somebody else set (RFC 6265bis §4.1.3.2); it needs https.
func (i *Issuer) sessionCookie() string {
	if i.secure() {
		return "__Host-bearer-" + string(i.environment)
	}
	return "bearer-" + string(i.environment)
}

// secure reports whether browsers reach the issuer by https. (Loopback addresses
// may do without.)
func (i *Issuer) secure() bool { return strings.HasPrefix(i.url, "https://") }

// cookie makes a session's cookie; one with an empty value ends it.
func (i *Issuer) cookie(raw string) string {
	c := http.Cookie{ //nolint:gosec // Secure is set wherever browsers come by https
		Name: i.sessionCookie(), Value: raw, Path: "/",
		Secure: i.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode, // a redirect from an app must find it
	}
	if raw == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// presented returns the session cookie of a request, if it can be one of ours.
// Of several none counts: somebody has planted one.
func (i *Issuer) presented(r *http.Request) (raw string, hash store.Hash, ok bool) {
	cookies := r.CookiesNamed(i.sessionCookie())
	if len(cookies) != 1 {
		return "", store.Hash{}, false
	}
	raw = cookies[0].Value
	opaque, err := i.keyring.ParseOpaque(raw)
	return raw, opaque.Hash, err == nil && opaque.Class == token.ClassSession
}

// person finds who is signed in: nil if nobody is.
func (i *Issuer) person(x *exchange) (*person, error) {
	raw, hash, ok := i.presented(x.Request)
	if !ok {
		return nil, nil
	}
	p := &person{csrf: csrfOf(raw)}
	err := i.store.View(x.Context(), func(tx store.Reader) (err error) {
		if p.session, err = tx.Session(i.environment, hash); err != nil {
			return err
		}
		p.user, err = tx.Principal(i.environment, p.session.Principal)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read session: %w", err)
	case !p.session.Lives(&p.user, x.now):
		return nil, nil
	}
	x.person = p.user.ID
	return p, i.touch(x, p)
}

// touch notes that a session is used, once a minute.
func (i *Issuer) touch(x *exchange, p *person) error {
	if x.now.Sub(p.session.Seen) < sessionTouch {
		return nil
	}
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		// Whoever ended it meanwhile must not see it come back.
		s, err := tx.Session(i.environment, p.session.Hash)
		if err != nil {
			return err
		}
		s.Seen, s.Address, s.Agent = x.now, address(x.ip), agentOf(x.Request)
		return tx.PutSession(s)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("note the use of a session: %w", err)
	}
	return nil
}

// errSignInAgain: the user was changed between the check of the password and the
// session that would stand on it.
var errSignInAgain error = pageError(http.StatusConflict, codeInvalidUser, "error.says.account_changed")

// startSession signs a user in, who gave a password at an instant (zero: nobody
// knows when), and returns the cookie's header line. The cookie is always a new one,
// whatever the browser had before: nobody can have planted it (session fixation).
func (i *Issuer) startSession(x *exchange, user *store.Principal, authenticated time.Time) (string, error) {
	s, raw := i.newSession(x, user, authenticated)
	_, before, had := i.presented(x.Request)
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		// Who was disabled or got another password meanwhile was signed out by that,
		// and this session would have been missed.
		if _, err := i.unchanged(tx, user); err != nil {
			return err
		}
		if had {
			if err := tx.DeleteSession(i.environment, before); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return errors.Join(tx.PutSession(s), tx.Record(i.personEvent(x, "user.sign_in", "session:"+s.ID)))
	})
	if err != nil {
		return "", fmt.Errorf("start session: %w", err)
	}
	return i.cookie(raw), nil
}

// newSession is a session that begins now, and what its cookie holds.
func (i *Issuer) newSession(x *exchange, user *store.Principal, authenticated time.Time) (s store.Session, raw string) {
	raw, hash := i.keyring.NewOpaque(token.ClassSession)
	return store.Session{
		Environment: i.environment, Hash: hash, KeyID: token.KeyIDOf(raw), ID: token.NewID(),
		Principal: user.ID, Epoch: user.Epoch, Created: x.now, Authenticated: authenticated, Seen: x.now,
		Expires: x.now.Add(sessionLife), Address: address(x.ip), Agent: agentOf(x.Request),
	}, raw
}

// unchanged reads a user again, of whom the password was checked. It fails with
// errSignInAgain if what that stood on is another now.
func (i *Issuer) unchanged(tx store.Reader, user *store.Principal) (store.Principal, error) {
	now, err := tx.Principal(i.environment, user.ID)
	if err == nil && (now.Status != store.Active || now.Epoch != user.Epoch || now.SecretHash != user.SecretHash || now.Source != user.Source) {
		err = errSignInAgain
	}
	return now, err
}

// endSession signs a person out.
func (i *Issuer) endSession(x *exchange, p *person) error {
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		if err := tx.DeleteSession(i.environment, p.session.Hash); err != nil {
			return err
		}
		return tx.Record(i.personEvent(x, "user.sign_out", "session:"+p.session.ID))
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) { // ended meanwhile
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// csrfOf derives from a session's cookie what its forms send along: who can make
// a browser send a form can't read the cookie.
func csrfOf(raw string) string {
	sum := sha256.Sum256([]byte("form of session " + raw))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkForm refuses a form that no page of this session holds.
func (p *person) checkForm(f form) error {
	if subtle.ConstantTimeCompare([]byte(f["csrf"]), []byte(p.csrf)) != 1 {
		return pageError(http.StatusForbidden, codeInvalidRequest, "error.says.other_session")
	}
	return nil
}

// agentOf is what a browser says of itself, short enough for a list.
func agentOf(r *http.Request) string {
	const most = 200
	agent := strings.ToValidUTF8(r.UserAgent(), "")
	if len(agent) > most {
		agent = strings.ToValidUTF8(agent[:most], "")
	}
	return agent
}
