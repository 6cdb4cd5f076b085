package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestSignIn(t *testing.T) {
	b := newTown(t, nil)
	v := b.visitor()
	page := v.get(pathLogin+"?next=/x").wantPage(t, 200, "Sign in")
	if !strings.Contains(page.body, `name="next" value="/x"`) {
		t.Errorf("the form doesn't lead on: %s", page.body)
	}
	v.post(pathLogin, "user", " alice ", "password", alicePassword, "next", "/x?y=%2F&z=1").wantRedirect(t, "/x?y=%2F&z=1")
	v.get(pathLogin+"?next=/x").wantRedirect(t, "/x")
	if other := b.visitor(); other.isSignedIn() {
		t.Error("a browser without a cookie is signed in")
	}
}

// Whoever can't sign in is told the same, at the price of one hash.
func TestUI11_WhoExistsCannotBeFoundOut(t *testing.T) {
	b := newTown(t, nil)
	b.putUser("bob", "")
	b.putUser("off-user", alicePassword)
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, "off-user")
		if err != nil {
			return err
		}
		p.Status = store.Disabled
		return tx.PutPrincipal(p)
	})
	var bodies []string
	var spent []time.Duration
	for _, who := range [][2]string{
		{aliceID, "wrong"}, {"nobody", alicePassword}, {"bob", alicePassword}, {"off-user", alicePassword},
		{publishedID, publishedSecret}, {botID, botSecret}, {"A\u202ealice", alicePassword}, {strings.Repeat("x", 10<<10), alicePassword},
	} {
		begin := time.Now()
		got := b.visitor().signIn(who[0], who[1]).wantPage(t, 403, "The user id or the password is not right.")
		spent = append(spent, time.Since(begin))
		if len(got.header.Values("Set-Cookie")) > 0 || got.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%q: headers %v", who[0], got.header)
		}
		bodies = append(bodies, strings.Replace(got.body, `value="`+who[0]+`"`, "", 1))
	}
	if different := slices.Compact(bodies); len(different) != 1 {
		t.Errorf("different pages:\n%s", strings.Join(different, "\n"))
	}
	// Each took a hash, which is all of the time that counts: none was answered
	// without one.
	if least := slices.Min(spent); least < hashTime(t)/10 {
		t.Errorf("the quickest refusal took %v, a hash takes %v", least, hashTime(t))
	}
}

// hashTime is the least that one computation takes on this machine.
func hashTime(t *testing.T) time.Duration {
	least := time.Hour
	for range 3 {
		begin := time.Now()
		if _, err := token.HashPassword("x"); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(begin))
	}
	return least
}

func TestUI12_GuessingIsSlowedAndNobodyIsLockedOut(t *testing.T) {
	b := newTown(t, fromHeader)
	v := b.visitor()
	v.ip = "192.0.2.1"
	for range wrongPerPair {
		v.signIn(aliceID, "wrong").wantPage(t, 403, "not right")
	}
	for _, password := range []string{"wrong", alicePassword} {
		got := v.signIn(aliceID, password).wantPage(t, 429, "Too many wrong passwords")
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 60 || !strings.Contains(got.body, fmt.Sprintf("Wait %d second", seconds)) {
			t.Errorf("Retry-After %q, page %s", got.header.Get("Retry-After"), got.body)
		}
	}
	if v.isSignedIn() {
		t.Fatal("signed in while throttled")
	}
	owner := b.visitor()
	owner.ip = "198.51.100.7"
	owner.signIn(aliceID, alicePassword).wantRedirect(t, "/")
	b.clock.advance(6 * time.Second)
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
}

func TestUI12_SprayingIsSlowedByAddress(t *testing.T) {
	b := newTown(t, fromHeader)
	v := b.visitor()
	// No hash for each of them: that is not what this is about.
	b.issuer.throttle = NewThrottle(b.clock.Now())
	for n := range wrongPerAddress {
		p := []party{{kindPrincipal, fmt.Sprint("user-", n)}}
		if err := b.issuer.throttle.settle(b.clock.Now(), throttledAddress("2001:db8::1"), p, p); err != nil {
			t.Fatal(err)
		}
	}
	v.ip = "2001:db8::2:3" // another address of the same customer
	for n := range 1000 - wrongPerAddress {
		if got := v.signIn(fmt.Sprint("user-", n), "summer2026"); got.status != 429 {
			t.Fatalf("user %d: got %d, want 429", n, got.status)
		}
	}
	v.signIn(aliceID, alicePassword).wantPage(t, 429, "From another network you can sign in now")
	v.ip = "2001:db8:0:1::1"
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
}

// Many guess at one user from as many addresses: nobody is locked out, and no
// more hashes are computed than the process allows.
func TestGuessingFromManyAddressesLocksNobodyOut(t *testing.T) {
	b := newTown(t, fromHeader)
	for n := range 2 * wrongPerPair {
		v := b.visitor()
		v.ip = fmt.Sprintf("203.0.113.%d", n)
		v.signIn(aliceID, "wrong").wantPage(t, 403, "not right")
	}
	owner := b.visitor()
	owner.ip = "198.51.100.7"
	owner.signIn(aliceID, alicePassword).wantRedirect(t, "/")
}

func TestUI03_LoginCSRF(t *testing.T) {
	b := newTown(t, nil)
	v := b.visitor()
	v.strange = true
	got := v.signIn(aliceID, alicePassword).wantPage(t, 403, "sent by another site")
	if len(got.header.Values("Set-Cookie")) > 0 {
		t.Error("a cookie was set")
	}
	for _, origin := range []string{"https://evil.test", "null"} {
		c := formCall(pathLogin, "", "user", aliceID, "password", alicePassword).with("Origin", origin)
		if got := b.do(c); got.status != 403 {
			t.Errorf("origin %s: got %d", origin, got.status)
		}
	}
	v.strange = false
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
	v.strange = true
	v.post(pathLogout, "csrf", v.csrf()).wantPage(t, 403, "sent by another site")
	v.strange = false
	if !v.isSignedIn() {
		t.Error("another site signed the user out")
	}
}

func TestUI03_SessionFixation(t *testing.T) {
	b := newTown(t, nil)
	b.putUser("mallory", alicePassword)
	mallory := b.signedIn("mallory", alicePassword)
	planted := mallory.session()

	v := b.visitor()
	v.jar.SetCookies(v.at(), []*http.Cookie{{Name: b.issuer.sessionCookie(), Value: planted}})
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
	if v.session() == planted || v.session() == "" {
		t.Fatal("the session is the one that was planted")
	}
	if mallory.isSignedIn() {
		t.Error("the planted session lives on")
	}
	// Each step of trust makes another one, too.
	before := v.session()
	v.post(pathLogin, "user", aliceID, "password", alicePassword, "confirm", "1", "csrf", v.csrf()).wantRedirect(t, "/")
	if v.session() == before {
		t.Error("the session is the one from before")
	}
	old := b.visitor()
	old.jar.SetCookies(v.at(), []*http.Cookie{{Name: b.issuer.sessionCookie(), Value: before}})
	if old.isSignedIn() {
		t.Error("the session from before lives on")
	}
}

func TestUI13_NextLeadsNowhereElse(t *testing.T) {
	b := newTown(t, nil)
	for _, next := range []string{
		"https://evil.test", "//evil.test", `/\evil.test`, "/%2f%2fevil.test", "/%2F/evil.test", "javascript:alert(1)",
		"///evil.test", `\\evil.test`, `/%5cevil.test`, "/\t/evil.test", "/\n/evil.test", " //evil.test", "%2f%2fevil.test",
		"/../..//evil.test", "/.//evil.test", "/..//evil.test", "/%2e%2e/x", "/a/../b", "/a/./b", "/a/..", "data:text/html,x", "evil.test", "?x",
		"#x", "/x#y", "/\x00x", "/%00x", "/%zz", "http:evil.test", "/x\r\nSet-Cookie: a=b", "/%0d%0aSet-Cookie:a=b", "/\u2025/x",
		"/" + strings.Repeat("x", maxNext), "//", "/a//b", "HTTPS:/evil.test", "@evil.test", "/x?\\y",
	} {
		v := b.visitor()
		page := v.get(pathLogin + "?" + url.Values{"next": {next}}.Encode())
		if !strings.Contains(page.body, `name="next" value="/"`) {
			t.Errorf("%q: the form has another next: %d %s", next, page.status, page.body)
		}
		if got := b.issuer.localPath(next); got != "/" {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	v := b.visitor()
	v.post(pathLogin, "user", aliceID, "password", alicePassword, "next", "//evil.test").wantRedirect(t, "/")
	v.get(pathLogin+"?next=//evil.test").wantRedirect(t, "/")
	v.get(pathLogin+"?next=/a&next=//evil.test").wantRedirect(t, "/")
	for _, next := range []string{
		"/", "/portal", "/portal/", "/a%20b", "/a%252fb", "/oauth2/authorize?redirect_uri=https%3A%2F%2Fapp.test%2Fcb&state=a%2Fb//c",
		"/x?next=//evil.test", "/accounts/K%C3%B6ln", "/a..b/...",
	} {
		if got := b.issuer.localPath(next); got != next {
			t.Errorf("%q became %q", next, got)
		}
	}
}

// Below a path, pages are those below it.
func TestUI13_NextStaysBelowThePathOfTheIssuer(t *testing.T) {
	b := newTown(t, nil)
	o := b.options
	o.URL += "/bank"
	is, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for next, want := range map[string]string{
		"/bank/x?y": "/bank/x?y", "/bank/": "/bank/", "/x": "/bank", "/bank": "/bank", "/bankrobber": "/bank", "/bank/../x": "/bank", "": "/bank",
	} {
		if got := is.localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestUI04_UI14_PagesAreNeverFramedKeptOrNamed(t *testing.T) {
	b := newTown(t, nil)
	v := b.visitor()
	v.get(pathLogin).wantPage(t, 200, "Sign in")
	v.send(call{method: "DELETE", path: pathLogin}).wantPage(t, 405, "use GET, HEAD, POST")
	v.get(pathLogin+"?a=%zz").wantPage(t, 400, "not well-formed")
	v.post(pathLogin, "user", "a", "password", "b", "next", "/\xff").wantPage(t, 400, "not well-formed")
}

// What comes back in a page is text, however long and whatever it says.
func TestUI05_UI06_PagesEscapeWhatTheyRepeat(t *testing.T) {
	b := newTown(t, nil)
	for _, evil := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=1>`, `' autofocus onfocus=alert(1) x='`, "\u202eevil", strings.Repeat("W", 10<<10), `{{.CSRF}}`} {
		got := b.visitor().signIn(evil, "wrong").wantPage(t, 403, "not right")
		for _, tag := range []string{"<script", "<img", "onfocus=alert(1) x='\""} {
			if strings.Contains(withoutOwnScript(got.body), tag) {
				t.Errorf("%q stands in the page as it is", tag)
			}
		}
	}
	v := b.visitor()
	if got := v.get(pathLogin + "?error=%3Csvg%20onload%3D1%3E&next=/%22%3E%3Csvg%20onload=1%3E"); strings.Contains(got.body, "<svg onload") {
		t.Errorf("the query stands in the page as it is: %s", got.body)
	}
	name := `Zoë <script>alert(1)</script> ` + strings.Repeat("long ", 200)
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, aliceID)
		if err != nil {
			return err
		}
		p.Name = name
		return tx.PutPrincipal(p)
	})
	v = b.signedIn(aliceID, alicePassword)
	b.clock.advance(2 * stepUpLife)
	if got := v.get(pathLogin+"?confirm=1").wantPage(t, 200, aliceID); strings.Contains(withoutOwnScript(got.body), "<script") || !strings.Contains(got.body, "Zoë &lt;script&gt;") {
		t.Errorf("the name stands in the page as it is: %s", got.body)
	}
}

func TestSignInNeedsAnIDAndAPassword(t *testing.T) {
	b := newTown(t, nil)
	v := b.visitor()
	for range 2 * wrongPerPair { // they cost no attempt
		v.signIn("", alicePassword).wantPage(t, 400, "Type your user id.")
		v.signIn(" ", alicePassword).wantPage(t, 400, "Type your user id.")
		got := v.signIn(aliceID, "").wantPage(t, 400, "Type your password.")
		if !strings.Contains(got.body, `aria-invalid="true" aria-describedby="problem"`) || !strings.Contains(got.body, `value="alice"`) {
			t.Fatalf("page %s", got.body)
		}
	}
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
	for _, c := range []call{
		formCall(pathLogin, "", "user", aliceID).withBody("user=alice&user=bob&password=x"),
		formCall(pathLogin, "").with("Content-Type", "application/json").withBody(`{"user":"alice"}`),
		formCall(pathLogin, "", "user", aliceID).with("Content-Type", "multipart/form-data; boundary=x"),
	} {
		b.visitor().send(c).wantPage(t, 400, "")
	}
	b.visitor().post(pathLogin, "user", strings.Repeat("x", maxBody)).wantPage(t, 413, "longer than 64 KiB")
}

func TestStepUp(t *testing.T) {
	b := newTown(t, nil)
	b.issuer.mux.Handle("/vault", b.issuer.handlePage("vault", []string{"GET"}, func(x *exchange) (response, error) {
		p, away, err := b.issuer.mustSignIn(x)
		if away != nil || err != nil {
			return deref(away), err
		}
		if away, err := b.issuer.mustStepUp(x, p); away != nil || err != nil {
			return deref(away), err
		}
		return response{status: 200, contentType: "text/plain", body: []byte("gold for " + p.user.ID)}, nil
	}))
	v := b.visitor()
	v.get("/vault?a=b%26c&d=/").wantRedirect(t, "/login?next=%2Fvault%3Fa%3Db%2526c%26d%3D%2F")
	v.post(pathLogin, "user", aliceID, "password", alicePassword, "next", "/vault?a=b%26c&d=/").wantRedirect(t, "/vault?a=b%26c&d=/")
	if got := v.get("/vault"); got.status != 200 || got.body != "gold for alice" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	b.clock.advance(stepUpLife)
	if got := v.get("/vault"); got.status != 200 {
		t.Fatalf("after 60 s: got %d", got.status)
	}
	b.clock.advance(time.Second)
	v.get("/vault").wantRedirect(t, "/login?confirm=1&next=%2Fvault")
	page := v.get("/login?confirm=1&next=%2Fvault").wantPage(t, 200, "Confirm that it is you")
	if !strings.Contains(page.body, `name="csrf" value="`+v.csrf()+`"`) {
		t.Fatalf("page %s", page.body)
	}
	b.putUser("mallory", "another long password")
	confirm := func(pairs ...string) *answer {
		t.Helper()
		return v.post(pathLogin, append([]string{"confirm", "1", "next", "/vault"}, pairs...)...)
	}
	confirm("password", alicePassword).wantPage(t, 403, "not of your present session")
	confirm("password", alicePassword, "csrf", b.signedIn("mallory", "another long password").csrf()).wantPage(t, 403, "not of your present session")
	confirm("password", "wrong", "csrf", v.csrf()).wantPage(t, 403, "This is not your password.")
	// Somebody else's password is not it, whatever id the form says.
	confirm("user", "mallory", "password", "another long password", "csrf", v.csrf()).wantPage(t, 403, "This is not your password.")
	v.get("/vault").wantRedirect(t, "/login?confirm=1&next=%2Fvault")
	confirm("password", alicePassword, "csrf", v.csrf()).wantRedirect(t, "/vault")
	if got := v.get("/vault"); got.body != "gold for alice" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	// The session ended while the page was open.
	csrf := v.csrf()
	b.clock.advance(sessionLife)
	confirm("password", alicePassword, "csrf", csrf).wantRedirect(t, "/login?next=%2Fvault")
}

func deref(r *response) response {
	if r == nil {
		return response{}
	}
	return *r
}

func TestSignOut(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	stolen := b.visitor()
	stolen.jar.SetCookies(v.at(), v.jar.Cookies(v.at()))
	v.post(pathLogout).wantPage(t, 403, "not of your present session")
	v.post(pathLogout, "csrf", "x").wantPage(t, 403, "not of your present session")
	v.get(pathLogout).wantPage(t, 405, "use POST")
	if !v.isSignedIn() {
		t.Fatal("signed out")
	}
	got := v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, "/login")
	if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, "Max-Age=0") {
		t.Errorf("cookie %q", cookie)
	}
	if v.session() != "" || stolen.isSignedIn() {
		t.Error("the session lives on")
	}
	v.post(pathLogout, "csrf", "x").wantRedirect(t, "/login")
}

// A password that was right a moment ago makes no session after what ended them
// all.
func TestSignInRacesWithAChangedPassword(t *testing.T) {
	var hold atomic.Pointer[func()]
	b := newTown(t, func(b *bank) {
		b.wrap = func(s store.Store) store.Store { return &interrupted{s, &hold} }
	})
	changes := map[string]func(p *store.Principal){
		"another password": func(p *store.Principal) { p.SecretHash = b.authority.Keyring().HashSecret("new") },
		"disabled":         func(p *store.Principal) { p.Status = store.Disabled },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			b.putUser("racer", alicePassword)
			between := func() {
				b.update(func(tx store.Writer) error {
					p, err := tx.Principal(b.env, "racer")
					if err != nil {
						return err
					}
					change(&p)
					return tx.PutPrincipal(p)
				})
			}
			hold.Store(&between)
			v := b.visitor()
			if got := v.signIn("racer", alicePassword); got.status == http.StatusSeeOther || v.session() != "" {
				t.Errorf("got %d and a session", got.status)
			}
			if err := b.store.View(t.Context(), func(tx store.Reader) error {
				open, err := tx.Sessions(b.env, "racer")
				if err == nil && len(open) > 0 {
					t.Errorf("sessions %v", open)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// interrupted is a store to which something happens just before the next change.
type interrupted struct {
	store.Store
	before *atomic.Pointer[func()]
}

func (s *interrupted) Update(ctx context.Context, change func(store.Writer) error) error {
	if before := s.before.Swap(nil); before != nil {
		(*before)()
	}
	return s.Store.Update(ctx, change)
}

// Who signs in and out stands in the audit trail, and who was refused is told.
func TestSignInsOfPeopleAreAudited(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, "/login")
	var rows []string
	if err := b.store.View(t.Context(), func(tx store.Reader) error {
		found, err := tx.Audit(b.env, store.AuditFilter{Limit: 10})
		for _, row := range found {
			what, _, _ := strings.Cut(row.Target, ":")
			rows = append(rows, strings.Join([]string{row.Actor, row.Action, what, row.Outcome, row.Address, row.RequestID}, "|"))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const end = "|session|ok|127.0.0.1|request-1"
	if len(rows) < 2 || rows[0] != "user:alice|user.sign_out"+end || rows[1] != "user:alice|user.sign_in"+end {
		t.Errorf("rows %q", rows)
	}
	told := b.overhear()
	const here = "127.0.0.1"
	login := func(id, password string) call { return formCall(pathLogin, "", "user", id, "password", password) }
	for _, test := range []struct {
		name string
		call call
		want []string
	}{
		{"right", login(aliceID, alicePassword), nil},
		{"wrong password", login(aliceID, "x"), []string{"user:alice|user.sign_in|endpoint:login|invalid_user||" + here}},
		{"unknown user", login("canary", "x"), []string{"user:unknown|user.sign_in|endpoint:login|invalid_user||" + here}},
		{"a program", login(publishedID, publishedSecret), []string{"user:unknown|user.sign_in|endpoint:login|invalid_user||" + here}},
		{"another site", login(aliceID, alicePassword).with("Sec-Fetch-Site", "cross-site"),
			[]string{"user:unknown|request.refuse|endpoint:login|invalid_request||"}},
	} {
		if got := told(test.call); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: told %q, want %q", test.name, got, test.want)
		}
	}
	for range wrongPerPair {
		told(login(aliceID, "x"))
	}
	if got := told(login(aliceID, alicePassword)); len(got) != 1 || got[0] != "user:unknown|user.sign_in|endpoint:login|temporarily_unavailable|throttled|"+here {
		t.Errorf("throttled: told %q", got)
	}
}
