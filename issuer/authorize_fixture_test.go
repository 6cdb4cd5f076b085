package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Clients of the authorization-code flow, and a user.
const (
	appID       = "app" // confidential
	payerSecret = "app secret"
	appURI      = "https://app.test/cb"
	spaID       = "spa" // public
	spaURI      = "https://spa.test/cb"
	nativeID    = "native" // public, on the user's machine
	oldID       = "old"    // confidential, from before PKCE
	oldSecret   = "old secret"

	adaID = "ada"

	testVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
)

// newPeople opens a bank with people and their apps.
func newPeople(t testing.TB) *bank {
	t.Helper()
	return newPeopleOn(t, newBank(t, nil))
}

func newPeopleOn(t testing.TB, b *bank) *bank {
	t.Helper()
	client := func(id, secret string, adjust func(*store.Client), uris ...string) store.Client {
		c := b.client(id, secret, "read:accounts", "all:eft", "admin:eft")
		c.Name, c.RedirectURIs = "The "+id, uris
		c.Public = secret == ""
		if adjust != nil {
			adjust(&c)
		}
		return c
	}
	account := func(id string, status store.Status) store.Account {
		return store.Account{Environment: b.env, ID: id, Kind: store.Bank, Name: "Account " + id, Status: status, Source: store.FromCommand, Created: b.clock.Now()}
	}
	bound := func(id string) store.Binding {
		return store.Binding{Environment: b.env, Principal: adaID, Account: id, Access: store.Full, Source: store.FromCommand}
	}
	b.update(func(tx store.Writer) error {
		ada := b.principal(adaID, "", store.User, "read:accounts", "all:eft", "admin:eft")
		ada.Name = "Ada Lovelace"
		poor := b.principal("poor", "", store.User, "write:loans")
		return errors.Join(
			tx.PutClient(client(appID, payerSecret, func(c *store.Client) { c.Description = "Pays rents." }, appURI)),
			tx.PutClient(client(spaID, "", func(c *store.Client) { c.Owner = adaID }, spaURI, "https://spa.test/other?x=1")),
			tx.PutClient(client(nativeID, "", nil, "http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb")),
			tx.PutClient(client(oldID, oldSecret, func(c *store.Client) { c.PKCEOptional = true }, "https://old.test/cb")),
			tx.PutClient(client("exchange", payerSecret, func(c *store.Client) { c.Exchange = true }, appURI)),
			tx.PutClient(client("gone", payerSecret, func(c *store.Client) { c.Status = store.Disabled }, appURI)),
			tx.PutClient(client("nowhere", payerSecret, nil)),
			tx.PutPrincipal(ada), tx.PutPrincipal(poor),
			tx.PutAccount(account("A1", store.Active)), tx.PutAccount(account("A2", store.Active)),
			tx.PutAccount(account("A3", store.Disabled)), tx.PutAccount(account("X9", store.Active)),
			tx.PutBinding(bound("A1")), tx.PutBinding(bound("A2")), tx.PutBinding(bound("A3")),
		)
	})
	return b
}

// appUser is a person who is signed in, and whom apps ask for access.
type appUser struct {
	*bank
	cookie string
}

func (b *bank) asUser(user string) appUser {
	b.Helper()
	var p store.Principal
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		p, err = tx.Principal(b.env, user)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	x := &exchange{Request: httptest.NewRequest("POST", "/login", nil), now: b.clock.Now(), ip: "127.0.0.1"}
	line, err := b.issuer.startSession(x, &p, x.now)
	if err != nil {
		b.Fatal(err)
	}
	cookie, err := http.ParseSetCookie(line)
	if err != nil {
		b.Fatal(err)
	}
	return appUser{b, cookie.Name + "=" + cookie.Value}
}

// query is a good authorization request, and what is to be otherwise in it: an
// empty value leaves a parameter out.
func query(client string, changes ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {client}, "state": {"xyz"}, "scope": {"read:accounts all:eft"},
		"code_challenge": {sha256Base64(testVerifier)}, "code_challenge_method": {"S256"},
		"redirect_uri": {map[string]string{appID: appURI, spaID: spaURI, oldID: "https://old.test/cb", nativeID: "http://127.0.0.1:4711/cb"}[client]},
	}
	for k := 0; k < len(changes); k += 2 {
		values.Set(changes[k], changes[k+1])
		if changes[k+1] == "" {
			values.Del(changes[k])
		}
	}
	return values.Encode()
}

// ask opens the page.
func (w appUser) ask(query string) *answer {
	w.Helper()
	return w.do(call{method: "GET", path: pathAuthorize + "?" + query, header: http.Header{"Cookie": {w.cookie}}})
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// send sends the page's form: pairs of fields.
func (w appUser) send(query, csrf string, fields ...string) *answer {
	w.Helper()
	c := formCall(pathAuthorize+"?"+query, "", append([]string{"csrf", csrf}, fields...)...)
	return w.do(c.with("Cookie", w.cookie))
}

// csrf reads the page as a browser would.
func (w appUser) csrf(query string) string {
	w.Helper()
	found := csrfField.FindStringSubmatch(w.ask(query).ok(w).body)
	if found == nil {
		w.Fatal("the page has no form")
	}
	return found[1]
}

// allow goes through the page and says yes, for account A1 and a month.
func (w appUser) allow(query string, fields ...string) *answer {
	w.Helper()
	return w.send(query, w.csrf(query), append([]string{"decision", "allow", "account:A1", "on", "duration", "month"}, fields...)...)
}

// back is the query with which the browser was sent back to a redirect URI.
func (a *answer) back(t testing.TB, uri string) url.Values {
	t.Helper()
	location := a.header.Get("Location")
	rest, ok := strings.CutPrefix(location, uri)
	if a.status != http.StatusSeeOther || !ok || rest == "" || rest[0] != '?' && rest[0] != '&' {
		t.Fatalf("got %d to %q %s, want 303 to %s", a.status, location, a.body, uri)
	}
	values, err := url.ParseQuery(rest[1:])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// wantBack checks an error that was sent back to the client.
func (a *answer) wantBack(t testing.TB, b *bank, uri, code, state string) {
	t.Helper()
	got := a.back(t, uri)
	if got.Get("error") != code || got.Get("state") != state || got.Get("iss") != b.options.URL || got.Has("code") {
		t.Errorf("got %v, want the error %s, state %q and iss", got, code, state)
	}
}

// redeemAt is the token call of a client; changes as in query.
func redeemAt(client, secret, uri, code string, changes ...string) call {
	authorization := ""
	pairs := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", uri, "code_verifier", testVerifier}
	if secret == "" {
		pairs = append(pairs, "client_id", client)
	} else {
		authorization = formBasic(client, secret)
	}
	c := formCall(pathToken, authorization, append(pairs, changes...)...)
	values, err := url.ParseQuery(c.body)
	if err != nil {
		panic(err)
	}
	for k := 0; k < len(changes); k += 2 {
		if changes[k+1] == "" {
			values.Del(changes[k])
		}
	}
	return c.withBody(values.Encode())
}

// userCode goes all the way to a code.
func (w appUser) userCode(query, uri string) string {
	w.Helper()
	code := w.allow(query).back(w, uri).Get("code")
	if code == "" {
		w.Fatal("no code")
	}
	return code
}

// appTokens goes all the way, for the confidential app, and spaTokens for the
// public one.
func (w appUser) appTokens() pair {
	w.Helper()
	return w.pairOf(w.do(redeemAt(appID, payerSecret, appURI, w.userCode(query(appID), appURI))))
}

func (w appUser) spaTokens() pair {
	w.Helper()
	return w.pairOf(w.do(redeemAt(spaID, "", spaURI, w.userCode(query(spaID), spaURI))))
}

func sha256Base64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
