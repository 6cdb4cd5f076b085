package browser

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
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

// By keyboard alone: sign in, open the menu, go to Security, end the session of another
// browser, and see where one is meanwhile.
func TestSecurityByKeyboard(t *testing.T) {
	s := start(t, "")
	elsewhere := open(t, look{})
	elsewhere.visit(s.issuer + "/login")
	elsewhere.signIn(aliceID, alicePassword)

	b := open(t, look{})
	b.visit(s.issuer + "/login")
	b.wantFocus("user")
	b.after(chromedp.KeyEvent(aliceID + "\t" + alicePassword + "\r"))
	b.tabTo(".skip")
	b.tabTo("details.user > summary")
	ask(b, chromedp.KeyEvent(" "))
	b.tabTo("details.user nav a[href='/settings']")
	if status := b.after(chromedp.KeyEvent("\r")); status != 200 || b.url() != s.issuer+"/settings" {
		t.Fatalf("status %d at %s", status, b.url())
	}
	b.tabTo(".tabs a[aria-current]")
	b.tabTo("tbody tr:not(:has(.status)) button")
	if status := b.after(chromedp.KeyEvent(" ")); status != 200 || b.url() != s.issuer+"/settings" {
		t.Fatalf("status %d at %s", status, b.url())
	}
	if n := eval[int](b, `document.querySelectorAll("tbody tr").length`); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
	if elsewhere.visit(s.issuer + "/settings"); !strings.HasPrefix(elsewhere.url(), s.issuer+"/login") {
		t.Errorf("still signed in elsewhere, at %s", elsewhere.url())
	}
}

// tabTo presses the tab key until an element has the focus, which must be seen on
// each on the way.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	const unseen = `(e => e === document.body || getComputedStyle(e).outlineStyle !== "none" ? "" : e.outerHTML)(document.activeElement)`
	for range 50 {
		ask(b, chromedp.KeyEvent("\t"))
		if hidden := eval[string](b, unseen); hidden != "" {
			b.t.Errorf("nothing shows that the focus is on %s", hidden)
		}
		if eval[bool](b, `document.activeElement.matches(`+strconv.Quote(selector)+`)`) {
			return
		}
	}
	b.t.Fatalf("the tab key does not lead to %s", selector)
}

// On paper a page is what it says; and where the system chooses the colours, what can
// be pressed has an edge, and the section of the page is marked.
func TestSecurityOnPaperAndInForcedColours(t *testing.T) {
	s := start(t, "")
	b := open(t, look{})
	b.visit(s.issuer + "/settings")
	b.signIn(aliceID, alicePassword)
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	const printed = `[...document.querySelectorAll("button, .tabs, .top")].filter(e => e.checkVisibility()).length`
	if n := eval[int](b, printed); n != 0 {
		t.Errorf("%d things to press are printed", n)
	}
	b.wantText("main", "Alice Doe")
	b.picture("security-paper.png")
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
	const bare = `[...document.querySelectorAll("main button, main input:not([type=hidden])")].filter(e => e.checkVisibility() && getComputedStyle(e).borderTopStyle !== "solid").length`
	if n := eval[int](b, bare); n != 0 {
		t.Errorf("%d things to press have no edge", n)
	}
	const edge = `(e => getComputedStyle(e).borderBottomColor)`
	marked, other, ground := `(document.querySelector(".tabs a[aria-current]"))`, `(document.querySelector(".tabs a:not([aria-current])"))`, eval[string](b, `getComputedStyle(document.body).backgroundColor`)
	if eval[string](b, edge+marked) == ground || eval[string](b, edge+other) != ground {
		t.Error("the section of the page is not marked")
	}
	b.picture("security-forced-colours.png")
}
