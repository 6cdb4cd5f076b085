package gate

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRefusalDocuments(t *testing.T) {
	w := openWorld(t, nil)
	w.offset.Store(int64(time.Until(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))))
	server := w.serve(t, nothing)
	reader, nobody := w.mint(t, "read:accounts"), w.mint(t, "read:market")
	for _, tt := range []struct {
		name, method, target, token string
		challenge, body             string
	}{
		{"insufficient scope", "POST", "/accounts/42/orders", reader,
			`Bearer realm="api", error="insufficient_scope", scope="trade:orders"`,
			`{"type":"https://as.test/problems/insufficient-scope","title":"The token lacks a scope","status":403,"code":"insufficient_scope","detail":"POST /accounts/{account}/orders needs trade:orders","missing":[["trade:orders"]],"request_id":"req-1"}`},
		{"the path's account is not repeated", "POST", "/accounts/secret/orders", reader,
			`Bearer realm="api", error="insufficient_scope", scope="trade:orders"`,
			`{"type":"https://as.test/problems/insufficient-scope","title":"The token lacks a scope","status":403,"code":"insufficient_scope","detail":"POST /accounts/{account}/orders needs trade:orders","missing":[["trade:orders"]],"request_id":"req-1"}`},
		{"several alternatives, one hidden", "GET", "/either", nobody,
			`Bearer realm="api", error="insufficient_scope", scope="read:accounts trade:orders"`,
			`{"type":"https://as.test/problems/insufficient-scope","title":"The token lacks a scope","status":403,"code":"insufficient_scope","detail":"GET /either needs read:accounts trade:orders, or trade:orders","missing":[["read:accounts","trade:orders"],["trade:orders"]],"request_id":"req-1"}`},
		{"hidden alone", "GET", "/desk", reader,
			`Bearer realm="api", error="insufficient_scope"`,
			`{"type":"https://as.test/problems/insufficient-scope","title":"The token lacks a scope","status":403,"code":"insufficient_scope","detail":"GET /desk needs a scope that the token lacks","missing":[],"request_id":"req-1"}`},
		{"account not granted", "POST", "/accounts/44/orders", w.mint(t, "trade:orders"), "",
			`{"type":"https://as.test/problems/account-not-granted","title":"The token is not for this account","status":403,"code":"account_not_granted","detail":"The token was not granted for the account that the path names.","request_id":"req-1"}`},
		{"no credentials", "GET", "/accounts", "", `Bearer realm="api"`,
			`{"type":"https://as.test/problems/no-credentials","title":"No token was presented","status":401,"code":"no_credentials","detail":"This route needs a token: Authorization: Bearer TOKEN.","request_id":"req-1"}`},
		{"invalid token, unproven", "GET", "/accounts", "abc", `Bearer realm="api", error="invalid_token"`,
			`{"type":"https://as.test/problems/invalid-token","title":"The token is not valid","status":401,"code":"invalid_token","detail":"The token is not valid here.","request_id":"req-1"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{"Content-Length: 0"}
			if tt.token != "" {
				lines = append(lines, "Authorization: Bearer "+tt.token)
			}
			resp := raw(t, server, request(tt.method, tt.target, lines...))
			if got := resp.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("challenge %s\nwant      %s", got, tt.challenge)
			}
			if got := strings.TrimSpace(body(t, resp)); got != tt.body {
				t.Errorf("body %s\nwant %s", got, tt.body)
			}
			if resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", resp.Header)
			}
		})
	}
}

// Who calls is known to who records refusals, once the token was proven.
func TestRefusalKnowsTheProvenToken(t *testing.T) {
	w := openWorld(t, nil)
	good, dead := w.mint(t, "read:accounts"), w.mint(t, "read:accounts")
	w.revoke(t, dead)
	for name, tt := range map[string]struct {
		target, token string
		proven        bool
		route         bool
	}{
		"lacks a scope":     {"/desk", good, true, true},
		"revoked":           {"/accounts", dead, true, true},
		"made up":           {"/accounts", "abc", false, true},
		"none":              {"/accounts", "", false, true},
		"no route":          {"/nowhere", good, false, false},
		"changed signature": {"/accounts", good[:len(good)-8] + "AAAAAAAA", false, true},
	} {
		r := httptest.NewRequest("GET", tt.target, nil)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		var refusal *Refusal
		if err := w.ServeHTTP(httptest.NewRecorder(), r, plainly(http.NotFoundHandler())); !errors.As(err, &refusal) {
			t.Fatalf("%s: %v", name, err)
		}
		if proven := refusal.Lease != nil; proven != tt.proven || (refusal.Route != nil) != tt.route {
			t.Errorf("%s: proven %v, route %v", name, proven, refusal.Route)
		}
	}
}

func TestRefusalOfHead(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, nothing)
	resp := raw(t, server, request("HEAD", "/accounts", "Connection: close"))
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" || resp.Header.Get("Content-Length") == "0" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if got, _ := resp.Body.Read(make([]byte, 1)); got != 0 {
		t.Error("a body")
	}
}

func TestHTTP10AnswersClose(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, nothing)
	for _, path := range []string{"/health", "/accounts"} {
		resp := raw(t, server, "GET "+path+" HTTP/1.0\r\nHost: gw.test\r\nConnection: keep-alive\r\n\r\n")
		if got := resp.Header.Get("Connection"); got != "close" {
			t.Errorf("%s: Connection %q", path, got)
		}
	}
}

// What next had prepared for an answer that was cut says nothing about ours.
func TestRefusalReplacesPreparedHeaders(t *testing.T) {
	w := openWorld(t, nil)
	refusal := w.refuse(httptest.NewRequest("GET", "/", nil), flawStore)
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Encoding", "gzip")
	rec.Header().Set("ETag", `"x"`)
	rec.Header().Set("Strict-Transport-Security", "max-age=1")
	refusal.Respond(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Content-Encoding") != "" || rec.Header().Get("ETag") != "" ||
		rec.Header().Get("Retry-After") != "1" || rec.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

func TestQuote(t *testing.T) {
	if got := quote("a\"b\\c\r\né"); got != `"a\"b\\c???"` {
		t.Errorf("%s", got)
	}
}

// IDENTITY-12: who waits to be asked for the body is refused without being asked,
// also where the server around the gate has wrapped it, as Caddy does.
func TestRefusalAsksForNoBody(t *testing.T) {
	w := openWorld(t, nil)
	gated := w.gated(nothing)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Body = struct{ io.ReadCloser }{r.Body}
		gated.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	resp := raw(t, server, request("POST", "/upload", "Authorization: Bearer abc", "Expect: 100-continue", "Content-Length: 1000000"))
	if resp.StatusCode != http.StatusUnauthorized || !resp.Close {
		t.Errorf("status %d, closes %v", resp.StatusCode, resp.Close)
	}
}
