package browser

import (
	"os"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keys presses keys one after the other, as kb.Tab, kb.Enter, kb.Escape and " ". (A
// page that has not been drawn yet is deaf.)
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	becomes(b, `performance.getEntriesByType("paint").length > 0`, true)
	for _, key := range keys {
		ask(b, chromedp.KeyEvent(key))
	}
}

// focused says which element has the focus: by its tag, and by its id or else what
// it says.
func (b *tab) focused() string {
	b.t.Helper()
	return eval[string](b, `(e => e.tagName.toLowerCase() + ' ' + (e.id || e.ariaLabel || e.innerText.trim()))(document.activeElement)`)
}

// The menu of who is signed in opens, leads on and closes by keyboard alone, with
// scripts and without; what comes first leads past it.
func TestS3_2_UserMenuByKeyboard(t *testing.T) {
	s := start(t, "")
	for _, l := range []look{{}, {phone: true, dark: true, noScripts: true}} {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/login")
			b.signIn(aliceID, alicePassword)
			b.keys(kb.Tab)
			if got := b.focused(); got != "a Skip to the content" {
				t.Errorf("the first is %q", got)
			}
			b.keys(kb.Enter)
			becomes(b, `location.hash`, "#main")
			b.visit(s.issuer + "/")
			b.keys(kb.Tab, kb.Tab, kb.Tab)
			if got := b.focused(); got != "summary Menu of Alice Doe" {
				t.Fatalf("the third is %q", got)
			}
			const isOpen = `document.querySelector("details.user").open`
			b.keys(kb.Enter)
			becomes(b, isOpen, true)
			b.keys(" ")
			becomes(b, isOpen, false)
			b.keys(" ")
			becomes(b, isOpen, true)
			b.keys(kb.Tab, kb.Tab)
			if got := b.focused(); got != "a </> API" {
				t.Errorf("the second of the menu is %q", got)
			}
			b.check("user-menu", l)
		})
	}
}

// allowClipboard lets the page write to the clipboard without asking its person, and
// us read it.
func (b *tab) allowClipboard() {
	b.t.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		})
		must(b.t, err)
	}
}

// clipboard is what the clipboard of the tab holds.
func (b *tab) clipboard() string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`navigator.clipboard.readText()`, chromedp.EvalAwaitPromise))
}

// A button that copies works where scripts are, and is not seen where they aren't.
func TestS1_6_CopyButton(t *testing.T) {
	script, err := os.ReadFile("../../issuer/pages/portal.js")
	must(t, err)
	page := pageOf(t, `<p><code id="token">a secret value</code></p><p><button type="button" data-copy="token" data-copied="Copied" hidden>Copy</button></p><script src="/portal.js"></script>`,
		map[string]string{"/portal.js": string(script)})
	b := open(t, look{})
	b.allowClipboard()
	b.visit(page)
	b.keys(kb.Tab, kb.Enter)
	b.wantText("button", "Copied")
	if got := b.clipboard(); got != "a secret value" {
		t.Errorf("the clipboard holds %q", got)
	}
	b = open(t, look{noScripts: true})
	b.visit(page)
	if eval[bool](b, `document.querySelector("button").checkVisibility()`) {
		t.Error("without scripts, a button does nothing")
	}
}
