package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// The three lines on which everything stands.
func TestTokenThenForbiddenThenRevoked(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:accounts all:eft")
	if got.Scope != "read:accounts all:eft" {
		t.Errorf("scope %q", got.Scope)
	}

	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", got.Access), 200, nil) // all:eft covers read:eft

	var problem struct {
		Code, Detail string
		Missing      [][]string
	}
	response := s.answer(s.call("POST", "/api/v1/accounts/1/orders", got.Access), 403, &problem)
	if want := `Bearer realm="api", error="insufficient_scope", scope="trade:orders"`; response.Header.Get("WWW-Authenticate") != want {
		t.Errorf("challenge %q, want %q", response.Header.Get("WWW-Authenticate"), want)
	}
	if problem.Code != "insufficient_scope" || len(problem.Missing) != 1 || !slices.Equal(problem.Missing[0], []string{"trade:orders"}) {
		t.Errorf("problem %+v", problem)
	}

	s.revoke(got.Access)
	response = s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil)
	if !strings.Contains(response.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("challenge %q", response.Header.Get("WWW-Authenticate"))
	}
	if n := s.backend.hits("/api/v1/accounts"); n != 1 {
		t.Errorf("the backend was hit %d times, want 1", n)
	}
}

// echo is what the backend says it received.
type echo struct {
	Target  string
	Headers http.Header
}

func TestUpstreamLearnsWhoCallsAndNeverTheToken(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:accounts")
	request := s.call("GET", "/api/v1/accounts", got.Access)
	request.Header.Set("X-Auth-Subject", "root")
	request.Header["x_auth_accounts"] = []string{"99"}
	var seen echo
	s.answer(request, 200, &seen)
	for name, want := range map[string]string{
		"X-Auth-Subject": serviceID, "X-Auth-Client": clientID, "X-Auth-Accounts": "1 2",
		"X-Auth-Scope": "read:accounts", "X-Auth-Environment": "sandbox",
	} {
		if values := seen.Headers.Values(name); len(values) != 1 || values[0] != want {
			t.Errorf("%s: %q, want one line %q", name, values, want)
		}
	}
	for name := range seen.Headers {
		if strings.EqualFold(name, "x_auth_accounts") || name == "Authorization" {
			t.Errorf("%s reached the backend", name)
		}
	}
}

func TestForwardTokenAndIdentityHeaderNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{gate: "forward_token\nrealm trading\nidentity_headers {\n subject X-Who\n}"})
	s.start()
	got := s.obtain("read:accounts")
	var seen echo
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, &seen)
	if seen.Headers.Get("Authorization") != "Bearer "+got.Access || seen.Headers.Get("X-Who") != serviceID {
		t.Errorf("the backend saw %v", seen.Headers)
	}
	response := s.answer(s.call("GET", "/api/v1/accounts", ""), 401, nil)
	if want := `Bearer realm="trading", resource_metadata="` + s.api + `/.well-known/oauth-protected-resource"`; response.Header.Get("WWW-Authenticate") != want {
		t.Errorf("challenge %q, want %q", response.Header.Get("WWW-Authenticate"), want)
	}
}

func TestForeignHostIsGatedToo(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	for _, host := range []string{"evil.test", "localhost", "[::1]", "127.0.0.1:1"} {
		request := s.call("GET", "/api/v1/accounts", "")
		request.Host = host
		s.answer(request, 401, nil)
	}
	if n := s.backend.hits("/api/v1/accounts"); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestHopByHopTrickIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	request := s.call("GET", "/api/v1/accounts", s.obtain("read:accounts").Access)
	request.Header.Set("Connection", "close, X-Auth-Accounts")
	s.answer(request, 400, nil)
	if n := s.backend.hits("/api/v1/accounts"); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// An operator's error routes write the body; status and challenge stay.
func TestHandleErrorsWritesTheBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{site: "handle_errors {\n respond \"house style {err.status_code}\"\n}"})
	s.start()
	response, err := http.DefaultClient.Do(s.call("GET", "/api/v1/accounts", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != 401 || string(body) != "house style 401" || response.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s %q %v", response.Status, body, response.Header)
	}
}

func TestWhatWasAcknowledgedOutlivesKill9(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	dead, alive := s.obtain("read:accounts"), s.obtain("read:accounts")
	s.revoke(dead.Refresh)
	s.restart()
	s.answer(s.call("GET", "/api/v1/accounts", dead.Access), 401, nil)
	s.answer(s.call("GET", "/api/v1/accounts", alive.Access), 200, nil)
	s.answer(s.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+dead.Refresh), 400, nil)
	s.answer(s.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+alive.Refresh), 200, nil)
}

func TestClientRemovedFromTheConfigurationIsDead(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:accounts read:market")
	ws := s.openWebSocket(got.Access)
	if complaint := s.reload(s.caddyfile(siteOptions{noClient: true})); complaint != "" {
		t.Fatal(complaint)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil)
	if _, err := ws.end(); err == nil {
		t.Error("its stream goes on")
	}
	s.answer(s.form("/oauth2/revoke", "token=x"), 401, nil)

	// Declared again it may work, but what was issued before stays dead.
	if complaint := s.reload(s.caddyfile(siteOptions{})); complaint != "" {
		t.Fatal(complaint)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil)
	s.answer(s.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+got.Refresh), 400, nil)
	s.answer(s.call("GET", "/api/v1/accounts", s.obtain("read:accounts").Access), 200, nil)
}

func TestPolicyFileChangesWithoutReload(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	token := s.obtain("read:accounts").Access
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)

	s.write("policy.yaml", strings.Replace(testPolicy, "{scopes: [read:accounts]}", "{scopes: [trade:orders]}", 1))
	s.eventually("the stricter policy is in effect", func() bool { return s.answerStatus(s.call("GET", "/api/v1/accounts", token)) == 403 })

	s.write("policy.yaml", "version: 1\nroutes: [{id: x, mtach: 1}]\n")
	s.eventually("the bad policy is reported", func() bool { return strings.Contains(s.output.String(), `did you mean`) })
	if status := s.answerStatus(s.call("GET", "/api/v1/accounts", token)); status != 403 {
		t.Errorf("under a bad file: %d, want the policy before it (403)", status)
	}

	s.write("policy.yaml", testPolicy)
	s.eventually("the mended policy is in effect", func() bool { return s.answerStatus(s.call("GET", "/api/v1/accounts", token)) == 200 })

	s.eventually("that it is good again is reported, or that it changed", func() bool {
		return strings.Count(s.output.String(), "policy changed") == 2 || strings.Contains(s.output.String(), "good again")
	})

	s.write("policy.yaml", strings.Replace(testPolicy, "all:remittance:", "every:remittance:", 1))
	s.eventually("the scope that the configuration still names is reported", func() bool {
		return strings.Contains(s.output.String(), "the next reload or start will be refused") && strings.Contains(s.output.String(), "all:remittance")
	})
	s.write("policy.yaml", testPolicy)

	if err := os.Remove(s.path("policy.yaml")); err != nil {
		t.Fatal(err)
	}
	s.eventually("the missing file is reported", func() bool { return strings.Contains(s.output.String(), "no such file") })
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
}

func TestListModulesShowsOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, _, _ := s.run("", "list-modules")
	for _, id := range []string{"\nbearer\n", "\nadmin.api.bearer\n", "\nhttp.handlers.bearer_gate\n", "\nhttp.handlers.bearer_issuer\n"} {
		if !strings.Contains("\n"+out, id) {
			t.Errorf("%q is missing", strings.TrimSpace(id))
		}
	}
}

// Every secret and token that was in play must be absent from every log, with
// the debug level and both access logs on.
func TestNoSecretInAnyLog(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:accounts read:market")
	secrets := []string{serviceSecret, clientSecret, got.Access, got.Refresh}
	remember := func(values ...string) { secrets = append(secrets, values...) }

	for _, path := range []string{"/api/v1/s2s-oauth2/code", "/api/v1/s2s-oauth2/cod", "/"} { // right, mistyped, lost
		request := s.request("GET", s.issuer+path, nil)
		request.Header.Set("X-Service-Account-ID", serviceID)
		request.Header.Set("X-Service-Account-Secret", "wrong-"+serviceSecret)
		request.Header.Set("X-Client-ID", clientID)
		request.Header.Set("X-Client-Secret", clientSecret)
		request.Header.Set("scope", "read:accounts")
		s.answerStatus(request)
	}
	s.answerStatus(s.form("/api/v1/s2s-oauth2/token?code=canary-code-in-query", "grant_type=authorization_code&code=canary-code"))
	remember("canary-code-in-query", "canary-code")
	s.answerStatus(s.form("/oauth2/revoke", "token=canary-token&client_secret=canary-secret"))
	remember("canary-token", "canary-secret")

	s.answerStatus(s.call("GET", "/api/v1/accounts", got.Access))
	s.answerStatus(s.call("GET", "/api/v1/accounts?access_token="+got.Access, ""))
	s.answerStatus(s.call("GET", "/api/v1/accounts", "canary-bearer"))
	remember("canary-bearer")
	request := s.call("GET", "/api/v1/stream", "")
	request.Header.Set("Sec-WebSocket-Protocol", "bearer, "+got.Access)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("token in the subprotocol: %s", response.Status)
	}
	s.revoke(got.Refresh)

	root, err := os.ReadFile(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	remember(strings.TrimSpace(string(root)))
	operators, err := os.ReadFile(s.path("operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(operators)) {
		if _, secret, found := strings.Cut(strings.TrimSpace(line), " "); found {
			remember(secret)
		}
	}
	logged := s.output.String()
	if !strings.Contains(logged, `"level":"debug"`) && !strings.Contains(logged, "DEBUG") {
		t.Error("debug lines are missing: the test would prove nothing")
	}
	if !strings.Contains(logged, "handled request") {
		t.Error("access-log lines are missing: the test would prove nothing")
	}
	for _, secret := range secrets {
		if strings.Contains(logged, secret) {
			t.Errorf("a log holds the secret %.12s…", secret)
		}
	}
}

func TestSigningAlgorithmChangesWithAReload(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	old := s.obtain("read:accounts")
	if complaint := s.reload(s.caddyfile(siteOptions{environment: "signing_algorithm EdDSA\n"})); complaint != "" {
		t.Fatal(complaint)
	}
	next := s.obtain("read:accounts")
	for _, token := range []string{old.Access, next.Access} {
		s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	}
	var jwks struct{ Keys []struct{ Alg string } }
	s.answer(s.request("GET", s.issuer+"/oauth2/jwks", nil), 200, &jwks)
	if len(jwks.Keys) != 2 {
		t.Errorf("%d keys are published, want both", len(jwks.Keys))
	}
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(next.Access, ".")[0])
	if err != nil || !strings.Contains(string(header), "EdDSA") {
		t.Errorf("header of the next token: %s", header)
	}
}

// The seed page's two calls, as printed: GET with a form body.
func TestS4_TheBanksPageAsPrinted(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	request := s.request("GET", s.issuer+"/api/v1/s2s-oauth2/code", nil)
	for name, value := range map[string]string{
		"X-Service-Account-ID": serviceID, "X-Service-Account-Secret": serviceSecret,
		"X-IBM-client-id": clientID, "X-IBM-client-secret": clientSecret,
		"scope": "read:accounts all:remittance all:eft",
	} {
		request.Header.Set(name, value)
	}
	code := s.members(request)
	if keys := sortedKeys(code); !slices.Equal(keys, []string{"code"}) {
		t.Fatalf("members %q, want code alone", keys)
	}

	request = s.request("GET", s.issuer+"/api/v1/s2s-oauth2/token", strings.NewReader("grant_type=authorization_code&code="+code["code"].(string)))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(clientID+" ", "  "+clientSecret) // the page prints blanks around the colon
	got := s.members(request)
	want := []string{"access_token", "consented_on", "expires_in", "refresh_token", "refresh_token_expires_in", "scope", "token_type"}
	if keys := sortedKeys(got); !slices.Equal(keys, want) {
		t.Errorf("members %q, want %q", keys, want)
	}
	if got["token_type"] != "bearer" || got["expires_in"] != 1095.0 || got["refresh_token_expires_in"] != 2682000.0 ||
		got["scope"] != "read:accounts all:remittance all:eft" {
		t.Errorf("answer %v", got)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got["access_token"].(string)), 200, nil)
}

func (s *server) members(request *http.Request) map[string]any {
	s.t.Helper()
	var raw json.RawMessage
	response := s.answer(request, 200, &raw)
	if response.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("Cache-Control %q", response.Header.Get("Cache-Control"))
	}
	members := map[string]any{}
	if err := json.Unmarshal(raw, &members); err != nil {
		s.t.Fatal(err)
	}
	return members
}
