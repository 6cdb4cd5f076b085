package attacks

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// verifier is that of RFC 7636, appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

const (
	appURI           = "https://app.test/cb"
	personalPassword = "correct-horse-battery-staple"
)

// person is a user with the account 1, who is signed in with a browser.
type person struct {
	*attack
	id, cookie string
}

// newPerson makes a user of the row's own.
func (a *attack) newPerson(scopes ...string) *person {
	a.Helper()
	id := "user-" + strings.ToLower(a.id)
	a.admin("POST", "/users", members{"id": id, "name": "Ada Lovelace", "scopes": scopes}, nil)
	a.admin("PUT", "/bindings/"+id+"/1", members{}, nil)
	a.admin("PUT", "/users/"+id+"/password", members{"password": personalPassword}, nil)
	a.forbid(personalPassword)
	p := &person{attack: a, id: id}
	got := p.post("/login", url.Values{"user": {id}, "password": {personalPassword}})
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil || got.status != http.StatusSeeOther {
		a.Fatalf("the sign-in was refused: %s", got)
	}
	p.cookie = cookie.Name + "=" + cookie.Value
	a.forbid(cookie.Value)
	return p
}

func (p *person) browse(path string) *answer {
	p.Helper()
	return p.request("GET", issuerURL+path, "", http.Header{"Cookie": {p.cookie}, "Sec-Fetch-Site": {"same-origin"}})
}

func (p *person) post(path string, fields url.Values) *answer {
	p.Helper()
	return p.request("POST", issuerURL+path, fields.Encode(), http.Header{
		"Cookie": {p.cookie}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"},
	})
}

// query is a good authorization request of the client "app", and what is to be
// otherwise in it: an empty value leaves a parameter out.
func query(changes ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {appID}, "redirect_uri": {appURI}, "state": {"xyz"}, "scope": {"accounts:read"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	for k := 0; k < len(changes); k += 2 {
		values.Set(changes[k], changes[k+1])
		if changes[k+1] == "" {
			values.Del(changes[k])
		}
	}
	return values.Encode()
}

// challengeOf is the code challenge of a verifier, whatever that is (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// allow reads the page that asks for consent, and says yes.
func (p *person) allow(query string) *answer {
	p.Helper()
	page := p.browse("/oauth2/authorize?" + query)
	found := csrfField.FindStringSubmatch(page.body)
	if page.status != http.StatusOK || found == nil {
		p.Fatalf("there is no page that asks: %s", page)
	}
	got := p.post("/oauth2/authorize?"+query, url.Values{"csrf": {found[1]}, "decision": {"allow"}, "account:1": {"on"}, "duration": {"hour"}})
	if code := got.back(appURI).Get("code"); code != "" {
		p.forbid(code)
	}
	return got
}

// code is an authorization code for the client "app".
func (p *person) code(query string) string {
	p.Helper()
	code := p.allow(query).back(appURI).Get("code")
	if code == "" {
		p.Fatal("no code")
	}
	return code
}

// redeem exchanges a code by the client "app", with what is to be otherwise.
func (a *attack) redeem(code string, changes ...string) *answer {
	a.Helper()
	fields := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appURI}, "code_verifier": {verifier}}
	for k := 0; k < len(changes); k += 2 {
		fields.Set(changes[k], changes[k+1])
	}
	return a.form("/oauth2/token", appID, appSecret, fields)
}

// back is the query with which a browser was sent back to a redirect URI.
func (got *answer) back(uri string) url.Values {
	got.a.Helper()
	location := got.header.Get("Location")
	values, ok := strings.CutPrefix(location, uri+"?")
	parsed, err := url.ParseQuery(values)
	if got.status != http.StatusSeeOther && got.status != http.StatusFound || !ok || err != nil {
		got.a.Fatalf("the browser is not sent back to %s: %s", uri, got)
	}
	return parsed
}

// formFrom is form by a machine with another loopback address: what is counted
// there is not counted against the other rows.
func (a *attack) formFrom(address, path, client, secret string, fields url.Values) *answer {
	a.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, "127.0.0.1:"+a.ports["as.test:443"])
		if err != nil {
			return nil, err
		}
		return tls.Client(conn, &tls.Config{RootCAs: a.roots, ServerName: "as.test"}), nil
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(a.Context(), http.MethodPost, issuerURL+path, strings.NewReader(fields.Encode()))
	if err != nil {
		a.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, secret)
	response, err := transport.RoundTrip(request)
	if err != nil {
		a.Fatal(err)
	}
	return a.read(response)
}
