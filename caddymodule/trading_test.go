package caddymodule

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// signedIn puts sessions of a user into the database, one for each environment,
// while no server runs on it, and returns the cookies.
func (s *server) signedIn(user string, envs ...store.Environment) (cookies map[store.Environment]string) {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.await("the process ends", s.exited)
	st, err := sqlite.Open(context.Background(), sqlite.Options{Path: s.path("bearer.db"), Committed: func([]store.Revocation) {}})
	if err != nil {
		s.t.Fatal(err)
	}
	root, err := token.LoadRootKey(s.path("root.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	cookies = map[store.Environment]string{}
	for _, env := range envs {
		raw, hash := token.NewKeyring(root, env).NewOpaque(token.ClassSession)
		now := time.Now().UTC()
		err := st.Update(context.Background(), func(tx store.Writer) error {
			return tx.PutSession(store.Session{
				Environment: env, Hash: hash, KeyID: token.KeyIDOf(raw), ID: token.NewID(), Principal: user,
				Created: now, Authenticated: now, Seen: now, Expires: now.Add(time.Hour),
			})
		})
		if err != nil {
			s.t.Fatal(err)
		}
		cookies[env] = "bearer-" + string(env) + "=" + raw
	}
	if err := st.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.start()
	return cookies
}

// page sends a request to a page, as a browser with a cookie; with a form if there
// are pairs.
func (s *server) page(issuer, cookie, path string, pairs ...string) (status int, body string) {
	s.t.Helper()
	request := s.request("GET", issuer+path, nil)
	if len(pairs) > 0 {
		_, choice := s.page(issuer, cookie, "/trading/tokens")
		form := url.Values{"csrf": {firstMatch(formField, choice)}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		request = s.request("POST", issuer+path, strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Cookie", cookie)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// newTrading creates a trading token by the page and shows it.
func (s *server) newTrading(issuer, cookie, account string) (id, raw string) {
	s.t.Helper()
	if status, body := s.page(issuer, cookie, "/trading/tokens", "account", account); status != 303 {
		s.t.Fatalf("create: %d %s", status, body)
	}
	_, list := s.page(issuer, cookie, "/trading/tokens?account="+account)
	id = firstMatch(tradingRow, list)
	_, shown := s.page(issuer, cookie, "/trading/tokens/show", "token", id)
	if raw = tradingValue.FindString(shown); raw == "" {
		s.t.Fatalf("show: %s", shown)
	}
	return id, raw
}

func (s *server) tradingRequest(issuer, raw string) *http.Request {
	request := s.request("POST", issuer+"/trading/token", strings.NewReader("grant_type=refresh_token&refresh_token="+raw))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// A whole server with both environments: what a token of one opens, that it opens
// nothing of the other, and what its end ends.
func TestS2_1_S2_11_S2_14_TradingTokensOfTwoEnvironments(t *testing.T) {
	s := newServer(t)
	realIssuer, realAPI := "http://127.0.0.1:"+freeport.Find(t), "http://127.0.0.1:"+freeport.Find(t)
	s.config = s.caddyfile(siteOptions{
		environment: "trading_tokens read:market trade:orders\naccount T1 {\n kind trading\n}\n",
		bearer: "environment production {\n issuer " + realIssuer + "\n audience " + realAPI +
			"\n trading_tokens read:market\n account T1 {\n kind trading\n}\n}\n",
		gate: "environment sandbox",
	})
	s.config = strings.Replace(s.config, "\tbearer_issuer\n", "\tbearer_issuer {\n environment sandbox\n}\n", 1) +
		"http://:" + port(realIssuer) + " {\n bearer_issuer {\n environment production\n}\nrespond 404\n}\n" +
		"http://:" + port(realAPI) + " {\n bearer_gate test {\n environment production\n}\nreverse_proxy " + s.backend.address() + "\n}\n"
	s.start()
	for _, env := range []string{"sandbox", "production"} {
		s.ok("", "bearer", "user", "add", "alice", "--scopes", "read:market trade:orders", "--environment", env)
		s.ok("", "bearer", "bind", "alice", "T1", "--environment", env)
	}
	cookies := s.signedIn("alice", store.Sandbox, store.Production)
	cookie := cookies[store.Sandbox]
	id, raw := s.newTrading(s.issuer, cookie, "T1")
	_, live := s.newTrading(realIssuer, cookies[store.Production], "T1")

	var got, other tokens
	s.answer(s.tradingRequest(s.issuer, raw), 200, &got)
	s.answer(s.tradingRequest(realIssuer, live), 200, &other)
	for _, request := range []*http.Request{s.tradingRequest(realIssuer, raw), s.tradingRequest(s.issuer, live)} {
		var refusal struct{ Error string }
		s.answer(request, 400, &refusal)
		if refusal.Error != "invalid_grant" {
			t.Errorf("a refresh token of the other environment: %s", refusal.Error)
		}
	}
	for _, call := range []struct {
		api, token string
		status     int
	}{
		{s.api, got.Access, 200}, {s.api, other.Access, 401}, {s.api, raw, 401},
		{realAPI, got.Access, 401}, {realAPI, other.Access, 403}, // good, but production's tokens may not trade
	} {
		request := s.request("POST", call.api+"/api/v1/accounts/T1/orders", nil)
		request.Header.Set("Authorization", "Bearer "+call.token)
		if status := s.answerStatus(request); status != call.status {
			t.Errorf("%s: %d, want %d", call.api, status, call.status)
		}
	}
	if status, _ := s.page(realIssuer, cookie, "/trading/tokens?account=T1"); status != 303 {
		t.Errorf("the sandbox's session at the production's page: %d", status)
	}

	// What the API is told, and which account is open.
	var seen echo
	s.answer(s.call("POST", "/api/v1/accounts/T1/orders", got.Access), 200, &seen)
	if subject, client := seen.Headers.Get("X-Auth-Subject"), seen.Headers.Get("X-Auth-Client"); subject != "T1" || client != "trading-account" {
		t.Errorf("the API is told %s and %s", subject, client)
	}
	s.answer(s.call("POST", "/api/v1/accounts/1/orders", got.Access), 403, nil)

	ws := s.openWebSocket(got.Access)
	events := s.openEvents("SSE", http.DefaultClient, s.api, got.Access)
	ws.alive(t)
	events.alive(t)
	if status, body := s.page(s.issuer, cookie, "/trading/tokens/revoke", "token", id); status != 200 || !strings.Contains(body, "2 live streams are cut now.") || !strings.Contains(body, "created by <bdi>") {
		t.Errorf("before it is revoked a developer is told %d\n%s", status, body)
	}
	ws.alive(t)
	if status, body := s.page(s.issuer, cookie, "/trading/tokens/revoke", "token", id, "confirmed", "yes"); status != 303 {
		t.Fatalf("revoke: %d %s", status, body)
	}
	if took, err := ws.end(); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	if took, _ := events.end(); took > time.Second {
		t.Errorf("SSE lived on for %s", took)
	}
	s.answer(s.call("POST", "/api/v1/accounts/T1/orders", got.Access), 401, nil)
	s.answer(s.tradingRequest(s.issuer, raw), 400, nil)

	s.restart()
	s.answer(s.call("POST", "/api/v1/accounts/T1/orders", got.Access), 401, nil)
	s.answer(s.tradingRequest(s.issuer, raw), 400, nil)
	s.answer(s.tradingRequest(realIssuer, live), 200, nil)
	if strings.Contains(s.output.String(), raw) || strings.Contains(s.output.String(), live) {
		t.Error("the server's log holds a trading token")
	}
}

// What operators do, by commands, with a live stream of a token that a developer
// who leaves has seen.
func TestS2_9_UnbindByCommand(t *testing.T) {
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{environment: "trading_tokens read:market\naccount T1 {\n kind trading\n}\n"})
	s.start()
	s.ok("", "bearer", "user", "add", "alice", "--scopes", "read:market")
	s.ok("", "bearer", "bind", "alice", "T1")
	cookie := s.signedIn("alice", store.Sandbox)[store.Sandbox]
	id, raw := s.newTrading(s.issuer, cookie, "T1")
	kept, _ := s.newTrading(s.issuer, cookie, "T1")
	var got tokens
	s.answer(s.tradingRequest(s.issuer, raw), 200, &got)
	ws := s.openWebSocket(got.Access)
	ws.alive(t)

	var listed struct {
		Tokens []tradingToken `json:"trading_tokens"`
	}
	if err := json.Unmarshal([]byte(s.ok("", "bearer", "token", "list", "--account", "T1", "--json")), &listed); err != nil || len(listed.Tokens) != 2 {
		t.Errorf("%v %v", listed, err)
	}
	if table := s.ok("", "bearer", "token", "list", "--account", "T1"); !strings.Contains(table, id) || !strings.Contains(table, "alice") {
		t.Errorf("%s", table)
	}
	if _, complaint, code := s.run("", "bearer", "token", "list", "--account", "T1", "--principal", "alice"); code != exitUsage || !strings.Contains(complaint, "give one") {
		t.Errorf("%d %s", code, complaint)
	}
	dry := s.ok("", "bearer", "unbind", "alice", "T1", "--dry-run")
	for _, want := range []string{id + " of account T1", kept + " of account T1", "Nothing was changed"} {
		if !strings.Contains(dry, want) {
			t.Errorf("the dry run lacks %q:\n%s", want, dry)
		}
	}
	if _, complaint, code := s.run("", "bearer", "unbind", "alice", "T1", "--keep-shared"); code != exitFailed || !strings.Contains(complaint, "needs a reason") {
		t.Errorf("%d %s", code, complaint)
	}
	s.ok("", "bearer", "unbind", "alice", "T1", "--keep-shared", "--reason", "bots run on them")
	ws.alive(t)
	s.answer(s.tradingRequest(s.issuer, raw), 200, nil)
	if trail := s.ok("", "bearer", "audit", "list", "--action", "token.keep"); !strings.Contains(trail, id) || !strings.Contains(trail, "bots run on them") {
		t.Errorf("%s", trail)
	}

	s.ok("", "bearer", "bind", "alice", "T1")
	s.ok("", "bearer", "user", "revoke", "alice", "--reason", "left")
	if took, err := ws.end(); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	s.answer(s.tradingRequest(s.issuer, raw), 400, nil)
	if status, _ := s.page(s.issuer, cookie, "/trading/tokens"); status != 303 {
		t.Errorf("the session lives on: %d", status)
	}
	if table := s.ok("", "bearer", "token", "list", "--account", "T1", "--all"); strings.Count(table, "revoked") != 2 {
		t.Errorf("%s", table)
	}
}
