package browser

import (
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The way that the page of the original describes: user icon, "</> API", "OAuth2
// Application".
func TestS3_2_PathFromTheUserIcon(t *testing.T) {
	s := start(t, "trading_tokens read:accounts")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/")
			b.signIn(aliceID, alicePassword)
			icon := eval[[]float64](b, `(r => [r.right, r.top])(document.querySelector('.user > summary').getBoundingClientRect())`)
			if width := eval[float64](b, `innerWidth`); icon[0] < width*.8 || icon[1] > 60 {
				t.Errorf("the user icon ends at %v of %v pixels", icon, width)
			}
			ask(b, chromedp.Click(chromedp.CSS(".user > summary")))
			b.wantText(".user > nav", "</> API")
			b.check("user-menu", l)
			if status := b.submit(`.user > nav a[href="/developer"]`); status != 200 {
				t.Fatalf("</> API: status %d", status)
			}
			b.wantText("h1", "</> API")
			b.wantText("main", "recommended")
			b.check("developer", l)
			if status := b.submit(`main a[href="/applications"]`); status != 200 {
				t.Fatalf("OAuth2 Application: status %d", status)
			}
			b.wantText("h1", "OAuth2 applications")
			b.wantText(".tabs [aria-current]", "OAuth2 Application")
		})
	}
}

func TestS3_3_ThePageExplainsPartialAccess(t *testing.T) {
	s := start(t, "")
	s.command("", "account", "add", "7654321", "--kind", "trading")
	s.command("", "bind", aliceID, "7654321", "--scopes", "read:accounts")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/applications")
			b.signIn(aliceID, alicePassword)
			b.wantText("main", "Only users with full access can create applications.")
			b.check("applications-partial", l)
			if status := b.submit("main .notice a"); status != 403 {
				t.Errorf("the form: status %d", status)
			}
			b.wantText("main", "One of your accounts is open to you in part only: 7654321.")
			b.wantText("main", "An operator of this service can change that.")
			b.check("applications-refused", l)
		})
	}
}

func TestS3_5_S3_6_ApplicationsInABrowser(t *testing.T) {
	s := start(t, "")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/applications")
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/applications" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.check("applications", l)
			b.submit("main a.button")
			b.check("application-new", l)
			b.fill("#name", "Portfolio "+l.String())
			b.fill("#description", "Draws charts")
			b.fill("#uris", "http://charts.example.com/cb")
			ask(b, chromedp.Click(chromedp.CSS(`input[name="scope.read:market"]`)))
			if status := b.submit("main form button"); status != 422 {
				t.Errorf("http: status %d", status)
			}
			b.wantText("[role=alert]", "without encryption")
			b.check("application-problem", l)
			b.fill("#uris", "https://charts.example.com/cb")
			if status := b.submit("main form button"); status != 201 {
				t.Fatalf("create: status %d", status)
			}
			b.wantText("main", "never shown again")
			secret := ask(b, chromedp.Text(chromedp.CSS("#client-secret")))
			b.wantText("#environment", "CLIENT_SECRET="+secret)
			ask(b, chromedp.Click(chromedp.CSS("details.snippet summary")))
			b.check("application-created", l)
			b.visit(s.issuer + "/applications")
			b.wantText("main", "Portfolio "+l.String())
			b.check("applications-list", l)
			b.submit("main ul a.title")
			b.oneApplication(l, secret)
		})
	}
}

// oneApplication goes through what an owner does with an application, to its end.
func (b *tab) oneApplication(l look, secret string) {
	b.t.Helper()
	if strings.Contains(eval[string](b, `document.documentElement.outerHTML`), secret) {
		b.t.Error("the page holds the secret")
	}
	b.wantText("#environment", "CLIENT_SECRET=CLIENT_SECRET_HERE")
	b.fill("#description", "Draws charts of what you own")
	if status := b.submit("form.stack:has(#name) button"); status != 200 {
		b.t.Errorf("save: status %d", status)
	}
	b.wantText(".lead", "Draws charts of what you own")
	ask(b, chromedp.Click(chromedp.CSS(`input[value=day]`)))
	if status := b.submit("form.stack:has(input[value=day]) button"); status != 200 {
		b.t.Errorf("rotate: status %d", status)
	}
	b.wantText("main", "The secret before is good until")
	b.check("application-rotated", l)
	b.submit("main p.actions a.button")
	b.wantText("main", "No use of it is known")
	b.check("application", l)
	if status := b.submit(`form[action$="/old-secret"] button`); status != 200 {
		b.t.Errorf("end the old secret: status %d", status)
	}
	if strings.Contains(ask(b, chromedp.Text(chromedp.CSS("main"))), "The secret before") {
		b.t.Error("the old secret has not ended")
	}
	b.submit(`main a.danger`)
	b.wantText("main", "No user has let it act for them")
	b.check("application-end", l)
	if status := b.submit("main form button"); status != 200 {
		b.t.Errorf("end: status %d", status)
	}
	b.wantText("main ul", "ended")
	b.submit("main ul li:last-child a.title")
	b.wantText("main", "This application has ended")
	b.check("application-ended", l)
}

func TestS3_10_StaticTokensInABrowser(t *testing.T) {
	s := start(t, "")
	token := regexp.MustCompile(`cb_test_personal_\w+`)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/static-tokens")
			b.signIn(aliceID, alicePassword)
			b.check("static-tokens", l)
			b.fill("#label", "Reports "+l.String())
			if status := b.submit("form[action='/static-tokens'] button"); status >= 300 {
				t.Fatalf("create: status %d", status)
			}
			raw := token.FindString(ask(b, chromedp.Text(chromedp.CSS("main"))))
			if raw == "" {
				t.Fatal("no token is shown")
			}
			b.check("static-token-created", l)
			b.visit(s.issuer + "/static-tokens")
			b.check("static-tokens-list", l)
			if status := b.submit("tbody tr:first-child a"); status != 200 {
				t.Errorf("the question: status %d", status)
			}
			b.wantText("main", "It was never used.")
			b.check("static-token-revoke", l)
			if status := b.submit("main form button"); status != 200 || b.url() != s.issuer+"/static-tokens" {
				t.Errorf("revoke: status %d at %s", status, b.url())
			}
			b.wantText("tbody tr:first-child", "revoked")
		})
	}
}
