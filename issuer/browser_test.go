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

// browser is a person at a browser.
type browser struct {
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

// sessionOf starts a session of a user.
func (b *bank) sessionOf(id string) *browser {
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
	line, err := b.issuer.startSession(&exchange{Request: r, now: b.clock.Now(), ip: "127.0.0.1"}, &user, b.clock.Now())
	if err != nil {
		b.Fatal(err)
	}
	cookie, _, _ := strings.Cut(line, ";")
	_, raw, _ := strings.Cut(cookie, "=")
	return &browser{bank: b, cookie: cookie, csrf: csrfOf(raw)}
}

// get is a page that a visitor asks for.
func (v *browser) get(path string) call {
	return call{method: "GET", path: path, header: http.Header{"Cookie": {v.cookie}, "Sec-Fetch-Site": {"none"}}}
}

// form is a form of one of our pages, with what protects it.
func (v *browser) form(path string, pairs ...string) call {
	c := formCall(path, "", append([]string{"csrf", v.csrf}, pairs...)...)
	return c.with("Cookie", v.cookie).with("Sec-Fetch-Site", "same-origin").with("Accept", "text/html")
}

// wantSays is wantPage for what stands in the page's source.
func (a *answer) wantSays(t testing.TB, status int, says ...string) *answer {
	t.Helper()
	a.wantPage(t, status, "")
	for _, text := range says {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not hold %q:\n%s", text, a.body)
		}
	}
	return a
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fields are the hidden fields of the form that leads to an address.
func (a *answer) fields(t testing.TB, action string) map[string]string {
	t.Helper()
	_, rest, found := strings.Cut(a.body, ` method="post" action="`+action+`">`)
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
