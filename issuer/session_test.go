package issuer

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestSessionEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(b *bank, v *visitor)
		ends bool
	}{
		"used each 59 minutes, for 11 hours": {func(b *bank, v *visitor) {
			for range 11 {
				b.clock.advance(59 * time.Minute)
				if !v.isSignedIn() {
					b.Fatal("ended early")
				}
			}
		}, false},
		"however much it is used": {func(b *bank, v *visitor) {
			for range 24 {
				b.clock.advance(30 * time.Minute)
				v.get(pathLogin)
			}
		}, true},
		"unused for an hour": {func(b *bank, _ *visitor) { b.clock.advance(store.SessionIdle) }, true},
		"user revoked": {func(b *bank, _ *visitor) {
			b.revokePrincipal(aliceID)
		}, true},
		"user disabled": {func(b *bank, _ *visitor) {
			b.changeUser(func(p *store.Principal) { p.Status = store.Disabled })
		}, true},
		"user renamed": {func(b *bank, _ *visitor) {
			b.changeUser(func(p *store.Principal) { p.Name = "Alice Dew" })
		}, false},
		"another signed in": {func(b *bank, _ *visitor) {
			b.putUser("bob", alicePassword)
			b.signedIn("bob", alicePassword)
		}, false},
		"ended in the store": {func(b *bank, v *visitor) {
			_, hash, _ := b.issuer.presented(&http.Request{Header: http.Header{"Cookie": {b.issuer.sessionCookie() + "=" + v.session()}}})
			b.update(func(tx store.Writer) error { return tx.DeleteSession(b.env, hash) })
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTown(t, nil)
			b.TB = t
			v := b.signedIn(aliceID, alicePassword)
			if !v.isSignedIn() {
				t.Fatal("never signed in")
			}
			test.do(b, v)
			if got := v.isSignedIn(); got == test.ends {
				t.Errorf("signed in: %v", got)
			}
		})
	}
}

func (b *bank) changeUser(change func(*store.Principal)) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, aliceID)
		if err != nil {
			return err
		}
		change(&p)
		return tx.PutPrincipal(p)
	})
}

func (b *bank) revokePrincipal(id string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		_, err := tx.Revoke(store.Revocation{
			Environment: b.env, Kind: store.KindPrincipal, Target: id,
			At: b.clock.Now(), Expires: b.clock.Now().Add(b.authority.Retention()), Reason: "test",
		})
		return err
	})
}

// Signed in after a revocation, a user is.
func TestSessionAfterARevocation(t *testing.T) {
	b := newTown(t, nil)
	old := b.signedIn(aliceID, alicePassword)
	b.revokePrincipal(aliceID)
	v := b.signedIn(aliceID, alicePassword)
	if !v.isSignedIn() || old.isSignedIn() {
		t.Errorf("signed in: now %v, before the revocation %v", v.isSignedIn(), old.isSignedIn())
	}
	// One that ended does not come back when the user does.
	b.changeUser(func(p *store.Principal) { p.Status = store.Disabled })
	b.revokePrincipal(aliceID) // as `user disable` does
	b.changeUser(func(p *store.Principal) { p.Status = store.Active })
	if v.isSignedIn() {
		t.Error("the session came back with the user")
	}
}

func TestSessionOutlivesARestart(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	cookie := v.session()
	b.restart()
	again := b.visitor()
	again.jar.SetCookies(again.at(), []*http.Cookie{{Name: b.issuer.sessionCookie(), Value: cookie}})
	if !again.isSignedIn() {
		t.Error("not signed in any more")
	}
}

func TestSessionCookiesThatAreNone(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	right, name := v.session(), b.issuer.sessionCookie()
	foreign := newTown(t, func(b *bank) { b.env = store.Production })
	stranger := foreign.signedIn(aliceID, alicePassword)
	code, _ := b.authority.Keyring().NewOpaque(token.ClassCode)
	fresh, _ := b.authority.Keyring().NewOpaque(token.ClassSession)
	ask := func(cookies ...string) int {
		t.Helper()
		c := call{method: "GET", path: pathLogin, header: http.Header{"Cookie": cookies}}
		return b.do(c).status
	}
	if got := ask(name + "=" + right); got != http.StatusSeeOther {
		t.Fatalf("the right one: got %d", got)
	}
	for test, cookies := range map[string][]string{
		"made up":                  {name + "=" + fresh},
		"a code":                   {name + "=" + code},
		"an access token":          {name + "=" + b.tokens().access},
		"nonsense":                 {name + "=x"},
		"empty":                    {name + "="},
		"cut":                      {name + "=" + right[:len(right)-1]},
		"of the other environment": {name + "=" + stranger.session()},
		"under the other's name":   {foreign.issuer.sessionCookie() + "=" + right},
		"two, both right":          {name + "=" + right + "; " + name + "=" + right},
		"two, one planted":         {name + "=" + right + "; " + name + "=" + fresh},
		"two headers":              {name + "=" + right, name + "=x"},
	} {
		if got := ask(cookies...); got != http.StatusOK {
			t.Errorf("%s: got %d, want the sign-in page", test, got)
		}
	}
}

func TestSessionCookieIsOutOfReach(t *testing.T) {
	b := newTown(t, nil)
	got := b.visitor().signIn(aliceID, alicePassword).wantRedirect(t, "/")
	want := []string{"Path=/", "HttpOnly", "SameSite=Lax"}
	check := func(cookie, name string, want []string) {
		t.Helper()
		parts := strings.Split(cookie, "; ")
		if !strings.HasPrefix(parts[0], name+"=") || strings.Join(parts[1:], "; ") != strings.Join(want, "; ") {
			t.Errorf("cookie %q, want %s with %q", cookie, name, want)
		}
	}
	check(got.header.Get("Set-Cookie"), "bearer-sandbox", want)
	o := b.options
	o.URL = "https://auth.test"
	is, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	check(is.cookie("x"), "__Host-bearer-sandbox", []string{"Path=/", "HttpOnly", "Secure", "SameSite=Lax"})
}

// How exactly the last use is known costs one write a minute.
func TestSessionSeen(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	began := b.clock.Now()
	seen := func() store.Session {
		t.Helper()
		var all []store.Session
		if err := b.store.View(t.Context(), func(tx store.Reader) (err error) {
			all, err = tx.Sessions(b.env, aliceID)
			return err
		}); err != nil || len(all) != 1 {
			t.Fatalf("sessions %v, %v", all, err)
		}
		return all[0]
	}
	if s := seen(); s.Address != "127.0.0.1" || s.Agent != "Test/1.0" || !s.Seen.Equal(began) || !s.Expires.Equal(began.Add(sessionLife)) {
		t.Errorf("session %+v", s)
	}
	b.clock.advance(sessionTouch - time.Second)
	v.get(pathLogin)
	if s := seen(); !s.Seen.Equal(began) {
		t.Errorf("seen %v after it began", s.Seen.Sub(began))
	}
	b.clock.advance(time.Second)
	v.send(call{method: "GET", path: pathLogin, header: http.Header{"User-Agent": {strings.Repeat("x\xff", 1000)}}})
	if s := seen(); !s.Seen.Equal(b.clock.Now()) || !s.Authenticated.Equal(began) || len(s.Agent) > 200 {
		t.Errorf("session %+v", s)
	}
}
