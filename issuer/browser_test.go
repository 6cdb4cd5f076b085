package issuer

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// visitor is a person at a browser.
type visitor struct {
	*bank
	cookie string
	csrf   string
}

// user puts a user with accounts that are bound in full.
func (b *bank) user(id string, scopes []string, accounts ...string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		err := tx.PutPrincipal(b.principal(id, "password of "+id, store.User, scopes...))
		for _, account := range accounts {
			err = errors.Join(err,
				tx.PutAccount(store.Account{Environment: b.env, ID: account, Kind: store.Bank, Status: store.Active, Source: store.FromCommand, Created: b.clock.Now()}),
				tx.PutBinding(store.Binding{Environment: b.env, Principal: id, Account: account, Access: store.Full, Source: store.FromCommand}))
		}
		return err
	})
}

// signIn starts a session of a user.
func (b *bank) signIn(id string) *visitor {
	b.Helper()
	var user store.Principal
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		user, err = tx.Principal(b.env, id)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "/", nil)
	if err != nil {
		b.Fatal(err)
	}
	line, err := b.issuer.startSession(context.Background(), &exchange{Request: r, now: b.clock.Now(), ip: "127.0.0.1"}, &user)
	if err != nil {
		b.Fatal(err)
	}
	cookie, _, _ := strings.Cut(line, ";")
	_, raw, _ := strings.Cut(cookie, "=")
	return &visitor{bank: b, cookie: cookie, csrf: csrfOf(raw)}
}

// get is a page that a visitor asks for.
func (v *visitor) get(path string) call {
	return call{method: "GET", path: path, header: http.Header{"Cookie": {v.cookie}, "Sec-Fetch-Site": {"none"}}}
}

// form is a form of one of our pages, with what protects it.
func (v *visitor) form(path string, pairs ...string) call {
	c := formCall(path, "", append([]string{"csrf", v.csrf}, pairs...)...)
	return c.with("Cookie", v.cookie).with("Sec-Fetch-Site", "same-origin").with("Accept", "text/html")
}

// wantPage checks the status, what the page says, and what every page has.
func (a *answer) wantPage(t testing.TB, status int, says ...string) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
	for _, text := range says {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not say %q:\n%s", text, a.body)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || a.header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("policy %q, X-Frame-Options %q", policy, a.header.Get("X-Frame-Options"))
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", a.header)
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "onerror") && !strings.Contains(a.body, "&lt;") {
		t.Errorf("the page runs something:\n%s", a.body)
	}
	return a
}

// wantRedirect checks where a 303 leads.
func (a *answer) wantRedirect(t testing.TB, to string) {
	t.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != to {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", a.status, a.header.Get("Location"), to, a.body)
	}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fields are the hidden fields of the form that leads to an address.
func (a *answer) fields(t testing.TB, action string) map[string]string {
	t.Helper()
	_, rest, found := strings.Cut(a.body, `<form method="post" action="`+action+`">`)
	if !found {
		t.Fatalf("no form leads to %s:\n%s", action, a.body)
	}
	inside, _, _ := strings.Cut(rest, "</form>")
	fields := map[string]string{}
	for _, match := range hiddenField.FindAllStringSubmatch(inside, -1) {
		fields[match[1]] = match[2]
	}
	return fields
}

// signInFirst is where somebody who is not signed in is sent.
func signInFirst(path string) string {
	return "/login?" + url.Values{"next": {path}}.Encode()
}
