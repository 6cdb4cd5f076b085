package caddymodule

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestAdminAsksWhoCalls(t *testing.T) {
	w := newAdminWorld(t)
	local, wild := w.listenTCP("127.0.0.1"), w.listenTCP("0.0.0.0")
	open := w.listenUnix(filepath.Join(filepath.Dir(w.app.Store.Path), "open.sock"), 0o666)
	group := w.listenUnix(filepath.Join(filepath.Dir(w.app.Store.Path), "group.sock"), 0o660)
	bearer := func(r role) string { return "Bearer " + w.operatorToken(r) }
	const list, disable, add, unknown = "GET /clients", "POST /clients/" + clientID + "/revoke", "POST /accounts", "GET /nothing"

	tests := []struct {
		name   string
		client *http.Client
		base   string
		auth   string
		call   string
		status int
		says   string
	}{
		{"TCP, nothing presented", http.DefaultClient, local, "", list, 401, "operator token is needed"},
		{"TCP, an unknown path is no secret door", http.DefaultClient, local, "", unknown, 401, "operator token"},
		{"TCP, a wrong method neither", http.DefaultClient, local, "", "PUT /clients", 401, "operator token"},
		{"TCP, another scheme", http.DefaultClient, local, "Basic " + w.operatorToken(roleAdmin), list, 401, "operator token"},
		{"TCP, wrong token", http.DefaultClient, local, "Bearer cb_operator_" + strings.Repeat("A", 52), list, 401, "operator token"},
		{"TCP, empty token", http.DefaultClient, local, "Bearer ", list, 401, "operator token"},
		{"TCP, a role's name for a token", http.DefaultClient, local, "Bearer admin", list, 401, "operator token"},
		{"TCP, read reads", http.DefaultClient, local, bearer(roleRead), list, 200, clientID},
		{"TCP, the scheme in another case", http.DefaultClient, local, strings.Replace(bearer(roleRead), "Bearer", "bearer", 1), list, 200, clientID},
		{"TCP, read does not revoke", http.DefaultClient, local, bearer(roleRead), disable, 403, "needs the role revoke, and the operator token has the role read"},
		{"TCP, revoke reads", http.DefaultClient, local, bearer(roleRevoke), list, 200, clientID},
		{"TCP, revoke revokes", http.DefaultClient, local, bearer(roleRevoke), disable, 200, "client"},
		{"TCP, revoke does not add", http.DefaultClient, local, bearer(roleRevoke), add, 403, "needs the role admin"},
		{"TCP, admin may", http.DefaultClient, local, bearer(roleAdmin), add, 201, "77"},
		{"owner's socket, no token", w.socket, "http://localhost", "", list, 200, clientID},
		{"owner's socket is admin", w.socket, "http://localhost", "", add, 409, "taken"},
		{"socket open to all, no token", open, "http://localhost", "", list, 401, "operator token"},
		{"socket open to all, token", open, "http://localhost", bearer(roleRead), list, 200, clientID},
		{"socket open to the group, no token", group, "http://localhost", "", list, 401, "operator token"},
		{"listener on all interfaces, from this machine, with a token", http.DefaultClient, wild, bearer(roleAdmin), list, 403, "open to the network"},
		{"listener on all interfaces, no token", http.DefaultClient, wild, "", list, 403, "open to the network"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.call, " ")
			body := ""
			if test.call == add {
				body = `{"id":"77"}`
			}
			request := newAdminRequest(t, method, test.base+"/bearer/environments/sandbox"+path, body)
			if test.auth != "" {
				request.Header.Set("Authorization", test.auth)
			}
			answer := do(t, test.client, request)
			if answer.status != test.status || !strings.Contains(answer.body, test.says) {
				t.Errorf("%d %s; want %d and %q", answer.status, answer.body, test.status, test.says)
			}
			if challenged := answer.header.Get("WWW-Authenticate") != ""; challenged != (test.status == 401) {
				t.Errorf("WWW-Authenticate is %q", answer.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(answer.body, "cb_operator_") {
				t.Errorf("the answer shows an operator token: %s", answer.body)
			}
		})
	}
}

// Caddy's remote administration proves the caller by a certificate, and asks
// for the operator token all the same.
func TestAdminThroughTLSWithAClientCertificate(t *testing.T) {
	w := newAdminWorld(t)
	for name, test := range map[string]struct {
		chains [][]*x509.Certificate
		auth   string
		status int
	}{
		"certificate and token":   {[][]*x509.Certificate{{{}}}, "Bearer " + w.operatorToken(roleRead), 200},
		"certificate alone":       {[][]*x509.Certificate{{{}}}, "", 401},
		"TLS without certificate": {nil, "Bearer " + w.operatorToken(roleAdmin), 403},
	} {
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/bearer/policies", nil)
		request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 2021}))
		request.TLS = &tls.ConnectionState{VerifiedChains: test.chains}
		if test.auth != "" {
			request.Header.Set("Authorization", test.auth)
		}
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, request)
		if recorder.Code != test.status {
			t.Errorf("%s: %d %s; want %d", name, recorder.Code, recorder.Body, test.status)
		}
	}
}

func TestAdminWithoutALiveApp(t *testing.T) {
	w := newAdminWorld(t)
	live.Store(nil)
	answer := w.try("GET", "/clients", "")
	live.Store(w.app)
	if answer.status != 503 || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "no configuration") {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	must(t, w.app.runtime.store.Close())
	if answer = w.try("POST", "/clients", `{}`); answer.status != 503 || !strings.Contains(answer.body, "nothing was changed") {
		t.Errorf("store away: %d %s", answer.status, answer.body)
	}
}
