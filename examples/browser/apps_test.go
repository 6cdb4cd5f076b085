package browser

import (
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
)

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
			b.fill("#name", "Portfolio "+l.String())
			b.fill("#description", "Draws charts")
			b.fill("#uris", "http://charts.example.com/cb")
			ask(b, chromedp.Click(chromedp.CSS(`input[name="scope.read:market"]`)))
			if status := b.submit("form[action='/applications'] button"); status != 422 {
				t.Errorf("http: status %d", status)
			}
			b.wantText("[role=alert]", "without encryption")
			b.check("applications-problem", l)
			b.fill("#uris", "https://charts.example.com/cb")
			if status := b.submit("form[action='/applications'] button"); status >= 300 {
				t.Fatalf("create: status %d", status)
			}
			b.wantText("main", "never shown again")
			b.check("application-created", l)
			b.visit(s.issuer + "/applications")
			b.wantText("main", "Portfolio "+l.String())
			ask(b, chromedp.Click(chromedp.CSS("summary")))
			b.check("applications-list", l)
		})
	}
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
			ask(b, chromedp.Click(chromedp.CSS("tbody summary")))
			b.check("static-tokens-list", l)
			if status := b.submit("tbody tr:first-child form button"); status != 200 || b.url() != s.issuer+"/static-tokens" {
				t.Errorf("revoke: status %d at %s", status, b.url())
			}
			b.wantText("tbody tr:first-child", "revoked")
		})
	}
}
