package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

func init() {
	if os.Getenv(asCaddy) != "" {
		recordUsesEvery = 50 * time.Millisecond // server tests wait for it
	}
}

// personal issues a personal token by command, and returns the token and its id.
func (s *server) personal(flags ...string) (raw, id string) {
	s.t.Helper()
	var made personalToken
	s.decode(s.ok("", append([]string{"bearer", "token", "issue", "--label", "bot", "--json"}, flags...)...), &made)
	return made.Token, made.ID
}

// refused sends a request that the gate must refuse, and returns its answer and
// the code of the problem.
func (s *server) refused(request *http.Request, status int) (*http.Response, string) {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var problem struct{ Code string }
	if err := json.Unmarshal(body, &problem); err != nil || response.StatusCode != status {
		s.t.Fatalf("%s %s: %s, want %d\n%s", request.Method, request.URL.Path, response.Status, status, body)
	}
	return response, problem.Code
}

// The life of a personal token, in the real program.
func TestS1_3_S1_9_PersonalTokenFromIssueToRevocation(t *testing.T) {
	s := newServer(t).start()
	shown := s.ok("", "bearer", "token", "issue", "--principal", serviceID, "--label", "Market recorder",
		"--scopes", "read:accounts, read:market", "--expires", "90d", "--allow", "127.0.0.1", "--allow", "192.0.2.0/24", "--rate", "1000/m")
	value := regexp.MustCompile(`(?m)^token +(cb_test_personal_\w+)$`).FindStringSubmatch(shown)
	id := regexp.MustCompile(`(?m)^id +(\w+)$`).FindStringSubmatch(shown)
	if value == nil || id == nil || !strings.Contains(shown, "never shown again") ||
		!regexp.MustCompile(`(?m)^networks +127\.0\.0\.1/32 192\.0\.2\.0/24$`).MatchString(shown) || !regexp.MustCompile(`(?m)^rate +1000/m$`).MatchString(shown) {
		t.Fatalf("token issue printed\n%s", shown)
	}
	token := value[1]
	listed := func() string { t.Helper(); return s.ok("", "bearer", "token", "list", "--principal", serviceID) }
	if table := listed(); !regexp.MustCompile(`(?m)^` + id[1] + ` +Market recorder +` + serviceID + ` +live +20\S+Z +20\S+Z +- +- +1 2 +read:accounts read:market +127\.0\.0\.1/32 192\.0\.2\.0/24 +1000/m$`).MatchString(table) {
		t.Errorf("token list printed\n%s", table)
	}

	var seen struct{ Headers http.Header }
	response := s.answer(s.call("GET", "/api/v1/accounts", token), 200, &seen)
	if seen.Headers.Get("X-Auth-Subject") != serviceID || seen.Headers.Get("X-Auth-Client") != store.PersonalClient ||
		seen.Headers.Get("X-Auth-Accounts") != "1 2" || seen.Headers.Get("Authorization") != "" {
		t.Errorf("the API sees %v", seen.Headers)
	}
	if policy, limit := response.Header.Get("RateLimit-Policy"), response.Header.Get("RateLimit"); policy != `"token";q=1000;w=60` || limit != `"token";r=999;t=1` {
		t.Errorf("RateLimit-Policy %s, RateLimit %s", policy, limit)
	}
	ws := s.openWebSocket(token)
	ws.alive(t)
	if _, code := s.refused(s.call("GET", "/api/v1/eft", token), 403); code != "insufficient_scope" {
		t.Errorf("beyond its scopes: %s", code)
	}
	self := s.request("GET", s.issuer+"/token/self", nil)
	self.Header.Set("Authorization", "Bearer "+token)
	var about struct{ Label, Subject string }
	if s.answer(self, 200, &about); about.Label != "Market recorder" || about.Subject != serviceID {
		t.Errorf("/token/self says %+v", about)
	}
	used := regexp.MustCompile(`(?m)^` + id[1] + ` +Market recorder +\S+ +live +20\S+Z +20\S+Z +20\S+Z +127\.0\.0\.1 +1 2 `)
	s.eventually("the list shows when it was used", func() bool { return used.MatchString(listed()) })

	if told := s.ok(token, "bearer", "token", "show"); !regexp.MustCompile(`(?m)^class +personal\nlabel +Market recorder\nstatus +live$`).MatchString(told) ||
		!regexp.MustCompile(`(?m)^used +20\S+Z\nfrom +127\.0\.0\.1$`).MatchString(told) {
		t.Errorf("token show printed\n%s", told)
	}
	s.ok("", "bearer", "token", "revoke", "--id", id[1], "--reason", "test is over")
	if took, err := ws.end(); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	if _, code := s.refused(s.call("GET", "/api/v1/accounts", token), 401); code != "invalid_token" {
		t.Errorf("revoked: %s", code)
	}
	if table := listed(); strings.Contains(table, id[1]) {
		t.Errorf("a revoked token is listed\n%s", table)
	}
	if table := s.ok("", "bearer", "token", "list", "--all"); !strings.Contains(table, id[1]) || !strings.Contains(table, "revoked") {
		t.Errorf("token list --all printed\n%s", table)
	}
	if strings.Contains(s.output.String(), token[len("cb_test_personal_"):]) {
		t.Error("Caddy's log shows the token")
	}
}

// An allow-list believes the address that Caddy's trusted_proxies decide on, and
// nothing that a client says.
func TestS1_10_AllowListOfARealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	token, _ := s.personal("--principal", serviceID, "--scopes", "read:accounts", "--allow", "192.0.2.0/24")
	claiming := func(address string) *http.Request {
		request := s.call("GET", "/api/v1/accounts", token)
		for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP"} {
			request.Header.Set(name, address)
		}
		request.Header.Set("Forwarded", "for="+address)
		return request
	}
	for _, request := range []*http.Request{s.call("GET", "/api/v1/accounts", token), claiming("192.0.2.7")} {
		if _, code := s.refused(request, 403); code != "address_not_allowed" {
			t.Errorf("from 127.0.0.1: %s", code)
		}
	}
	for _, page := range []string{"address-not-allowed", "rate-limited"} { // what the gate's answers refer to
		if status := s.status(s.issuer + "/problems/" + page); status != 200 {
			t.Errorf("page %s: %d", page, status)
		}
	}
	if n := s.backend.hits("/api/v1/accounts"); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if complaint := s.reload(s.caddyfile(siteOptions{global: "servers {\n trusted_proxies static 127.0.0.1/32\n }"})); complaint != "" {
		t.Fatal(complaint)
	}
	s.eventually("the proxy is believed", func() bool { return s.answerStatus(claiming("192.0.2.7")) == 200 })
	for _, address := range []string{"198.51.100.7", "::ffff:198.51.100.7", "2001:db8::1"} {
		if _, code := s.refused(claiming(address), 403); code != "address_not_allowed" {
			t.Errorf("from %s: %s", address, code)
		}
	}
	s.answer(claiming("::ffff:192.0.2.7"), 200, nil)
}

func TestS1_10_RateOfARealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	token, _ := s.personal("--principal", serviceID, "--scopes", "read:accounts read:market", "--rate", "2/h")
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	s.openWebSocket(token).alive(t) // a stream is one request, however much it carries
	response, code := s.refused(s.call("GET", "/api/v1/accounts", token), 429)
	retry := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(retry); code != "rate_limited" || err != nil || seconds < 1000 || seconds > 1800 ||
		response.Header.Get("RateLimit-Policy") != `"token";q=2;w=3600` || response.Header.Get("RateLimit") != `"token";r=0;t=`+retry {
		t.Errorf("%s %v", code, response.Header)
	}
	if n := s.backend.hits("/api/v1/accounts"); n != 1 {
		t.Errorf("%d requests came through", n)
	}
	if complaint := s.reload(s.caddyfile(siteOptions{site: "header X-Reloaded yes"})); complaint != "" {
		t.Fatal(complaint)
	}
	s.eventually("the reload is in effect", func() bool {
		response, err := http.DefaultClient.Do(s.call("GET", "/api/v1/accounts", token))
		if err != nil {
			return false
		}
		defer response.Body.Close()
		if response.StatusCode != 429 {
			t.Errorf("a reload gives the rate anew: %s", response.Status)
		}
		return response.Header.Get("X-Reloaded") == "yes"
	})
}

// What a token may do is what its owner may do now.
func TestS3_9_PersonalTokenIsCutWithItsOwner(t *testing.T) {
	s := newServer(t).start()
	s.ok("", "bearer", "service-account", "add", "desk", "--scopes", "read:accounts read:market")
	token, _ := s.personal("--principal", "desk", "--scopes", "read:accounts read:market")
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	ws := s.openWebSocket(token)
	ws.alive(t)

	s.restart() // by SIGKILL: what was acknowledged is there
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	ws = s.openWebSocket(token)
	ws.alive(t)

	s.ok("", "bearer", "service-account", "set", "desk", "--scopes", "read:accounts")
	if took, err := ws.end(); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
	if _, code := s.refused(s.call("GET", "/api/v1/stream", token), 403); code != "insufficient_scope" {
		t.Errorf("what was taken away: %s", code)
	}
	if _, stderr, code := s.run("", "bearer", "token", "issue", "--principal", "desk", "--label", "x", "--scopes", "read:market"); code != 1 ||
		!strings.Contains(stderr, `scope "read:market" is more than desk may grant; it has: read:accounts`) {
		t.Errorf("issue above the owner's rights: exit %d %s", code, stderr)
	}

	s.ok("", "bearer", "service-account", "disable", "desk")
	if _, code := s.refused(s.call("GET", "/api/v1/accounts", token), 401); code != "invalid_token" {
		t.Errorf("disabled: %s", code)
	}
}

func TestTokenIssueSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"--rate ten", 2, `rate "ten": expected requests per time, as in 10/s, 600/m or 5/30s`},
		{"--rate 10/", 2, `rate "10/"`},
		{"--rate x/s", 2, `rate "x/s"`},
		{"--expires soon", 2, `expiry "soon": expected a time, a date or an instant`},
		{"cb_test_personal_x", 2, "takes no arguments"},
		{"--rate 10/week", 1, `rate per "1week": expected whole seconds`},
		{"--expires 0001-01-01", 1, "expires 0001-01-01T00:00:00Z is past"},
		{"--expires=", 2, `expiry ""`},
		{"--rate=", 2, `rate ""`},
		{"--allow=", 1, "the list of networks is empty"},
		{"--expires 2020-01-01", 1, "expires 2020-01-01T00:00:00Z is past"},
		{"--expires -1h", 1, "at least 1s"},
		{"--allow 192.0.2.5/24", 1, "did you mean 192.0.2.0/24"},
		{"--scopes read:etf", 1, `did you mean "read:eft"?`},
		{"--accounts 3", 1, `account "3" is not open to ` + serviceID + "; open: 1, 2"},
		{"--label=", 1, "label is missing"},
		{"--principal nobody", 1, `there is no user or service account "nobody" in sandbox`},
	} {
		args := append([]string{"bearer", "token", "issue", "--principal", serviceID, "--label", "x", "--scopes", "read:eft"}, strings.Fields(tt.args)...)
		stdout, stderr, code := s.run("", args...)
		if code != tt.code || !strings.Contains(stderr, tt.says) || stdout != "" {
			t.Errorf("%s: exit %d %s%s", tt.args, code, stdout, stderr)
		}
	}
}

// What was not written down yet when the process is told to stop is then.
func TestUsesAreRecordedAtTheEnd(t *testing.T) {
	path := filepath.Join(shortDir(t), "bearer.db")
	var made personalToken
	t.Run("run", func(t *testing.T) {
		w := newAdminWorld(t, func(app *App) { app.Store.Path = path })
		made = w.issuePersonal("")
		lease, err := w.authority().Check(made.Token)
		must(t, err)
		w.authority().NoteUse(lease, time.Now(), "192.0.2.1")
	})
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	must(t, err)
	defer st.Close()
	must(t, st.View(t.Context(), func(tx store.Reader) error {
		grants, err := tx.Grants(store.Sandbox, store.GrantFilter{Client: store.PersonalClient})
		must(t, err)
		rows, err := tx.TokensOf(store.Sandbox, grants[0].ID)
		if len(rows) != 1 || rows[0].ID != made.ID || rows[0].Used.IsZero() || rows[0].UsedFrom != "192.0.2.1" {
			t.Errorf("%+v", rows)
		}
		return err
	}))
}
