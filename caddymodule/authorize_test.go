package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const (
	payerID     = "payer" // an app with a secret
	payerSecret = "the payer's secret"
	payerURI    = "https://payer.test/cb"
	deskID      = "desk" // an app in a browser
	deskURI     = "https://desk.test/cb"

	pkceVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
)

// startWithApps runs a server with two apps that ask people for access.
func startWithApps(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{environment: `client ` + payerID + ` {
		name "Payer"
		description "Pays rents."
		secret_hash ` + hashOf(payerSecret) + `
		redirect_uri ` + payerURI + `
		scopes read:accounts all:eft read:market trade:orders
	}
	client ` + deskID + ` {
		name "Desk"
		public
		redirect_uri ` + deskURI + `
		scopes read:accounts read:market trade:orders
	}`})
	return s.start()
}

// surfer is a person at a browser.
type surfer struct {
	*server
	client *http.Client
}

// newUser adds a user with a password, and accounts in full.
func (s *server) newUser(id, password, scopes string, accounts ...string) {
	s.t.Helper()
	s.ok("", "bearer", "user", "add", id, "--scopes", scopes)
	s.ok(password+"\n", "bearer", "user", "password", id)
	for _, account := range accounts {
		s.ok("", "bearer", "bind", id, account)
	}
}

// surfer signs somebody in at the page for that.
func (s *server) surfer(id, password string) *surfer {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &surfer{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if status, _, _ := w.post("/login", url.Values{"user": {id}, "password": {password}}); status != http.StatusSeeOther {
		s.t.Fatalf("sign in: %d", status)
	}
	return w
}

func (w *surfer) send(request *http.Request) (status int, location, body string) {
	w.t.Helper()
	response, err := w.client.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Location"), string(text)
}

func (w *surfer) post(path string, form url.Values) (status int, location, body string) {
	w.t.Helper()
	request := w.request("POST", w.issuer+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return w.send(request)
}

var (
	csrfInput   = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	consentForm = regexp.MustCompile(`method="post" action="([^"]*/oauth2/authorize[^"]*)"`)
)

// authorizeQuery is the request with which an app sends a browser.
func authorizeQuery(client, uri, scopes string) string {
	sum := sha256.Sum256([]byte(pkceVerifier))
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {uri}, "scope": {scopes}, "state": {"a secret state"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// page is the page that asks for consent.
func (w *surfer) page(query string) string {
	w.t.Helper()
	status, _, page := w.send(w.request("GET", w.issuer+"/oauth2/authorize?"+query, nil))
	if status != http.StatusOK {
		w.t.Fatalf("consent page: %d\n%s", status, page)
	}
	return page
}

var anyTag = regexp.MustCompile(`<[^>]*>`)

// betweenTags is the text of the first line that holds an attribute.
func betweenTags(page, attribute string) string {
	_, rest, _ := strings.Cut(page, attribute+">")
	line, _, _ := strings.Cut(rest, "\n")
	return anyTag.ReplaceAllString(line, "")
}

// consent goes from an app's request through the page and back, and returns the
// page and the query that the app gets.
func (w *surfer) consent(client, uri, scopes string, fields ...string) (page string, back url.Values) {
	w.t.Helper()
	page = w.page(authorizeQuery(client, uri, scopes))
	csrf, action := csrfInput.FindStringSubmatch(page), consentForm.FindStringSubmatch(page)
	if csrf == nil || action == nil {
		w.t.Fatalf("the page has no form:\n%s", page)
	}
	form := url.Values{"csrf": {csrf[1]}, "decision": {"allow"}, "duration": {"month"}}
	for k := 0; k < len(fields); k += 2 {
		form.Set(fields[k], fields[k+1])
	}
	status, location, body := w.post(html.UnescapeString(action[1]), form)
	rest, ok := strings.CutPrefix(location, uri+"?")
	if status != http.StatusSeeOther || !ok {
		w.t.Fatalf("consent: %d to %q\n%s", status, location, body)
	}
	back, err := url.ParseQuery(rest)
	if err != nil {
		w.t.Fatal(err)
	}
	return page, back
}

// exchange is the token call of an app; without a secret, of a public one.
func (s *server) exchange(client, secret string, form url.Values) *http.Request {
	if secret == "" {
		form.Set("client_id", client)
	}
	request := s.request("POST", s.issuer+"/oauth2/token", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		request.SetBasicAuth(client, url.QueryEscape(secret))
	}
	return request
}

func (s *server) redeemCode(client, secret, uri, code string) (got tokens) {
	s.t.Helper()
	s.answer(s.exchange(client, secret, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {uri}, "code_verifier": {pkceVerifier},
	}), http.StatusOK, &got)
	return got
}

func (s *server) renewApp(client, secret, refresh string) (got tokens) {
	s.t.Helper()
	s.answer(s.exchange(client, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}), http.StatusOK, &got)
	return got
}

// From nothing but the API's address to the API's answer, as a program finds its
// way: the refusal names the resource, that names the issuer, that its endpoints
// (RFC 9728 §5, RFC 8414). Any user can authorize any app (S3.4).
func TestS3_4_S3_11_AppFindsItsWayFromTheAPI(t *testing.T) {
	t.Parallel()
	s := startWithApps(t)
	refused := s.answer(s.call("GET", "/api/v1/accounts", ""), 401, nil)
	pointer := regexp.MustCompile(`resource_metadata="([^"]+)"`).FindStringSubmatch(refused.Header.Get("WWW-Authenticate"))
	if pointer == nil {
		t.Fatalf("challenge %q", refused.Header.Get("WWW-Authenticate"))
	}
	var resource struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	s.answer(s.request("GET", pointer[1], nil), 200, &resource)
	if resource.Resource != s.api || len(resource.Servers) != 1 || strings.Contains(fmt.Sprint(resource.Scopes), "admin:desk") {
		t.Fatalf("METADATA-07: %+v", resource)
	}
	var endpoints struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	s.answer(s.request("GET", resource.Servers[0]+"/.well-known/oauth-authorization-server", nil), 200, &endpoints)
	if endpoints.Authorize != s.issuer+"/oauth2/authorize" || endpoints.Token != s.issuer+"/oauth2/token" {
		t.Fatalf("%+v", endpoints)
	}

	for _, user := range []string{"ada", "grace"} {
		s.newUser(user, "a password of "+user, "read:accounts all:eft read:market trade:orders", "1")
		w := s.surfer(user, "a password of "+user)
		for _, app := range []struct{ id, secret, uri string }{{payerID, payerSecret, payerURI}, {deskID, "", deskURI}} {
			page, back := w.consent(app.id, app.uri, "read:accounts trade:orders", "account:1", "on")
			if back.Get("state") != "a secret state" || back.Get("iss") != s.issuer {
				t.Errorf("%s is sent back to %s with %v", user, app.id, back)
			}
			if strings.Index(page, "Place orders") > strings.Index(page, "See accounts") {
				t.Error("the page does not begin with the worst")
			}
			got := s.redeemCode(app.id, app.secret, app.uri, back.Get("code"))
			var seen echo
			s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, &seen)
			if seen.Headers.Get("X-Auth-Subject") != user || seen.Headers.Get("X-Auth-Client") != app.id || seen.Headers.Get("X-Auth-Accounts") != "1" {
				t.Errorf("the API is told %v", seen.Headers)
			}
			s.answer(s.call("POST", "/api/v1/accounts/1/orders", got.Access), 200, nil)
			s.answer(s.call("POST", "/api/v1/accounts/2/orders", got.Access), 403, nil)
		}
	}
	for _, secret := range []string{"a secret state", "a+secret+state", "a%20secret%20state", "cb_test_code_", pkceVerifier, "password of"} {
		if strings.Contains(s.output.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// A right that is taken from the person is gone at the next request, and its
// streams with it, while the refresh token lives on; given again, it is back.
func TestS3_9_RightTakenFromAPersonIsGoneAtTheNextRequest(t *testing.T) {
	t.Parallel()
	s := startWithApps(t)
	s.newUser("ada", "a password of ada", "read:accounts read:market all:eft", "1", "2")
	_, back := s.surfer("ada", "a password of ada").consent(payerID, payerURI, "read:accounts read:market all:eft", "account:1", "on", "account:2", "on")
	got := s.redeemCode(payerID, payerSecret, payerURI, back.Get("code"))
	s.answer(s.call("GET", "/api/v1/eft", got.Access), 200, nil)
	events := s.answerStream(got.Access)

	s.ok("", "bearer", "user", "set", "ada", "--scopes", "read:accounts read:market")
	s.answer(s.call("GET", "/api/v1/eft", got.Access), 401, nil)
	if last := events(); !strings.Contains(last, "rights_changed") {
		t.Errorf("the stream ended with %q", last)
	}
	renewed := s.renewApp(payerID, payerSecret, got.Refresh)
	if renewed.Scope != "read:accounts read:market" {
		t.Errorf("scope %q", renewed.Scope)
	}
	s.answer(s.call("GET", "/api/v1/accounts", renewed.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", renewed.Access), 403, nil)

	s.ok("", "bearer", "user", "set", "ada", "--scopes", "read:accounts read:market all:eft")
	again := s.renewApp(payerID, payerSecret, renewed.Refresh)
	s.answer(s.call("GET", "/api/v1/eft", again.Access), 200, nil)
}

// answerStream opens an event stream; what it returns waits for its end.
func (s *server) answerStream(token string) (rest func() string) {
	s.t.Helper()
	response, err := http.DefaultClient.Do(s.call("GET", "/api/v1/events", token))
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("stream: %s", response.Status)
	}
	return func() string {
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			s.t.Errorf("the stream broke: %v", err)
		}
		return string(text[max(0, len(text)-100):])
	}
}

// What a person allowed ends with the person's word, across a restart and by
// kill -9.
func TestPersonsGrantOutlivesKill9AndEndsWithItsRevocation(t *testing.T) {
	t.Parallel()
	s := startWithApps(t)
	s.newUser("ada", "a password of ada", "read:accounts", "1")
	_, back := s.surfer("ada", "a password of ada").consent(deskID, deskURI, "read:accounts", "account:1", "on")
	got := s.redeemCode(deskID, "", deskURI, back.Get("code"))
	s.restart()
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)
	got = s.renewApp(deskID, "", got.Refresh)
	s.answer(s.exchange(deskID, "", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {deskURI}, "code_verifier": {pkceVerifier},
	}), 400, nil)
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil) // CODE-01: the code came back
}
