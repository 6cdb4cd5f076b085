package issuer

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// The name of a token is text, whatever it says.
func TestUI07_NameOfATokenIsText(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for _, name := range []string{`"><img src=x onerror=1>`, "=HYPERLINK()", "{{.CSRF}}", "{{template \"issued\"}}", "</title><script>alert(1)</script>"} {
		id, _ := alice.integrated("name", name)
		for _, path := range []string{pathIntegrations, about(pathIntegrationRevoke, id), about(pathIntegrationRotate, id), pathStaticTokens} {
			page := b.do(alice.get(path))
			body := withoutOwnScript(page.body)
			if page.status != 200 || strings.Contains(body, "<img") || strings.Contains(body, "<script") || strings.Count(body, "</title>") != 1 {
				t.Errorf("%s as %q: %d\n%s", path, name, page.status, body)
			}
		}
		page := b.do(alice.newIntegration("name", name, "scope.read:eft", ""))
		if page.status != 422 || strings.Contains(withoutOwnScript(page.body), "<img") {
			t.Errorf("%q on the form: %d", name, page.status)
		}
	}
}

// What is ticked stands in names of fields, which strangers may make up.
func TestUI07_ScopeThatIsMarkup(t *testing.T) {
	b := userBank(t)
	page := b.do(b.sessionOf("alice").newIntegration("scope.<img src=x onerror=1>", "on")).wantPage(t, 422, "There is no scope")
	if strings.Contains(page.body, "<img") {
		t.Error("markup got through")
	}
}

func TestIntegrationFormsOfOtherSitesChangeNothing(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	id, raw := alice.integrated()
	for _, c := range []call{
		alice.newIntegration("name", "Stolen"), alice.form(about(pathIntegrationRevoke, id)),
		alice.form(about(pathIntegrationRotate, id), "once", token.NewID(), "overlap", "none"), alice.form(pathIntegrationTry, "token", raw),
	} {
		crossSite := c
		crossSite.header = c.header.Clone()
		crossSite.header.Set("Sec-Fetch-Site", "cross-site")
		b.do(crossSite).wantPage(t, 403, "sent by another site")
		c.body = strings.Replace(c.body, url.QueryEscape(alice.csrf), url.QueryEscape(bob.csrf), 1)
		b.do(c).wantPage(t, 403, "not of your present session")
	}
	if !b.lives(raw) || strings.Contains(b.do(alice.get(pathIntegrations)).body, "Stolen") {
		t.Error("something changed")
	}
}

func TestIntegrationOfSomebodyElse(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	id, raw := alice.integrated()
	for _, id := range []string{id, "nothing", "..%2f", "<script>"} {
		for _, path := range []string{about(pathIntegrationRevoke, url.PathEscape(id)), about(pathIntegrationRotate, url.PathEscape(id))} {
			b.do(bob.get(path)).wantPage(t, 404, "you have no such token")
			b.do(bob.form(path, "once", token.NewID(), "overlap", "none")).wantPage(t, 404, "you have no such token")
		}
	}
	if !b.lives(raw) || strings.Contains(b.do(bob.get(pathIntegrations)).body, id) {
		t.Error("bob got at alice's token")
	}
}

// A double click, or the page loaded again, makes no second token.
func TestIntegrationFormSentTwiceIssuesOneToken(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	form := alice.newIntegration()
	b.do(form).wantPage(t, 201, "")
	again := b.do(form).wantPage(t, 409, "This form was saved before")
	if shownToken.MatchString(again.body) || !strings.Contains(again.body, `value="My bot"`) {
		t.Errorf("%s", again.body)
	}
	if n := strings.Count(b.do(alice.get(pathIntegrations)).body, "<tr"); n != 2 {
		t.Errorf("%d rows", n)
	}
	for _, once := range []string{"", "short", strings.Repeat("x", 23), "../../../../../../../..", strings.Repeat("-", 22)} {
		b.do(alice.newIntegration("once", once)).wantPage(t, 400, "none of ours")
	}
	// The same value of somebody else is another one.
	once := token.NewID()
	alice.integrated("once", once)
	b.sessionOf("bob").integrated("once", once, "account:A1", "", "account:B1", "on")
}

// Who finds a screen that is signed in can't make a token at it.
func TestStepUpBeforeIssuingKeepsTheForm(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	if page := b.do(alice.get(pathIntegrationNew)); strings.Contains(page.body, `autocomplete="current-password" required`) {
		t.Error("asked for a password that was just given")
	}
	b.clock.advance(2 * time.Minute)
	if page := b.do(alice.get(pathIntegrationNew)); !strings.Contains(page.body, `autocomplete="current-password" required`) {
		t.Errorf("not asked for the password: %s", page.body)
	}
	kept := func(page *answer) {
		t.Helper()
		for _, says := range []string{`value="My bot"`, `name="scope.read:eft" value="on" checked`, `name="account:A1" value="on" checked`, `value="year" checked`, "192.0.2.7", `value="9"`} {
			if !strings.Contains(page.body, says) {
				t.Errorf("%q is lost:\n%s", says, page.body)
			}
		}
	}
	filled := []string{"expires", "year", "networks", "192.0.2.7", "requests", "9", "per", "minute"}
	kept(b.do(alice.newIntegration(filled...)).wantPage(t, 422, "Give your password"))
	wrong := b.do(alice.newIntegration(append(filled, "password", "a guess")...)).wantPage(t, 403, "This is not your password.")
	if kept(wrong); strings.Contains(wrong.body, "a guess") {
		t.Error("the password is on the page")
	}
	b.do(alice.newIntegration(append(filled, "password", "password of alice")...)).wantPage(t, 201, "Your new token")
	id := b.newestTokenOf("alice")
	b.clock.advance(2 * time.Minute)
	rotate := about(pathIntegrationRotate, id)
	b.do(alice.form(rotate, "once", token.NewID(), "overlap", "none")).wantPage(t, 422, "Give your password")
	b.do(alice.form(rotate, "once", token.NewID(), "overlap", "none", "password", "a guess")).wantPage(t, 403, "This is not your password.")
	b.do(alice.form(rotate, "once", token.NewID(), "overlap", "none", "password", "password of alice")).wantPage(t, 201, "")
}

func TestGuessesAtThePasswordOnTheFormAreThrottled(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	b.clock.advance(2 * time.Minute)
	for range 30 {
		if got := b.do(alice.newIntegration("password", "a guess")); got.status == http.StatusTooManyRequests {
			got.wantPage(t, 429, "Too many attempts.")
			if !strings.Contains(got.body, `value="My bot"`) || got.header.Get("Retry-After") == "" {
				t.Errorf("the form is lost: %v %s", got.header, got.body)
			}
			return
		}
	}
	t.Error("30 guesses were let through")
}

// Whoever is signed in at a provider comes back from there to the form as it was;
// nobody else can make an address that fills it in.
func TestStepUpAtTheProviderKeepsTheForm(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	b.clock.advance(2 * time.Minute)
	b.issuer.upstream = new(upstream)
	away := b.do(alice.newIntegration("name", "Kept & safe", "networks", "192.0.2.7"))
	b.issuer.upstream = nil
	location, err := url.Parse(away.header.Get("Location"))
	if err != nil || away.status != http.StatusSeeOther || location.Path != pathLogin || location.Query().Get("confirm") != "1" {
		t.Fatalf("%d to %s", away.status, location)
	}
	back := location.Query().Get("next")
	if strings.Contains(back, "Kept") || strings.Contains(back, "192.0.2.7") {
		t.Errorf("the address says what was filled in: %s", back)
	}
	page := b.do(alice.get(back)).wantPage(t, 200, "192.0.2.7")
	for _, says := range []string{`value="Kept &amp; safe"`, `name="scope.read:eft" value="on" checked`, `name="account:A1" value="on" checked`} {
		if !strings.Contains(page.body, says) {
			t.Errorf("%q is lost:\n%s", says, page.body)
		}
	}
	for name, c := range map[string]call{"of somebody else": bob.get(back), "changed": alice.get(back + "x"), "plain": alice.get(pathIntegrationNew + "?name=Evil&scope.read:eft=on&filled=name%3DEvil")} {
		if page := b.do(c).wantPage(t, 200, "New token"); strings.Contains(page.body, "Kept") || strings.Contains(page.body, "Evil") || strings.Contains(page.body, `scope.read:eft" value="on" checked`) {
			t.Errorf("%s: the form is filled in", name)
		}
	}
	if n := b.count("personal-token"); n != 0 {
		t.Errorf("%d tokens were issued", n)
	}
}

// count counts the grants to a client.
func (b *bank) count(client string) int {
	b.Helper()
	n := 0
	if err := b.store.View(b.Context(), func(tx store.Reader) error {
		grants, err := tx.Grants(b.env, store.GrantFilter{Client: client})
		n = len(grants)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return n
}

// Who is disabled, or loses the scope, between the form and the button gets nothing.
func TestIntegrationOfWhoLostTheRightMeanwhile(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	form := alice.newIntegration()
	b.demote("alice", "A1", "read:accounts")
	b.do(form).wantPage(t, 422, "Account A1 is open to you in part only")
	if n := b.count(store.PersonalClient); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// A fetch to where an Accept header is answered with JSON must be ours as well.
func TestTriedTokenAnswersNoOtherSite(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	_, raw := alice.integrated()
	c := alice.form(pathIntegrationTry, "token", raw).with("Accept", "application/json")
	c.header.Set("Sec-Fetch-Site", "cross-site")
	if got := b.do(c); got.status != 403 || strings.Contains(got.body, "read:eft") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
