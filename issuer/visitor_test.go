package issuer

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// alice is a user who can sign in.
const (
	aliceID       = "alice"
	alicePassword = "correct horse battery staple"
)

// newTown is a bank with people.
func newTown(t testing.TB, adjust func(*bank)) *bank {
	t.Helper()
	b := newBank(t, adjust)
	b.putUser(aliceID, alicePassword)
	return b
}

func (b *bank) putUser(id, password string) {
	b.Helper()
	hash := ""
	if password != "" {
		var err error
		if hash, err = token.HashPassword(password); err != nil {
			b.Fatal(err)
		}
	}
	b.update(func(tx store.Writer) error {
		return tx.PutPrincipal(store.Principal{
			Environment: b.env, ID: id, Kind: store.User, Name: id + " Doe", SecretHash: hash,
			Status: store.Active, Source: store.FromCommand, Created: b.clock.Now(),
		})
	})
}

// visitor is a browser: it keeps cookies, sends what browsers send, and follows
// no redirect unasked.
type visitor struct {
	*bank
	jar     *cookiejar.Jar
	ip      string // where it says that it is, with fromHeader
	strange bool   // its requests come from another site's page
}

func (b *bank) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	return &visitor{bank: b, jar: jar}
}

func (v *visitor) at() *url.URL {
	u, err := url.Parse(v.server.URL)
	if err != nil {
		v.Fatal(err)
	}
	return u
}

func (v *visitor) send(c call) *answer {
	v.Helper()
	c.header = c.header.Clone()
	if c.header == nil {
		c.header = make(http.Header)
	}
	site := "same-origin"
	if v.strange {
		site = "cross-site"
	}
	c = c.with("Sec-Fetch-Site", site)
	if c.header.Get("User-Agent") == "" {
		c = c.with("User-Agent", "Test/1.0")
	}
	if v.ip != "" {
		c = c.from(v.ip)
	}
	for _, cookie := range v.jar.Cookies(v.at()) {
		c.header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	got := v.do(c)
	res := http.Response{Header: got.header}
	v.jar.SetCookies(v.at(), res.Cookies())
	return got
}

func (v *visitor) get(path string) *answer {
	v.Helper()
	return v.send(call{method: "GET", path: path})
}

func (v *visitor) post(path string, pairs ...string) *answer {
	v.Helper()
	return v.send(formCall(path, "", pairs...))
}

func (v *visitor) signIn(id, password string) *answer {
	v.Helper()
	return v.post(pathLogin, "user", id, "password", password)
}

// signedIn is a visitor who is.
func (b *bank) signedIn(id, password string) *visitor {
	b.Helper()
	v := b.visitor()
	v.signIn(id, password).wantRedirect(b, "/")
	return v
}

// session is the cookie that the visitor has.
func (v *visitor) session() string {
	for _, cookie := range v.jar.Cookies(v.at()) {
		if cookie.Name == v.issuer.sessionCookie() {
			return cookie.Value
		}
	}
	return ""
}

func (v *visitor) csrf() string { return csrfOf(v.session()) }

// isSignedIn asks the sign-in page, which leads on whoever is.
func (v *visitor) isSignedIn() bool {
	v.Helper()
	return v.get(pathLogin).status == http.StatusSeeOther
}

func (a *answer) wantRedirect(t testing.TB, to string) *answer {
	t.Helper()
	if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != to {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", a.status, got, to, a.body)
	}
	return a
}

var pageText = regexp.MustCompile(`(?s)<main.*</main>`)
var tags = regexp.MustCompile(`<[^>]*>`)

// wantPage checks what every page must have, and that it says something.
func (a *answer) wantPage(t testing.TB, status int, says string) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d\n%s", a.status, status, a.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if got := a.header.Get("Content-Security-Policy"); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
			t.Errorf("Content-Security-Policy %q, want %q in it", got, want)
		}
	}
	text := html.UnescapeString(tags.ReplaceAllString(pageText.FindString(a.body), " "))
	if !strings.Contains(text, says) {
		t.Errorf("the page says %q, want %q in it", strings.Join(strings.Fields(text), " "), says)
	}
	if status != http.StatusOK && sharedValue.MatchString(a.body) {
		t.Errorf("the page shows a trading token: %s", a.body)
	}
	return a
}

// withoutOwnScript leaves the portal's script out of a page: any other that is in
// it came from an attacker.
func withoutOwnScript(page string) string {
	return ownScript.ReplaceAllString(page, "")
}

var ownScript = regexp.MustCompile(`<script src="[a-z/]*/assets/(?:portal|handback)-[0-9a-f]{12}\.js" defer></script>`)
