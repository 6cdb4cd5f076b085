package caddymodule

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// browser is a person who is signed in at the issuer.
type browser struct {
	*server
	client *http.Client
}

const userPassword = "correct horse battery"

// browserOf adds a user with accounts and signs it in, both as people do it.
func (s *server) browserOf(id, scopes string, accounts ...string) *browser {
	s.t.Helper()
	s.ok("", "bearer", "user", "add", id, "--name", id+" Doe", "--scopes", scopes)
	for _, account := range accounts {
		s.ok("", "bearer", "bind", id, account)
	}
	s.ok(userPassword, "bearer", "user", "password", id)
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	b := &browser{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	b.submit("/login", 303, "user", id, "password", userPassword)
	return b
}

// page is what the browser is shown.
func (b *browser) page(path string, status int) string {
	b.t.Helper()
	return b.do(b.request("GET", b.issuer+path, nil), status)
}

func (b *browser) do(request *http.Request, status int) string {
	b.t.Helper()
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := b.client.Do(request)
	must(b.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(b.t, err)
	if response.StatusCode != status {
		b.t.Fatalf("%s %s: %s, want %d\n%s", request.Method, request.URL.Path, response.Status, status, body)
	}
	return string(body)
}

// submit sends a form as it is.
func (b *browser) submit(path string, status int, pairs ...string) string {
	b.t.Helper()
	values := url.Values{}
	for k := 0; k < len(pairs); k += 2 {
		values.Add(pairs[k], pairs[k+1])
	}
	request := b.request("POST", b.issuer+path, strings.NewReader(values.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(request, status)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fill fills in the form of a page.
func (b *browser) fill(page string, path string, status int, pairs ...string) string {
	b.t.Helper()
	for _, field := range hidden.FindAllStringSubmatch(b.page(page, 200), -1) {
		if field[1] == "csrf" {
			return b.submit(path, status, append(pairs, "csrf", html.UnescapeString(field[2]))...)
		}
	}
	b.t.Fatalf("%s has no form", page)
	return ""
}

const connected = "https://budget.example.com/connected"

// app adds an app by command.
func (s *server) app(flags ...string) (made record) {
	s.t.Helper()
	s.decode(s.ok("", append([]string{"bearer", "app", "add", "--json", "--redirect-uri", connected}, flags...)...), &made)
	return made
}

// connect lets an app have an account, and returns what it receives.
func (b *browser) connect(app string, pairs ...string) map[string]string {
	b.t.Helper()
	path := "/connect?" + url.Values{"appKey": {app}, "redirect_uri": {connected}, "state": {"fv8XnJmQ3kP0cE7uYz1sWA"}}.Encode()
	page := b.fill(path, path, 200, append([]string{"decision", "allow"}, pairs...)...)
	_, form, found := strings.Cut(page, `action="`+connected+`"`)
	if !found {
		b.t.Fatalf("no form leads to the app:\n%s", page)
	}
	fields := map[string]string{}
	for _, field := range hidden.FindAllStringSubmatch(form, -1) {
		fields[field[1]] = html.UnescapeString(field[2])
	}
	return fields
}

// post sends JSON to the issuer.
func (s *server) post(path, bearer string, members map[string]string, status int, into any) {
	s.t.Helper()
	body, err := json.Marshal(members)
	must(s.t, err)
	request := s.request("POST", s.issuer+path, strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	s.answer(request, status, into)
}

// access connects an app and exchanges the code.
func (b *browser) access(app record) (fields map[string]string, token string) {
	b.t.Helper()
	fields = b.connect(app.ID, "scope.read:accounts", "on", "scope.read:market", "on", "account.1", "on")
	var got struct{ AccessToken string }
	b.post("/auth/ExchangeToken", "", map[string]string{
		"appSecret": app.Secret, "accessCode": fields["accessCode"], "connectionID": fields["connectionID"],
	}, 200, &got)
	return fields, got.AccessToken
}

// The life of a connection through the gate, from the page to the end.
func TestS5_2_S5_5_S5_6_S5_7_ConnectionThroughTheGate(t *testing.T) {
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market", "1", "2")
	app := s.app("budget", "--name", "Budget & Co", "--scopes", "read:accounts read:market trade:orders")
	if app.ID != "budget" || !strings.HasPrefix(app.Secret, "cb_test_secret_") {
		t.Fatalf("app add printed %+v", app)
	}
	fields, token := alice.access(app)
	if !strings.HasPrefix(token, "cb_test_exchange_") || !strings.HasPrefix(fields["accessCode"], "cb_test_accesscode_") {
		t.Errorf("access code %s, token %s", fields["accessCode"], token)
	}
	for _, secret := range []string{fields["accessCode"], fields["userSecret"], app.Secret} {
		if response, code := s.refused(s.call("GET", "/api/v1/accounts", secret), 401); code != "invalid_token" || response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s at the gate: %s", secret[:16], code)
		}
	}
	var seen struct{ Headers http.Header }
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, &seen)
	if got := seen.Headers; got.Get("X-Auth-Subject") != "alice" || got.Get("X-Auth-Client") != "budget" || got.Get("X-Auth-Accounts") != "1" {
		t.Errorf("the API sees %v", got)
	}
	s.refused(s.call("POST", "/api/v1/accounts/1/orders", token), 403)

	stream := s.openWebSocket(token)
	stream.alive(t)
	_, other := alice.access(app)
	s.post("/users/DelinkUser", token, map[string]string{"appSecret": app.Secret, "userSecret": fields["userSecret"]}, 200, nil)
	s.wantCut(stream)
	if _, code := s.refused(s.call("GET", "/api/v1/accounts", token), 401); code != "invalid_token" {
		t.Errorf("a delinked token: %s", code)
	}

	stream = s.openWebSocket(other)
	stream.alive(t)
	s.ok("", "bearer", "app", "disable", "budget", "--reason", "test")
	s.wantCut(stream)
	s.refused(s.call("GET", "/api/v1/accounts", other), 401)
	s.noSecrets(fields["accessCode"], fields["userSecret"], app.Secret, token, other)
}

// An operator ends one connection as it ends any grant.
func TestS5_5_OperatorEndsAConnection(t *testing.T) {
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market", "1")
	fields, token := alice.access(s.app("--scopes", "read:accounts read:market"))
	stream := s.openWebSocket(token)
	stream.alive(t)
	s.restart()
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	stream = s.openWebSocket(token)
	s.ok("", "bearer", "grant", "revoke", fields["connectionID"])
	s.wantCut(stream)
	s.refused(s.call("GET", "/api/v1/accounts", token), 401)

	// Whoever finds a token somewhere ends its connection with it.
	fields, token = alice.access(s.app("--scopes", "read:accounts read:market"))
	s.ok(token, "bearer", "token", "revoke", "--reason", "found in a log")
	s.refused(s.call("GET", "/api/v1/accounts", token), 401)
	var ended grant
	s.decode(s.ok("", "bearer", "grant", "show", fields["connectionID"], "--json"), &ended)
	if ended.Status != statusRevoked {
		t.Errorf("the connection is %+v", ended)
	}
}

// wantCut waits for the end of a stream whose token is dead.
func (s *server) wantCut(st *stream) {
	s.t.Helper()
	took, err := st.end()
	if took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		s.t.Errorf("%s ended after %s: %v", st.name, took, err)
	}
}

// noSecrets looks for secrets in all that the server has written, and in the
// audit trail.
func (s *server) noSecrets(secrets ...string) {
	s.t.Helper()
	text := s.output.String() + s.ok("", "bearer", "audit", "list", "--limit", "1000", "--json")
	for _, secret := range secrets {
		if secret == "" || strings.Contains(text, secret) || strings.Contains(text, secret[len(secret)-20:]) {
			s.t.Errorf("log or audit trail hold %q", secret)
		}
	}
}

// Whoever sees all may have a token for it, and what he may no longer do, no token
// of his can.
func TestS3_9_S3_10_StaticTokenThroughTheGate(t *testing.T) {
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market trade:orders", "1", "2")
	page := alice.fill("/static-tokens", "/static-tokens", 201, "label", "Reports")
	token := regexp.MustCompile(`cb_test_personal_\w+`).FindString(page)
	allowed := func(method, path string) int { return s.answerStatus(s.call(method, path, token)) }
	if allowed("GET", "/api/v1/accounts") != 200 || allowed("POST", "/api/v1/accounts/2/orders") != 200 {
		t.Fatal("the token has not the full view")
	}
	stream := s.openWebSocket(token)
	stream.alive(t)
	list := alice.page("/static-tokens", 200)
	question := alice.page(regexp.MustCompile(`/static-tokens/\w+/revoke`).FindString(list), 200)
	if !strings.Contains(question, "Revoke <bdi>Reports</bdi>?") || !strings.Contains(question, "1 live stream is cut now.") {
		t.Errorf("before it is revoked its owner is told\n%s", question)
	}

	s.ok("", "bearer", "bind", "alice", "2", "--scopes", "read:accounts")
	s.wantCut(stream)
	if got := []int{allowed("GET", "/api/v1/accounts"), allowed("POST", "/api/v1/accounts/2/orders"), allowed("GET", "/api/v1/stream")}; got[0] != 200 || got[1] != 403 || got[2] != 403 {
		t.Errorf("after a binding became partial: %v", got)
	}
	alice.fill("/developer", "/static-tokens", 403, "label", "x")

	s.ok("", "bearer", "bind", "alice", "2")
	s.ok("", "bearer", "user", "set", "alice", "--scopes", "read:market")
	if got := []int{allowed("GET", "/api/v1/accounts"), allowed("POST", "/api/v1/accounts/2/orders")}; got[0] != 403 || got[1] != 403 {
		t.Errorf("after scopes were taken away: %v", got)
	}
	s.openWebSocket(token).alive(t)
	s.noSecrets(token, userPassword)
}

// What a user registers, operators see and can end; it never acts for itself, also
// not after a restart or an operator's change.
func TestS3_3_S3_6_ApplicationInTheRealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market", "1")
	page := alice.fill("/applications/new", "/applications/new", 201, "name", "Chat", "redirect_uris", "https://chat.example.com/cb", "scope.read:market", "on")
	id := regexp.MustCompile(`(?m)^CLIENT_ID=(\S+)$`).FindStringSubmatch(page)[1]
	secret := regexp.MustCompile(`(?m)^CLIENT_SECRET=(\S+)$`).FindStringSubmatch(page)[1]
	var shown record
	s.decode(s.ok("", "bearer", "client", "show", id, "--json"), &shown)
	if shown.Owner != "alice" || shown.Source != store.FromCommand || strings.Join(shown.RedirectURIs, " ") != "https://chat.example.com/cb" {
		t.Errorf("client show: %+v", shown)
	}
	acts := func() int {
		request := s.form("/oauth2/token", "grant_type=client_credentials")
		request.SetBasicAuth(id, secret)
		return s.answerStatus(request)
	}
	if got := acts(); got != 400 {
		t.Errorf("it acts for itself: %d", got)
	}
	s.ok("", "bearer", "client", "set", id, "--name", "Chat 2")
	s.restart()
	if got := acts(); got != 400 {
		t.Errorf("it acts for itself after a change and a restart: %d", got)
	}
	s.ok("", "bearer", "client", "disable", id)
	if got := acts(); got != 401 {
		t.Errorf("disabled: %d", got)
	}
	s.noSecrets(secret)
}

// A bot goes on while its secret is replaced, its owner sees that it still has the old
// one, and when the application ends so does all that the bot obtained.
func TestS3_6_SecretIsReplacedWhileTheBotRuns(t *testing.T) {
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market", "1")
	const callback = "https://chat.example.com/cb"
	secretOf := func(page string) string {
		return regexp.MustCompile(`(?m)^CLIENT_SECRET=(\S+)$`).FindStringSubmatch(page)[1]
	}
	page := alice.fill("/applications/new", "/applications/new", 201, "name", "Chat", "redirect_uris", callback, "scope.read:market", "on")
	id, first := regexp.MustCompile(`(?m)^CLIENT_ID=(\S+)$`).FindStringSubmatch(page)[1], secretOf(page)
	own := "/applications/" + id
	_, back := (&surfer{s, alice.client}).consent(id, callback, "read:market", "account:1", "on")
	got := s.redeemCode(id, first, callback, back.Get("code"))
	stream := s.openWebSocket(got.Access)
	stream.alive(t)

	second := secretOf(alice.fill(own, own+"/secret", 200, "overlap", "day"))
	got = s.renewApp(id, first, got.Refresh)
	if page := alice.page(own, 200); !strings.Contains(page, "The secret before is good until") || !strings.Contains(page, "It was last used on") ||
		!strings.Contains(page, "<dd>1 user</dd>") {
		t.Errorf("the owner is told\n%s", page)
	}
	got = s.renewApp(id, second, got.Refresh)
	if shown := s.ok("", "bearer", "client", "show", id); !regexp.MustCompile(`(?m)^old secret until +20\S+Z$`).MatchString(shown) {
		t.Errorf("client show printed\n%s", shown)
	}
	s.eventually("the use of the old secret in the audit trail", func() bool {
		return strings.Contains(s.ok("", "bearer", "audit", "list", "--action", "client.old_secret"), "client:"+id)
	})

	// By command, too; the oldest is good no more.
	var third record
	s.decode(s.ok("", "bearer", "client", "rotate-secret", id, "--overlap", "1h", "--json"), &third)
	s.restart()
	s.refused(s.exchange(id, first, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}), 401)
	got = s.renewApp(id, second, got.Refresh)
	got = s.renewApp(id, third.Secret, got.Refresh)
	stream = s.openWebSocket(got.Access)
	stream.alive(t)

	question := alice.page(own+"/disable", 200)
	for _, says := range []string{"End <bdi>Chat</bdi>?", "1 user loses it", "1 live stream is cut now."} {
		if !strings.Contains(question, says) {
			t.Errorf("before it ends its owner is not told %q\n%s", says, question)
		}
	}
	alice.fill(own+"/disable", own+"/disable", 303)
	s.wantCut(stream)
	for _, secret := range []string{first, second, third.Secret} {
		s.refused(s.exchange(id, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}), 401)
	}
	s.noSecrets(first, second, third.Secret, got.Access, got.Refresh)
}
