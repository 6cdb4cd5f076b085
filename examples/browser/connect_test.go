package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// budgetApp is a program of the access code exchange: it exchanges what the browser
// brings, and says what came of it. Its first page is that of the documents.
type budgetApp struct {
	server               *httptest.Server
	issuer, secret, page string
}

func newBudgetApp(t *testing.T, s *server) *budgetApp {
	t.Helper()
	app := &budgetApp{issuer: s.issuer}
	app.server = httptest.NewServer(http.HandlerFunc(app.serve))
	t.Cleanup(app.server.Close)
	app.page = documentedPage(t, s.issuer, app.callback())
	var made struct{ Secret string }
	must(t, json.Unmarshal([]byte(s.command("", "app", "add", "budget", "--name", "Budget & Co", "--description", "Knows where your money went.",
		"--redirect-uri", app.callback(), "--redirect-uri", app.server.URL, "--scopes", "read:accounts read:market trade:orders", "--json")), &made))
	app.secret = made.Secret
	return app
}

// documentedPage is the page that the documents show to who wants a message, with
// other addresses in it.
func documentedPage(t *testing.T, issuer, callback string) string {
	t.Helper()
	document, err := os.ReadFile("../../docs/bots.md")
	must(t, err)
	_, rest, found := strings.Cut(string(document), "```html\n")
	html, _, _ := strings.Cut(rest, "```")
	for old, here := range map[string]string{"http://localhost:8081": issuer, "https://budget.example.com/connected": callback} {
		found = found && strings.Contains(html, old)
		html = strings.ReplaceAll(html, old, here)
	}
	if !found {
		t.Fatalf("the page of the documents is not as expected:\n%s", html)
	}
	return html
}

func (app *budgetApp) callback() string { return app.server.URL + "/connected" }

const appState = "fv8XnJmQ3kP0cE7uYz1sWA"

func (app *budgetApp) connectURL() string {
	return app.issuer + "/connect?" + url.Values{"appKey": {"budget"}, "redirect_uri": {app.callback()}, "state": {appState}}.Encode()
}

func (app *budgetApp) messageURL() string { return app.connectURL() + "&response_mode=web_message" }

func (app *budgetApp) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	switch {
	case r.URL.Path != "/connected":
		_, _ = io.WriteString(w, app.page)
	case r.Header.Get("Content-Type") == "application/json":
		_, _ = io.WriteString(w, app.told(r))
	default:
		_, _ = io.WriteString(w, "<!doctype html><html lang=en><title>App</title><main>"+app.connected(r)+"</main>")
	}
}

// connected takes the form.
func (app *budgetApp) connected(r *http.Request) string {
	says := fmt.Sprintf("%s query [%s] referrer [%s] success %s type [%s] state %s; ", r.Method, r.URL.RawQuery, r.Referer(), r.PostFormValue("success"), r.PostFormValue("type"), r.PostFormValue("state"))
	if code := r.PostFormValue("accessCode"); code != "" {
		says += app.exchange(code, r.PostFormValue("connectionID"))
	}
	return says
}

// told takes the message, which the app's own page brings.
func (app *budgetApp) told(r *http.Request) string {
	var message map[string]any
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		return err.Error()
	}
	says := fmt.Sprintf("told success %v of %v; ", message["success"] == true, slices.Sorted(maps.Keys(message)))
	if code, ok := message["accessCode"].(string); ok {
		says += app.exchange(code, fmt.Sprint(message["connectionID"]))
	}
	return says
}

func (app *budgetApp) exchange(code, connection string) string {
	body, err := json.Marshal(map[string]string{"appSecret": app.secret, "accessCode": code, "connectionID": connection})
	if err != nil {
		return err.Error()
	}
	response, err := http.Post(app.issuer+"/auth/ExchangeToken", "application/json", strings.NewReader(string(body)))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(answer), `{"success":true,"accessToken":"cb_test_exchange_`) {
		return fmt.Sprint(response.Status, string(answer), err)
	}
	return "exchanged for a token"
}

// popup is the window that an action opens.
func (b *tab) popup(l look, opens chromedp.Action[chromedp.Void]) *tab {
	b.t.Helper()
	opened := chromedp.WaitNewTarget(b.ctx, func(*target.Info) bool { return true })
	ask(b, opens)
	select {
	case id := <-opened:
		ctx, closeTab := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
		b.t.Cleanup(closeTab)
		return prepare(ctx, b.t, l)
	case <-time.After(patience):
		b.t.Fatal("no window was opened")
		return nil
	}
}

// eventually waits until something holds.
func (b *tab) eventually(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) { // between two looks, not for correctness
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// eventuallySays waits until an element says something.
func (b *tab) eventuallySays(selector, want string) {
	b.t.Helper()
	ask(b, chromedp.WaitVisible(chromedp.CSS(selector)))
	b.eventually(selector+" says "+want, func() bool {
		return strings.Contains(ask(b, chromedp.Text(chromedp.CSS(selector))), want)
	})
}

// tick ticks boxes of the connect page.
func (b *tab) tick(boxes ...string) {
	b.t.Helper()
	for _, box := range boxes {
		ask(b, chromedp.Click(chromedp.CSS(`input[name="`+box+`"]`)))
	}
}

// holdsNoSecret fails if anything of an answer can be found in the page.
func (b *tab) holdsNoSecret() {
	b.t.Helper()
	if html := eval[string](b, `document.documentElement.outerHTML`); strings.Contains(html, "cb_test_") {
		b.t.Errorf("the page holds a secret:\n%s", html)
	}
}

// From the app through the sign-in page and the question back to the app, without
// a script and with nothing in an address.
func TestS5_1_ConnectInABrowser(t *testing.T) {
	s := start(t, "")
	s.command("", "account", "add", "7654321", "--kind", "trading", "--name", "Account of a company with a rather long name")
	s.command("", "bind", aliceID, "7654321")
	app := newBudgetApp(t, s)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			if status := b.visit(app.connectURL()); status != 200 || !strings.HasPrefix(b.url(), s.issuer+"/login?") {
				t.Fatalf("status %d at %s", status, b.url())
			}
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != app.connectURL() {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "Budget & Co wants to act for you")
			b.wantText("form .choice:first-child", "trades")
			b.wantText("form .choice:first-child", "trade:orders, includes: See your accounts")
			b.check("connect", l)
			if status := b.submit("button[value=allow]"); status != 422 {
				t.Errorf("nothing ticked: status %d", status)
			}
			b.wantText("[role=alert]", "Tick what the app may do.")
			b.check("connect-problem", l)
			b.tick("scope.read:market", "account.1234567")
			if status := b.submit("button[value=allow]"); status != 200 {
				t.Fatalf("connect: status %d", status)
			}
			b.wantText("h1", "You are connected")
			b.check("connected", l)
			if status := b.submit("main form button"); status != 200 || b.url() != app.callback() {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "POST query [] referrer [] success true type [] state "+appState+"; exchanged for a token")
		})
	}
	b := open(t, look{})
	b.visit(app.connectURL())
	b.signIn(aliceID, alicePassword)
	b.submit("button[value=deny]")
	b.check("connect-declined", look{})
	b.submit("main form button")
	b.wantText("main", "success false type [ACCESS_DENIED] state "+appState+";")
}

// The page of the documents opens a popup and is told what came of it; the popup
// closes.
func TestS5_1_MessageToTheRegisteredOrigin(t *testing.T) {
	s := start(t, "")
	app := newBudgetApp(t, s)
	b := open(t, look{})
	b.visit(app.server.URL)
	popup := b.popup(look{}, chromedp.Click(chromedp.CSS("#connect")))
	ask(popup, chromedp.WaitVisible(chromedp.CSS("#user")))
	popup.signIn(aliceID, alicePassword)
	popup.wantText("main", "The answer goes to "+app.server.URL+" and to nobody else.")
	popup.tick("scope.read:market", "account.1234567")
	popup.pressAndClose("button[value=allow]")
	b.eventuallySays("#outcome", "told success true of [accessCode connectionID state success tokenID userID userSecret]; exchanged for a token")
	b.eventuallyAlone()

	popup = b.popup(look{}, chromedp.Click(chromedp.CSS("#connect")))
	ask(popup, chromedp.WaitVisible(chromedp.CSS("button[value=deny]")))
	popup.pressAndClose("button[value=deny]")
	b.eventuallySays("#outcome", "told success false of [msg state success type];")
	b.eventuallyAlone()
}

// pressAndClose presses a button after which the window is gone, so that nobody
// can say how it went.
func (b *tab) pressAndClose(selector string) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Click(chromedp.CSS(selector)))
}

// eventuallyAlone waits until no window is open but this.
func (b *tab) eventuallyAlone() {
	b.t.Helper()
	mine := chromedp.FromContext(b.ctx)
	b.eventually("the popup is closed", func() bool {
		infos, err := chromedp.Targets(b.ctx)
		must(b.t, err)
		return !slices.ContainsFunc(infos, func(info *target.Info) bool { return info.OpenerID == mine.Target.TargetID })
	})
}

// keepOpen lets a window not close itself, so that what it shows last can be seen.
func (b *tab) keepOpen() {
	b.t.Helper()
	send(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.close = () => {}`})
}

// What the popup shows when it may not close itself, in each look; and without
// scripts, the form.
func TestS5_1_WhatIsLeftOfAMessage(t *testing.T) {
	s := start(t, "")
	app := newBudgetApp(t, s)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, look{})
			b.visit(app.server.URL)
			popup := b.popup(l, chromedp.Click(chromedp.CSS("#connect")))
			popup.keepOpen()
			ask(popup, chromedp.WaitVisible(chromedp.CSS("#user")))
			popup.signIn(aliceID, alicePassword)
			popup.check("connect-message", l)
			popup.tick("scope.read:market", "account.1234567")
			if status := popup.submit("button[value=allow]"); status != 200 {
				t.Fatalf("status %d", status)
			}
			if l.noScripts {
				popup.check("connected-message", l)
				popup.submit("main form button")
				popup.wantText("main", "exchanged for a token")
				return
			}
			popup.eventuallySays("#sent", "The answer was sent to Budget & Co: you can close this window.")
			b.eventuallySays("#outcome", "exchanged for a token")
			popup.check("connected-message", l)
			popup.holdsNoSecret()
			// Reloading asks anew, and repeats nothing.
			if status := popup.after(chromedp.Reload()); status != 200 {
				t.Errorf("reload: status %d", status)
			}
			popup.wantText("h1", "Connect Budget & Co?")
			popup.holdsNoSecret()
		})
	}
}

// Somebody else's page opens the popup with what the app would ask for, and the
// user says yes: it learns nothing, neither what nor whether.
func TestS5_1_MessageToAnotherOriginIsHeardByNobody(t *testing.T) {
	s := start(t, "")
	app := newBudgetApp(t, s)
	mallory := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang=en><title>Prize</title><button onclick="window.open('%s', '', 'popup')">Win</button>
			<script>var heard = []; addEventListener('message', e => heard.push(e.data)); addEventListener('messageerror', () => heard.push('error'))</script>`, app.messageURL())
	}))
	t.Cleanup(mallory.Close)
	b := open(t, look{})
	b.visit(mallory.URL)
	popup := b.popup(look{}, chromedp.Click(chromedp.CSS("button")))
	popup.keepOpen()
	ask(popup, chromedp.WaitVisible(chromedp.CSS("#user")))
	popup.signIn(aliceID, alicePassword)
	popup.tick("scope.read:market", "account.1234567")
	popup.submit("button[value=allow]")
	popup.eventuallySays("#sent", "you can close this window")
	popup.holdsNoSecret()
	// What is sent to a window arrives in order: nothing came before this.
	eval[bool](popup, `(opener.postMessage('after', '*'), true)`)
	b.eventually("the window that listens hears", func() bool { return eval[int](b, `heard.length`) > 0 })
	if heard := eval[string](b, `JSON.stringify(heard)`); heard != `["after"]` {
		t.Errorf("mallory heard %s", heard)
	}
	if there := b.url(); there != mallory.URL+"/" {
		t.Errorf("the window that opened it was sent to %s", there)
	}
}

// A window that nobody opened has the form, and it works.
func TestS5_1_MessageWithoutAnOpenerIsAForm(t *testing.T) {
	s := start(t, "")
	app := newBudgetApp(t, s)
	b := open(t, look{})
	b.visit(app.messageURL())
	b.signIn(aliceID, alicePassword)
	b.tick("scope.read:market", "account.1234567")
	b.submit("button[value=allow]")
	b.wantText("h1", "You are connected")
	b.check("connected-no-opener", look{})
	b.submit("main form button")
	b.wantText("main", "POST query [] referrer [] success true type [] state "+appState+"; exchanged for a token")
}

// Whoever goes back to the page that handed the answer over is asked anew. Without
// scripts the browser says that it would have to send the form again.
func TestS5_1_GoingBackShowsNoSecret(t *testing.T) {
	s := start(t, "")
	app := newBudgetApp(t, s)
	for _, l := range []look{{}, {noScripts: true}} {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(app.connectURL())
			b.signIn(aliceID, alicePassword)
			b.tick("scope.read:market", "account.1234567")
			b.submit("button[value=allow]")
			b.submit("main form button")
			b.wantText("main", "exchanged for a token")
			ctx, cancel := context.WithTimeout(b.ctx, patience)
			defer cancel()
			_, err := chromedp.Run(ctx, chromedp.NavigateBack())
			b.holdsNoSecret()
			switch {
			case !l.noScripts && err == nil:
				b.wantText("h1", "Connect Budget & Co?")
			case !l.noScripts || err == nil || !strings.Contains(err.Error(), "ERR_CACHE_MISS"):
				t.Errorf("going back: %v at %s", err, b.url())
			}
		})
	}
}
