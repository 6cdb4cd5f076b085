package issuer

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// newPassword is what alice chooses.
const newPassword = "a new password of mine"

// giveUser puts a user with alice's password, which operators gave.
func (b *bank) giveUser(id string) { b.putUser(id, alicePassword) }

// id is that of a browser's session, which lists show.
func (v *browser) id() string {
	v.Helper()
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		v.Fatal(err)
	}
	r.Header.Set("Cookie", v.cookie)
	_, hash, _ := v.issuer.presented(r)
	var s store.Session
	if err := v.store.View(context.Background(), func(tx store.Reader) (err error) {
		s, err = tx.Session(v.env, hash)
		return err
	}); err != nil {
		v.Fatal(err)
	}
	return s.ID
}

// lives reports whether somebody is signed in at a browser.
func (v *browser) lives() bool {
	v.Helper()
	return v.do(v.get(pathLogin)).status == http.StatusSeeOther
}

// change is the form that changes the password.
func (v *visitor) change(old, next, again string) *answer {
	v.Helper()
	return v.post(pathPassword, "csrf", v.csrf(), "old", old, "new", next, "again", again)
}

func TestSecurityPageSaysWhoOneIs(t *testing.T) {
	b := newDesk(t, nil)
	b.visitor().get(pathSettings).wantRedirect(t, signInFirst(pathSettings))
	page := b.do(b.sessionOf("alice").get(pathSettings)).wantPage(t, 200, "Security")
	page.wantSays(t, 200, `<code>alice</code>`, ">full<", "<code>T1</code> <bdi>Desk T1</bdi>", "<code>T2</code>", "sandbox", "this browser", "declared in the configuration")
	if strings.Contains(page.body, "<code>T3<") || strings.Contains(page.body, `name="old"`) {
		t.Errorf("page %s", page.body)
	}
	page = b.do(b.sessionOf("dave").get(pathSettings)).wantSays(t, 200, ">partial<", "<bdi>See accounts</bdi>")
	if strings.Contains(page.body, ">full<") {
		t.Errorf("page %s", page.body)
	}
}

func TestPasswordIsChanged(t *testing.T) {
	var changed []string
	b := newTown(t, nil)
	b.options.Changed = func(action, target string) { changed = append(changed, action+" "+target) }
	b.reopen()
	v, other := b.signedIn(aliceID, alicePassword), b.signedIn(aliceID, alicePassword)
	before := v.session()
	got := v.change(alicePassword, newPassword, newPassword).wantRedirect(t, passwordChanged)
	if v.session() == before || v.session() == "" || len(got.header.Values("Set-Cookie")) != 1 {
		t.Errorf("cookies %q", got.header.Values("Set-Cookie"))
	}
	v.get(passwordChanged).wantPage(t, 200, "Your password is changed.")
	if other.isSignedIn() || !v.isSignedIn() {
		t.Errorf("signed in elsewhere: %v, here: %v", other.isSignedIn(), v.isSignedIn())
	}
	old := b.visitor()
	old.jar.SetCookies(v.at(), []*http.Cookie{{Name: b.issuer.sessionCookie(), Value: before}})
	if old.isSignedIn() {
		t.Error("the cookie from before is good")
	}
	b.visitor().signIn(aliceID, alicePassword).wantPage(t, 403, "not right")
	b.signedIn(aliceID, newPassword)
	if want := []string{"user.password_change principal:alice"}; !slices.Equal(changed, want) {
		t.Errorf("told %q, want %q", changed, want)
	}
	rows := b.auditOf("user.password_change")
	if len(rows) != 1 || rows[0].Actor != "user:alice" || rows[0].Target != "principal:alice" || rows[0].Outcome != "ok" || rows[0].Address != "127.0.0.1" {
		t.Errorf("rows %+v", rows)
	}
	if ended := b.auditOf("user.sign_out"); len(ended) != 1 {
		t.Errorf("%d sessions were ended by name, want the other one", len(ended))
	}
	// Anybody may send a person to the address that says so.
	b.clock.advance(stepUpLife + time.Second)
	if page := v.get(passwordChanged).wantPage(t, 200, "Security"); strings.Contains(page.body, "is changed") {
		t.Error("the page says that the password is changed, to who came by a link")
	}
}

// reopen makes the issuer anew, of options that were changed.
func (b *bank) reopen() {
	b.Helper()
	is, err := New(b.options)
	if err != nil {
		b.Fatal(err)
	}
	b.issuer, b.server.Config.Handler = is, is
}

func (b *bank) auditOf(action string) (rows []store.AuditRow) {
	b.Helper()
	if err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		rows, err = tx.Audit(b.env, store.AuditFilter{Action: action, Limit: 100})
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return rows
}

func TestNewPasswordsThatAreRefused(t *testing.T) {
	b := newTown(t, nil)
	b.putUser("alice@example.com", alicePassword)
	v, mail := b.signedIn(aliceID, alicePassword), b.signedIn("alice@example.com", alicePassword)
	for name, test := range map[string]struct {
		v                *visitor
		old, next, again string
		says             string
	}{
		"nothing":              {v, "", "", "", "Type your present password."},
		"no old one":           {v, "", newPassword, newPassword, "Type your present password."},
		"no new one":           {v, alicePassword, "", "", "Type a new password."},
		"11 characters":        {v, alicePassword, "eleven char", "eleven char", "It is too short."},
		"1025 bytes":           {v, alicePassword, strings.Repeat("x", 1025), strings.Repeat("x", 1025), "It is too long."},
		"a line break":         {v, alicePassword, "canary\ncanary", "canary\ncanary", "cannot be typed"},
		"direction override":   {v, alicePassword, "canary \u202e canary", "canary \u202e canary", "cannot be typed"},
		"the user's id":        {mail, alicePassword, "alice@example.com", "alice@example.com", "It is your user id."},
		"the old one again":    {v, alicePassword, alicePassword, alicePassword, "It is the password that you have."},
		"typed in another way": {v, alicePassword, newPassword, newPassword + "x", "The two differ."},
		"not typed again":      {v, alicePassword, newPassword, "", "The two differ."},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.v.change(test.old, test.next, test.again).wantPage(t, 422, test.says)
			if strings.Contains(got.body, "canary") || strings.Contains(got.body, newPassword) || strings.Contains(got.body, alicePassword) {
				t.Errorf("the page has a password: %s", got.body)
			}
			if !strings.Contains(got.body, `aria-invalid="true"`) || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("page %v %s", got.header, got.body)
			}
		})
	}
	b.signedIn(aliceID, alicePassword)
	if rows := b.auditOf("user.password_change"); len(rows) > 0 {
		t.Errorf("rows %+v", rows)
	}
}

// Whoever has stolen a session can't use the form to find the password out: wrong
// ones are counted with those of the sign-in page, and a right one is refused then
// as well.
func TestUI12_GuessingWithAStolenSessionIsSlowed(t *testing.T) {
	b := newTown(t, fromHeader)
	v := b.visitor()
	v.ip = "192.0.2.1"
	v.signIn(aliceID, alicePassword).wantRedirect(t, "/")
	for range wrongPerPair - 1 {
		v.change("wrong", newPassword, newPassword).wantPage(t, 403, "This is not your password.")
	}
	stranger := b.visitor()
	stranger.ip = "192.0.2.1"
	stranger.signIn(aliceID, "wrong").wantPage(t, 403, "not right")
	for _, old := range []string{"wrong", alicePassword} {
		got := v.change(old, newPassword, newPassword).wantPage(t, 429, "Too many wrong passwords")
		if got.header.Get("Retry-After") == "" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("headers %v", got.header)
		}
	}
	if !v.isSignedIn() {
		t.Error("the session ended")
	}
	b.clock.advance(6 * time.Second)
	v.change(alicePassword, newPassword, newPassword).wantRedirect(t, passwordChanged)
}

// The rules of the new password are looked at before the old one is: what they say
// tells nothing of it, and costs no attempt.
func TestRulesOfANewPasswordTellNothingOfTheOldOne(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	for range 2 * wrongPerPair {
		for _, old := range []string{"wrong", alicePassword} {
			v.change(old, "short", "short").wantPage(t, 422, "It is too short.")
		}
	}
	// That it is the old one is said to who knows that only.
	v.change("wrong password", "wrong password", "wrong password").wantPage(t, 403, "This is not your password.")
}

func TestUI03_PasswordChangeOfAnotherSite(t *testing.T) {
	b := newTown(t, nil)
	b.giveUser("mallory")
	v, mallory := b.signedIn(aliceID, alicePassword), b.signedIn("mallory", alicePassword)
	forms := []string{"old", alicePassword, "new", newPassword, "again", newPassword}
	v.post(pathPassword, forms...).wantPage(t, 403, "not of your present session")
	v.post(pathPassword, append(forms, "csrf", mallory.csrf())...).wantPage(t, 403, "not of your present session")
	v.strange = true
	v.post(pathPassword, append(forms, "csrf", v.csrf())...).wantPage(t, 403, "sent by another site")
	for _, path := range []string{pathSessionsEnd, pathSessions + "/x/end"} {
		v.post(path, "csrf", v.csrf()).wantPage(t, 403, "sent by another site")
	}
	v.strange = false
	for _, path := range []string{pathSessionsEnd, pathSessions + "/x/end"} {
		v.post(path, "csrf", mallory.csrf()).wantPage(t, 403, "not of your present session")
	}
	b.signedIn(aliceID, alicePassword)
	// By a link nothing happens either.
	v.get(pathPassword).wantRedirect(t, pathSettings)
	v.get(pathSessionsEnd).wantRedirect(t, pathSettings)
	b.visitor().post(pathPassword, forms...).wantRedirect(t, signInFirst(pathPassword))
}

// Nobody else's password is changed, whatever the form says.
func TestPasswordOfSomebodyElse(t *testing.T) {
	b := newTown(t, nil)
	b.giveUser("mallory")
	mallory := b.signedIn("mallory", alicePassword)
	mallory.post(pathPassword, "csrf", mallory.csrf(), "user", aliceID, "old", alicePassword, "new", newPassword, "again", newPassword).wantRedirect(t, passwordChanged)
	b.signedIn(aliceID, alicePassword)
	b.signedIn("mallory", newPassword)
}

func TestPasswordThatIsChangedElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*store.Principal)
		says   string
	}{
		"declared in the configuration": {func(p *store.Principal) { p.Source = store.FromConfig }, "declared in the configuration"},
		"none at all":                   {func(p *store.Principal) { p.SecretHash = "" }, "You have no password here."},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTown(t, nil)
			v := b.signedIn(aliceID, alicePassword)
			b.changeUser(test.change)
			if page := v.get(pathSettings).wantPage(t, 200, test.says); strings.Contains(page.body, `name="old"`) {
				t.Errorf("the form is there: %s", page.body)
			}
			got := v.change(alicePassword, newPassword, newPassword).wantPage(t, 403, test.says)
			if len(got.header.Values("Set-Cookie")) > 0 || len(b.auditOf("user.password_change")) > 0 {
				t.Error("it was changed")
			}
		})
	}
	t.Run("at an OpenID provider", func(t *testing.T) {
		f := newFederation(t, "sub")
		v := f.visitor()
		f.back(v, f.leave(v)).wantRedirect(t, "/")
		if page := v.get(pathSettings).wantPage(t, 200, "Your password is changed there."); strings.Contains(page.body, `name="old"`) || !strings.Contains(page.body, hostOf(f.issuer.upstream.Issuer)) {
			t.Errorf("page %s", page.body)
		}
		v.change(alicePassword, newPassword, newPassword).wantPage(t, 403, "Your password is changed there.")
	})
}

// What an operator does while the old password is being checked stands.
func TestPasswordChangeRacesWithAnOperator(t *testing.T) {
	for name, test := range map[string]struct {
		operator func(b *bank, p *store.Principal)
		status   int
	}{
		"disables the user":   {func(_ *bank, p *store.Principal) { p.Status = store.Disabled }, http.StatusConflict},
		"gives a password":    {func(b *bank, p *store.Principal) { p.SecretHash = b.hashOf("the operator's password") }, http.StatusConflict},
		"takes the password":  {func(_ *bank, p *store.Principal) { p.SecretHash = "" }, http.StatusConflict},
		"renames the user":    {func(_ *bank, p *store.Principal) { p.Name = "Alice Dew" }, http.StatusSeeOther},
		"declares the user":   {func(_ *bank, p *store.Principal) { p.Source = store.FromConfig }, http.StatusConflict},
		"ends all sessions":   {nil, http.StatusConflict},
		"revokes all of them": {nil, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			hooked := new(beforeUpdate)
			b := newTown(t, func(b *bank) { b.wrap = func(s store.Store) store.Store { hooked.Store = s; return hooked } })
			v := b.signedIn(aliceID, alicePassword)
			hooked.do = func() {
				switch name {
				case "ends all sessions":
					b.update(func(tx store.Writer) error {
						open, err := tx.Sessions(b.env, aliceID)
						for k := range open {
							err = tx.DeleteSession(b.env, open[k].Hash)
						}
						return err
					})
				case "revokes all of them":
					b.revokePrincipal(aliceID)
				default:
					b.changeUser(func(p *store.Principal) { test.operator(b, p) })
				}
			}
			got := v.change(alicePassword, newPassword, newPassword)
			if hooked.do != nil {
				t.Fatal("nothing was raced with")
			}
			if got.status != test.status {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			if test.status == http.StatusSeeOther {
				b.signedIn(aliceID, newPassword)
				return
			}
			if len(b.auditOf("user.password_change")) > 0 || len(got.header.Values("Set-Cookie")) > 0 {
				t.Error("the password was changed all the same")
			}
			b.visitor().signIn(aliceID, newPassword).wantPage(t, 403, "not right")
		})
	}
}

func (b *bank) hashOf(password string) string {
	b.Helper()
	hash, err := token.HashPassword(password)
	if err != nil {
		b.Fatal(err)
	}
	return hash
}

// beforeUpdate is a store before whose next change something else happens.
type beforeUpdate struct {
	store.Store

	do func()
}

func (s *beforeUpdate) Update(ctx context.Context, change func(store.Writer) error) error {
	if do := s.do; do != nil {
		s.do = nil
		do()
	}
	return s.Store.Update(ctx, change)
}

// Of those who change the same password at once, one wins.
func TestPasswordIsChangedOnce(t *testing.T) {
	b := newTown(t, nil)
	const browsers = 4
	answers := make([]int, browsers)
	people := make([]*visitor, browsers)
	for k := range people {
		people[k] = b.signedIn(aliceID, alicePassword)
	}
	var wg sync.WaitGroup
	for k, v := range people {
		wg.Go(func() {
			mine := fmt.Sprintf("%s, number %d", newPassword, k)
			answers[k] = v.change(alicePassword, mine, mine).status
		})
	}
	wg.Wait()
	won := 0
	for k, status := range answers {
		alive := people[k].isSignedIn()
		if status == http.StatusSeeOther && alive {
			won++
			b.signedIn(aliceID, fmt.Sprintf("%s, number %d", newPassword, k))
		} else if alive {
			t.Errorf("browser %d: %d, and signed in", k, status)
		}
	}
	if won != 1 || len(b.auditOf("user.password_change")) != 1 {
		t.Errorf("%d won: %v", won, answers)
	}
}

func TestSessionsAreEndedOneByOne(t *testing.T) {
	b := newTown(t, nil)
	b.giveUser("bob")
	here, there, far, bob := b.sessionOf(aliceID), b.sessionOf(aliceID), b.sessionOf(aliceID), b.sessionOf("bob")
	end := func(v *browser, id string) *answer {
		t.Helper()
		return b.do(v.form(pathSessions + "/" + id + "/end"))
	}
	page := b.do(here.get(pathSettings)).ok(t)
	if strings.Count(page.body, "/end\">") != 4 || strings.Count(page.body, "this browser") != 1 || strings.Contains(page.body, bob.id()) {
		t.Errorf("page %s", page.body)
	}
	for _, id := range []string{bob.id(), "nobody's", strings.Repeat("x", 2000)} {
		end(here, id).wantRedirect(t, pathSettings)
	}
	if !bob.lives() || len(b.auditOf("user.sign_out")) > 0 {
		t.Fatal("somebody else's session ended")
	}
	thereID := there.id()
	end(here, thereID).wantRedirect(t, pathSettings)
	if there.lives() || !far.lives() || !here.lives() {
		t.Errorf("there %v, far %v, here %v", there.lives(), far.lives(), here.lives())
	}
	rows := b.auditOf("user.sign_out")
	if len(rows) != 1 || rows[0].Target != "session:"+thereID || rows[0].Actor != "user:alice" {
		t.Errorf("rows %+v", rows)
	}
	end(here, thereID).wantRedirect(t, pathSettings) // a button that was pressed twice
	// One's own is a sign-out.
	got := end(far, far.id()).wantRedirect(t, pathLogin)
	if !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") || far.lives() {
		t.Errorf("cookie %q", got.header.Get("Set-Cookie"))
	}
	another := b.sessionOf(aliceID)
	b.do(here.form(pathSessionsEnd)).wantRedirect(t, pathSettings)
	if another.lives() || !here.lives() || !bob.lives() {
		t.Error("other sessions ended than those that should")
	}
	if page := b.do(here.get(pathSettings)).ok(t); strings.Contains(page.body, "everywhere else</button>") {
		t.Errorf("page %s", page.body)
	}
}

// A browser may say anything of itself, and is called what we call it.
func TestUI05_BrowsersAreCalledByNamesOfOurs(t *testing.T) {
	b := newTown(t, nil)
	for agent, says := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0 Safari/537.36":        "Chromium on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36":      "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36 Edg/131.0":        "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605": "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 CriOS/131.0 Mobile Safari/604.1":      "Chrome on iPhone",
		"Mozilla/5.0 (Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0":                                             "Firefox on Android",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 SamsungBrowser/27.0 Chrome/125.0 Mobile Safari/537.36":         "Samsung Internet on Android",
		"curl/8.5.0":                            "curl",
		"x":                                     "Another program",
		"<script>alert(1)</script>\u202e Linux": "Linux",
	} {
		evil := b.visitor()
		evil.send(formCall(pathLogin, "", "user", aliceID, "password", alicePassword).with("User-Agent", agent)).wantRedirect(t, "/")
		page := evil.send(call{method: "GET", path: pathSettings, header: http.Header{"User-Agent": {agent}}}).wantPage(t, 200, says)
		if strings.Contains(withoutOwnScript(page.body), "<script") || strings.Contains(page.body, "\u202e") {
			t.Errorf("page %s", page.body)
		}
	}
}
