package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// The first page, of who has much and of who has nothing.
func TestFirstPage(t *testing.T) {
	s := start(t, "trading_tokens read:accounts read:market trade:orders")
	s.command("", "user", "add", "newcomer", "--scopes", "read:accounts")
	s.command(alicePassword, "user", "password", "newcomer")
	for _, label := range []string{"Market recorder", "Reports of the month, made for the accountant of the house"} {
		s.command("", "token", "issue", "--principal", aliceID, "--label", label, "--scopes", "read:market", "--expires", "3d")
	}
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/")
			b.signIn("newcomer", alicePassword)
			b.wantText("h1", "Overview")
			b.check("overview-empty", l)

			b = open(t, l)
			b.visit(s.issuer + "/")
			b.signIn(aliceID, alicePassword)
			b.wantText(".notice.warn", "Market recorder")
			b.check("overview", l)
			ask(b, chromedp.Click(chromedp.CSS("details.user > summary")))
			b.wantText("details.user nav", "Profile settings")
			b.check("menu", l)
			if status := b.submit("a[href='/settings']"); status != 200 || b.url() != s.issuer+"/settings" {
				t.Errorf("status %d at %s", status, b.url())
			}
		})
	}
}

// The menu closes as menus do: by a click beside it, and by Escape.
func TestMenuCloses(t *testing.T) {
	s := start(t, "")
	b := open(t, look{})
	b.visit(s.issuer + "/")
	b.signIn(aliceID, alicePassword)
	const isOpen = `document.querySelector("details.user").open`
	for name, closes := range map[string]chromedp.Action[chromedp.Void]{
		"click": chromedp.Click(chromedp.CSS("h1")), "Escape": chromedp.KeyEvent("\u001b"),
	} {
		ask(b, chromedp.Click(chromedp.CSS("details.user > summary")))
		if !eval[bool](b, isOpen) {
			t.Fatalf("%s: it does not open", name)
		}
		ask(b, closes)
		if eval[bool](b, isOpen) {
			t.Errorf("%s: it does not close", name)
		}
	}
}
