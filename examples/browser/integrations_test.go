package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// From the section to the token, and to its end, with and without scripts.
func TestS1_4_S1_5_S1_6_IntegrationsInABrowser(t *testing.T) {
	s := start(t, "")
	s.command("", "account", "add", "7654321", "--kind", "trading", "--name", "Second account")
	s.command("", "bind", aliceID, "7654321")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/settings/integrations")
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/settings/integrations" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("h1", "Server-To-Server Integrations")
			if l == looks[0] {
				b.check("integrations-none", l)
			}
			b.submit(`a.button[href$="/new"]`)
			b.check("integrations-form", l)
			name := "Market maker on " + l.String()
			b.fill("#name", name)
			if status := b.submit("form.stack .actions button"); status != 422 {
				t.Errorf("nothing ticked: status %d", status)
			}
			b.wantText("#problem-scopes", "Tick at least one scope.")
			b.wantText("#problem-accounts", "Tick at least one account.")
			b.check("integrations-problems", l)
			for _, box := range []string{"scope.read:market", "scope.trade:orders", "account:1234567"} {
				ask(b, chromedp.Click(chromedp.CSS(`input[name="`+box+`"]`)))
			}
			b.fill("#networks", "127.0.0.0/8")
			b.fill("#password", alicePassword)
			if status := b.submit("form.stack .actions button"); status != 201 {
				t.Fatalf("issued: status %d", status)
			}
			b.wantText("#issued", "Your new token")
			token := ask(b, chromedp.Text(chromedp.CSS("#value")))
			if !strings.HasPrefix(token, "cb_test_personal_") {
				t.Errorf("the token is %q", token)
			}
			b.check("integrations-issued", l)
			if !l.noScripts {
				b.tryAndCopy(token)
			}
			b.visit(s.issuer + "/settings/integrations")
			if text := eval[string](b, `document.documentElement.outerHTML`); strings.Contains(text, token) {
				t.Error("the list has the token")
			}
			b.wantText("table", name)
			b.check("integrations", l)
			if filter := eval[bool](b, `document.querySelector("[data-filter]").hidden`); filter != l.noScripts {
				t.Errorf("the filter is hidden: %t", filter)
			}
			if !l.noScripts {
				b.filters(name)
			}
			b.submit(`tbody tr a[href$="/rotate"]`)
			b.check("integrations-rotate", l)
			b.fill("#password", alicePassword)
			if status := b.submit("form.stack .actions button"); status != 201 {
				t.Fatalf("rotated: status %d", status)
			}
			b.check("integrations-rotated", l)
			b.visit(s.issuer + "/settings/integrations")
			b.submit(`tbody tr a[href$="/revoke"]`)
			b.check("integrations-revoke", l)
			if status := b.submit("main button.danger"); status != 200 || !strings.HasPrefix(b.url(), s.issuer+"/settings/integrations?ended=") {
				t.Fatalf("revoked: status %d at %s", status, b.url())
			}
			b.wantText("main .notice.good", "was revoked")
			b.check("integrations-revoked", l)
		})
	}
}

// tryAndCopy presses the buttons of the page with the token.
func (b *tab) tryAndCopy(token string) {
	b.t.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		send(b, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		})
	}
	ask(b, chromedp.Click(chromedp.CSS(`button[data-copy="value"]`)))
	b.wantEventually(`document.querySelector('button[data-copy="value"]').textContent`, "Copied")
	b.wantEventually(`document.querySelector('body > [role=status]').textContent`, "Copied")
	eval[string](b, `navigator.clipboard.readText().then(text => { document.body.dataset.pasted = text; }); ""`)
	b.wantEventually(`document.body.dataset.pasted ?? ""`, token)
	ask(b, chromedp.Click(chromedp.CSS(`form[data-try] button`)))
	b.wantEventually(`document.getElementById("tried").className + " " + document.getElementById("tried").textContent`, "notice good The token")
}

// filters types into the filter what one row has, and then what none has.
func (b *tab) filters(name string) {
	b.t.Helper()
	const visible = `String([...document.querySelectorAll("tbody tr")].filter(row => !row.hidden).length)`
	all := eval[string](b, visible)
	b.fill("#filter", strings.ToUpper(name)+" 1234567")
	b.wantEventually(visible, "1")
	b.fill("#filter", "no such token")
	b.wantEventually(visible, "0")
	eval[string](b, `document.querySelector("#filter").value = ""; document.querySelector("#filter").dispatchEvent(new Event("input")); ""`)
	b.wantEventually(visible, all)
}

// wantEventually waits until an expression has a value that begins so.
func (b *tab) wantEventually(expression, want string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // between two looks, not for correctness
		got := eval[string](b, expression)
		if strings.HasPrefix(got, want) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is %q, want %q", expression, got, want)
		}
	}
}

// What happens to a token while its list is looked at is seen there.
func TestIntegrationsLiveInABrowser(t *testing.T) {
	s := start(t, "")
	b := open(t, look{})
	b.visit(s.issuer + "/settings/integrations/new?preset=read-only")
	b.signIn(aliceID, alicePassword)
	if ticked := eval[float64](b, `document.querySelectorAll("input[name^='scope.']:checked").length`); ticked != 2 {
		t.Errorf("the preset ticks %v", ticked)
	}
	b.fill("#name", "Watched")
	b.fill("#password", alicePassword)
	if status := b.submit("form.stack .actions button"); status != 201 {
		t.Fatalf("status %d", status)
	}
	b.visit(s.issuer + "/settings/integrations")
	id := eval[string](b, `document.querySelector("tbody tr").id.slice(4)`)
	b.wantText("#status-"+id, "live")
	s.command("", "token", "revoke", "--id", id)
	b.wantEventually(`document.getElementById("status-`+id+`").textContent`, "revoked")
	b.wantEventually(`document.getElementById("row-`+id+`").className`, "ended")
}
