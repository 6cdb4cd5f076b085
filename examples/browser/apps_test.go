package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// budgetApp is a program of the access code exchange: it exchanges what the browser
// brings, and says what came of it.
type budgetApp struct {
	server         *httptest.Server
	issuer, secret string
}

func newBudgetApp(t *testing.T, s *server) *budgetApp {
	t.Helper()
	app := &budgetApp{issuer: s.issuer}
	app.server = httptest.NewServer(http.HandlerFunc(app.connected))
	t.Cleanup(app.server.Close)
	var made struct{ Secret string }
	must(t, json.Unmarshal([]byte(s.command("", "app", "add", "budget", "--name", "Budget & Co", "--description", "Knows where your money went.",
		"--redirect-uri", app.callback(), "--scopes", "read:accounts read:market trade:orders", "--json")), &made))
	app.secret = made.Secret
	return app
}

func (app *budgetApp) callback() string { return app.server.URL + "/connected" }

func (app *budgetApp) connectURL() string {
	return app.issuer + "/connect?" + url.Values{"appKey": {"budget"}, "redirect_uri": {app.callback()}, "state": {"fv8XnJmQ3kP0cE7uYz1sWA"}}.Encode()
}

func (app *budgetApp) connected(w http.ResponseWriter, r *http.Request) {
	says := fmt.Sprintf("%s query [%s] referrer [%s] success %s type [%s] state %s; ", r.Method, r.URL.RawQuery, r.Referer(), r.PostFormValue("success"), r.PostFormValue("type"), r.PostFormValue("state"))
	if code := r.PostFormValue("accessCode"); code != "" {
		says += app.exchange(code, r.PostFormValue("connectionID"))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><html lang=en><title>App</title><main>"+says+"</main>")
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
			b.check("connect", l)
			if status := b.submit("button[value=allow]"); status != 422 {
				t.Errorf("nothing ticked: status %d", status)
			}
			b.wantText("[role=alert]", "Tick what the app may do.")
			b.check("connect-problem", l)
			for _, box := range []string{"scope.read:market", "account.1234567"} {
				ask(b, chromedp.Click(chromedp.CSS(`input[name="`+box+`"]`)))
			}
			if status := b.submit("button[value=allow]"); status != 200 {
				t.Fatalf("connect: status %d", status)
			}
			b.wantText("h1", "You are connected")
			b.check("connected", l)
			if status := b.submit("main form button"); status != 200 || b.url() != app.callback() {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("main", "POST query [] referrer [] success true type [] state fv8XnJmQ3kP0cE7uYz1sWA; exchanged for a token")
		})
	}
	b := open(t, look{})
	b.visit(app.connectURL())
	b.signIn(aliceID, alicePassword)
	b.submit("button[value=deny]")
	b.submit("main form button")
	b.wantText("main", "success false type [ACCESS_DENIED] state fv8XnJmQ3kP0cE7uYz1sWA;")
}

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
