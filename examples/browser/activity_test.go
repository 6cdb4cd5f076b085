package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// What happened is told in sentences, can be narrowed by a form that needs no script,
// and read back to its beginning.
func TestActivityInABrowser(t *testing.T) {
	s := start(t, "trading_tokens read:market")
	s.command("", "token", "issue", "--principal", aliceID, "--label", "bot 1", "--scopes", "read:market")
	s.command("", "user", "set", aliceID, "--scopes", "read:accounts read:market trade:orders")
	stranger := open(t, look{})
	stranger.visit(s.issuer + "/login")
	stranger.signIn(aliceID, "not the password")
	for k := range 30 { // more than a page has
		s.command("", "bind", aliceID, "1234567", "--scopes", []string{"read:market", "read:accounts"}[k%2])
	}
	for k := range 30 {
		s.command("", "token", "issue", "--principal", aliceID, "--label", fmt.Sprint("bot ", k+2), "--scopes", "read:market", "--accounts", "")
	}
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/login?next=/settings/activity")
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/settings/activity" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "You signed in\nfrom 127.0.0.1")
			b.wantText("main", "An operator opened account 1234567 to you")
			b.check("activity", l)
			b.press("Older")
			b.wantText("main", "An operator issued the token bot 1")
			b.wantText("main", "An operator changed your name or what you may do")
			b.check("activity-older", l)
			b.press("Back to the newest")

			eval[string](b, `document.getElementById("kind").value = "refusals"`)
			b.press("Show")
			b.wantText("main", "Somebody tried to sign in as you, with a wrong password")
			if n := eval[int](b, `document.querySelectorAll(".deeds > li").length`); n < 1 || strings.Contains(ask(b, chromedp.Text(chromedp.CSS("main"))), "issued") {
				t.Errorf("%d refusals", n)
			}
			b.check("activity-refusals", l)
			b.visit(s.issuer + "/settings/activity?from=2020-01-01&until=2020-01-02")
			b.wantText("main", "Nothing of this happened.")
			b.check("activity-empty", l)
			if status := b.visit(s.issuer + "/settings/activity?from=2020-01-02&until=2020-01-01"); status != 400 {
				t.Errorf("days swapped: status %d", status)
			}
			b.wantText("[role=alert]", "The last day comes before the first.")
			b.check("activity-wrong", l)
			b.press("Show everything")
			b.wantText("main", "You signed in")
		})
	}
}
