package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// Who one is, the password and the sessions, through what people do with them.
func TestSecurityPage(t *testing.T) {
	s := start(t, "")
	s.command("", "account", "add", "7654321", "--kind", "trading", "--name", "Account of a company with a rather long name")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			user := "bob-" + l.String()
			s.command("", "user", "add", user, "--name", "Bob "+strings.Repeat("Longname ", 6), "--scopes", "read:accounts read:market trade:orders")
			s.command("", "bind", user, "1234567")
			s.command("", "bind", user, "7654321", "--scopes", "read:accounts read:market")
			s.command(alicePassword, "user", "password", user)
			elsewhere := open(t, look{})
			send(elsewhere, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"})
			elsewhere.visit(s.issuer + "/login")
			elsewhere.signIn(user, alicePassword)

			b := open(t, l)
			b.visit(s.issuer + "/settings")
			if status := b.signIn(user, alicePassword); status != 200 || b.url() != s.issuer+"/settings" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "partial")
			b.wantText("main", "Chromium on Linux")
			b.wantText("main", "Safari on iPhone")
			b.check("security", l)
			b.fill("#old", "not the password")
			b.fill("#new", "a new password of mine")
			b.fill("#again", "a new password of mine")
			if status := b.submit("form.narrow button"); status != 403 {
				t.Errorf("wrong old password: status %d", status)
			}
			b.wantText("#old-problem", "This is not your password.")
			b.wantFocus("old")
			b.check("security-problem", l)
			b.fill("#old", alicePassword)
			b.fill("#new", "a new password of mine")
			b.fill("#again", "a new password of mine")
			if status := b.submit("form.narrow button"); status != 200 {
				t.Errorf("change: status %d", status)
			}
			b.wantText("[role=status]", "Your password is changed.")
			b.check("security-changed", l)
			if elsewhere.visit(s.issuer + "/settings"); !strings.HasPrefix(elsewhere.url(), s.issuer+"/login") {
				t.Errorf("still signed in elsewhere, at %s", elsewhere.url())
			}
		})
	}
}
