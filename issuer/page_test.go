package issuer

import (
	"net/http"
	"strings"
	"testing"
)

// What each answer of a page tells browsers: on success, on the way elsewhere, and
// on whatever is wrong (attacks UI-03, UI-04, UI-06, UI-14).
func TestUI04_UI14_HeadersOfEveryPage(t *testing.T) {
	for _, e := range endpoints() {
		if e.speaks != speaksPage || e.pattern == pathIntegrationStatus { // that is for our script
			continue
		}
		t.Run(strings.Trim(e.pattern, "/"), func(t *testing.T) {
			b := newMatrix(t, nil)
			good := e.call(b)
			statuses := map[int]bool{}
			for name, c := range e.answers(good) {
				got := b.do(c)
				statuses[got.status/100] = true
				if got.status >= 500 {
					t.Errorf("%s: %d %s", name, got.status, got.body)
				}
				wantPageHeaders(t, name, got, e.opensInWindows(got))
			}
			if !statuses[4] || !statuses[2] && !statuses[3] {
				t.Errorf("statuses %v: the table is not whole", statuses)
			}
		})
	}
}

// answers are calls of an endpoint that come to all that it may answer.
func (e *endpoint) answers(good call) map[string]call {
	without := good.with("Cookie")
	calls := map[string]call{
		"good": good, "nobody": without, "another method": good.by(http.MethodDelete),
		"nobody's form of another site": without.by(http.MethodPost).with("Sec-Fetch-Site", "cross-site"),
		"form of another site":          good.by(http.MethodPost).with("Sec-Fetch-Site", "cross-site"),
		"no form":                       good.by(http.MethodPost).with("Content-Type", "text/plain"),
	}
	if e.methods[0] == http.MethodGet {
		look := good.by(http.MethodGet).withBody("")
		calls["looked at"], calls["query of no sense"] = look, look.withQuery("a=%zz")
	}
	return calls
}

// opensInWindows reports whether an answer of an endpoint may stand in a window that
// an app has opened: it hands what comes of it to that.
func (e *endpoint) opensInWindows(got *answer) bool {
	return got.status < 400 && (e.pattern == pathAuthorize || e.pattern == pathConnect)
}

// wantPageHeaders fails unless an answer of a page tells browsers what it must.
func wantPageHeaders(t *testing.T, name string, got *answer, opens bool) {
	t.Helper()
	want := map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
	data := got.status == http.StatusOK && got.header.Get("Content-Type") == "application/json" // for the portal's own script
	if !data && (got.status < 300 || got.status >= 400) {
		want["Content-Type"] = "text/html; charset=utf-8"
		want["X-Frame-Options"] = "DENY"
		want["Cross-Origin-Resource-Policy"] = "same-origin"
		want["Permissions-Policy"] = withoutDevices
		want["Cross-Origin-Opener-Policy"] = "same-origin"
		if opens {
			want["Cross-Origin-Opener-Policy"] = "unsafe-none"
		}
	}
	for header, value := range want {
		if values := got.header.Values(header); len(values) != 1 || values[0] != value {
			t.Errorf("%s (%d): %s %q, want %q", name, got.status, header, values, value)
		}
	}
	if got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s (%d): headers %v", name, got.status, got.header)
	}
	if want["Content-Type"] != "" {
		wantPolicy(t, name, got.header.Get("Content-Security-Policy"))
	}
	for _, cookie := range got.header.Values("Set-Cookie") {
		if !strings.Contains(cookie, "; HttpOnly") || !strings.Contains(cookie, "; SameSite=Lax") || !strings.Contains(cookie, "; Path=/") || strings.Contains(cookie, "Domain") {
			t.Errorf("%s (%d): cookie %q", name, got.status, cookie)
		}
	}
}

// wantPolicy fails unless a Content-Security-Policy allows our own files alone, no
// frame, and forms to us, and where a page leads.
func wantPolicy(t *testing.T, name, policy string) {
	t.Helper()
	got := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		got[key] = value
	}
	for directive, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
		"base-uri": "'none'", "frame-ancestors": "'none'",
	} {
		if got[directive] != want {
			t.Errorf("%s: %s %q, want %q", name, directive, got[directive], want)
		}
		delete(got, directive)
	}
	if forms := strings.Fields(got["form-action"]); len(forms) == 0 || forms[0] != "'self'" || len(forms) > 2 || strings.Contains(got["form-action"], "*") {
		t.Errorf("%s: form-action %q", name, got["form-action"])
	}
	delete(got, "form-action")
	if len(got) > 0 || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: policy %q", name, policy)
	}
}

// Nothing of a page runs or shows that isn't a file of ours.
func TestUI05_NoPageHasScriptsOrStylesOfItsOwn(t *testing.T) {
	for _, e := range endpoints() {
		if e.speaks != speaksPage {
			continue
		}
		t.Run(strings.Trim(e.pattern, "/"), func(t *testing.T) {
			b := newMatrix(t, nil)
			for name, c := range e.answers(e.call(b)) {
				body := strings.ToLower(withoutOwnScript(b.do(c).body))
				for _, inline := range []string{"<script", "<style", " style=", "javascript:", " onclick=", " onload=", " onerror=", " onsubmit=", "<iframe", "<object", "<embed", "<base", "http-equiv", "//cdn", `src="http`} {
					if strings.Contains(body, inline) {
						t.Errorf("%s: %q in %s", name, inline, body)
					}
				}
			}
		})
	}
}

// By https each cookie has the prefix that browsers take from this host alone.
func TestUI03_CookiesBelongToThisHostAlone(t *testing.T) {
	b := newTown(t, nil)
	b.options.URL = "https://auth.test"
	b.reopen()
	got := b.visitor().signIn(aliceID, alicePassword)
	cookies := got.header.Values("Set-Cookie")
	if len(cookies) != 1 || !strings.HasPrefix(cookies[0], "__Host-bearer-sandbox=") || !strings.HasSuffix(cookies[0], "; Path=/; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookies %q", cookies)
	}
}

// A page that an app opened in a window of its own must tell the app what came of
// it. On the way there no page may part the two; and all others do.
func TestWindowsOfAppsAreNotCutOff(t *testing.T) {
	b := newMatrix(t, nil)
	b.giveUser("zoe")
	const opener = "Cross-Origin-Opener-Policy"
	v := b.visitor()
	for next, want := range map[string]string{
		"/oauth2/authorize?client_id=x": "unsafe-none", "/oauth2/authorize": "unsafe-none", "/connect?appKey=x": "unsafe-none",
		"/": "same-origin", "/settings": "same-origin", "/connected": "same-origin", "/oauth2/authorize/x": "same-origin",
		"https://evil.test/connect?": "same-origin", "//evil.test/connect": "same-origin", "/settings?/connect": "same-origin",
	} {
		asked := v.get(signInFirst(next)).wantPage(t, 200, "Sign in")
		again := v.post(pathLogin, "user", "zoe", "password", "wrong", "next", next).wantPage(t, 403, "not right")
		if asked.header.Get(opener) != want || again.header.Get(opener) != want {
			t.Errorf("%s: %q, then %q, want %q", next, asked.header.Get(opener), again.header.Get(opener), want)
		}
		b.issuer.throttle = NewThrottle(b.clock.Now())
	}
	page := b.do(b.sessionOf(adaID).get(pathAuthorize+"?"+query(appID))).wantPage(t, 200, "asks for access")
	if got := page.header.Get(opener); got != "unsafe-none" {
		t.Errorf("the consent page: %q", got)
	}
}
