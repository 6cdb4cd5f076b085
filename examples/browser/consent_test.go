package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// newApp is a program on the user's machine that waits for the browser to come
// back; it says what came.
func newApp(t *testing.T) (callback string) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		says := "no code, but " + q.Get("error")
		if strings.HasPrefix(q.Get("code"), "cb_test_code_") {
			says = "a code"
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><html lang=en><title>App</title><main>The app got "+says+" and the state "+q.Get("state")+"; referrer: ["+r.Referer()+"]</main>")
	}))
	t.Cleanup(app.Close)
	return app.URL + "/cb"
}

const terminalApp = `client terminal {
	name "Trading terminal"
	description "Shows your positions and sends the orders that you type."
	public
	redirect_uri http://127.0.0.1/cb
	scopes read:accounts read:market trade:orders write:eft
}`

func authorizeURL(s *server, callback string) string {
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	return s.issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"terminal"}, "redirect_uri": {callback}, "state": {"xyz"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"scope": {"read:market trade:orders write:eft"},
	}.Encode()
}

// From the app through the sign-in page and the question back to the app, in each
// look: the policy of the page lets the browser go where the app listens, and
// nowhere else does it say where it was.
func TestConsentPage(t *testing.T) {
	s := start(t, terminalApp)
	s.command("", "account", "add", "7654321", "--kind", "trading", "--name", "Account of a company with a rather long name")
	s.command("", "bind", aliceID, "7654321", "--scopes", "read:accounts read:market")
	callback := newApp(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			if status := b.visit(authorizeURL(s, callback)); status != 200 {
				t.Fatalf("status %d", status)
			}
			if status := b.signIn(aliceID, alicePassword); status != 200 {
				t.Fatalf("after the sign-in: status %d", status)
			}
			b.wantText("h1", "Trading terminal asks for access")
			b.wantText(".scopes li:first-child .title", "Send money")
			b.check("consent", l)
			if status := b.submit("button[value=allow]"); status != 400 {
				t.Errorf("without an account: status %d", status)
			}
			b.wantText("#no-account", "Tick at least one account.")
			b.check("consent-no-account", l)
			ask(b, chromedp.Click(chromedp.CSS("input[name='account:1234567']")))
			if status := b.submit("button[value=allow]"); status != 200 {
				t.Errorf("the app answers %d", status)
			}
			b.wantText("main", "The app got a code and the state xyz; referrer: []")
			if !strings.HasPrefix(b.url(), callback+"?") {
				t.Errorf("it led to %s", b.url())
			}
			b.visit(authorizeURL(s, callback))
			b.submit("button[value=deny]")
			b.wantText("main", "The app got no code, but access_denied and the state xyz")
		})
	}
}

// Neither answer is made easier than the other.
func TestConsentAnswersHaveEqualWeight(t *testing.T) {
	s := start(t, terminalApp)
	b := open(t, look{})
	b.visit(authorizeURL(s, newApp(t)))
	b.signIn(aliceID, alicePassword)
	const looksOf = `(value => { const e = document.querySelector("button[value=" + value + "]"), s = getComputedStyle(e), r = e.getBoundingClientRect()
		return [Math.round(r.height), s.color, s.backgroundColor, s.borderColor, s.fontSize, s.fontWeight].join(" ") })`
	allow, deny := eval[string](b, looksOf+`("allow")`), eval[string](b, looksOf+`("deny")`)
	if allow != deny {
		t.Errorf("Allow: %s\nDeny:  %s", allow, deny)
	}
	if widths := eval[[]int](b, `[...document.querySelectorAll("button[name=decision]")].map(e => Math.round(e.getBoundingClientRect().width))`); widths[0] != widths[1] {
		t.Errorf("widths %v", widths)
	}
}
