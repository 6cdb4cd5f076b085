package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// connect lets the app have an account, from the app's side to the app's, and returns
// the token that it gets.
func (app *budgetApp) connect(b *tab) (token string) {
	b.t.Helper()
	b.visit(app.connectURL())
	for _, box := range []string{"scope.read:market", "scope.trade:orders", "account.1234567"} {
		ask(b, chromedp.Click(chromedp.CSS(`input[name="`+box+`"]`)))
	}
	b.submit("button[value=allow]")
	fields := eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('main form input')].map(e => [e.name, e.value]))`)
	body, err := json.Marshal(map[string]string{"appSecret": app.secret, "accessCode": fields["accessCode"], "connectionID": fields["connectionID"]})
	must(b.t, err)
	response, err := http.Post(app.issuer+"/auth/ExchangeToken", "application/json", strings.NewReader(string(body)))
	must(b.t, err)
	defer response.Body.Close()
	var got struct{ AccessToken string }
	must(b.t, json.NewDecoder(response.Body).Decode(&got))
	return got.AccessToken
}

// What is connected is listed with what it may do and does at this moment; to end it
// takes two clicks, and no script.
func TestS5_5_ConnectedAppsInABrowser(t *testing.T) {
	s := startGated(t, terminalApp)
	s.addUser(aliceID, "Alice Doe", alicePassword)
	app, callback := newBudgetApp(t, s.server), newApp(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/login?next=/settings/apps")
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/settings/apps" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "No app is connected.")
			b.check("connected-apps-none", l)

			bot := s.bot(app.connect(b))
			b.visit(authorizeURL(s.server, callback))
			b.submit("button[value=allow]")
			b.visit(s.issuer + "/settings/apps")
			b.wantText("main", "Budget & Co")
			b.wantText("main", "1 live stream")
			b.wantText("main", "Trading terminal")
			b.wantText("main", "Registered by an operator")
			b.check("connected-apps", l)

			if status := b.submit("section:last-of-type > header > a"); status != 200 {
				t.Fatalf("status %d", status)
			}
			b.wantText("h1", "Disconnect Budget & Co?")
			b.wantText("main", "1 live stream that is open now is cut")
			b.check("disconnect", l)
			bot.reads() // to be asked ends nothing
			if status := b.press("Disconnect"); status != 200 || b.url() != s.issuer+"/settings/apps" {
				t.Errorf("status %d at %s", status, b.url())
			}
			bot.wantCut()
			if text := ask(b, chromedp.Text(chromedp.CSS("main"))); strings.Contains(text, "Budget") || !strings.Contains(text, "Trading terminal") {
				t.Errorf("it says %s", text)
			}
			b.submit("section > header > a")
			b.press("Keep it")
			b.submit("section > header > a")
			b.press("Disconnect")
			b.wantText("main", "No app is connected.")
		})
	}
}

// A list of many apps with long names stays readable.
func TestManyConnectedApps(t *testing.T) {
	s := start(t, "")
	b := open(t, look{phone: true})
	b.visit(s.issuer + "/login?next=/settings/apps")
	b.signIn(aliceID, alicePassword)
	for k := range 3 {
		name := []string{strings.Repeat("Verylongname", 9), "An app & <b>its</b> name", "日本語の名前"}[k]
		id, redirect := fmt.Sprint("app", k), "https://app.example.com/cb"
		s.command("", "app", "add", id, "--name", name, "--description", strings.Repeat("Says much of itself. ", 9),
			"--redirect-uri", redirect, "--scopes", "read:accounts read:market trade:orders write:eft")
		b.visit(s.issuer + "/connect?" + url.Values{"appKey": {id}, "redirect_uri": {redirect}, "state": {"fv8XnJmQ3kP0cE7uYz1sWA"}}.Encode())
		eval[int](b, `(() => { const all = document.querySelectorAll('input[type=checkbox]'); all.forEach(e => e.checked = true); return all.length })()`)
		b.submit("button[value=allow]")
	}
	b.visit(s.issuer + "/settings/apps")
	b.wantText("main", "<b>its</b>")
	b.wantText("main", "Not picked up yet")
	b.check("connected-apps-many", look{phone: true})
}
