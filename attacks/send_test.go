package attacks

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// client knows where the corpus's hosts are, and the admin socket as
// http://admin.test. It follows no redirect.
func (s *server) client() *http.Client {
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		var dialer net.Dialer
		if address == "admin.test:80" {
			return dialer.DialContext(ctx, "unix", s.path("admin.sock"))
		}
		port, known := s.ports[address]
		if !known {
			return nil, errors.New("no such host in the corpus: " + address)
		}
		return dialer.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, ForceAttemptHTTP2: true, DisableCompression: true,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				host, _, _ := net.SplitHostPort(address)
				secure := tls.Client(conn, &tls.Config{RootCAs: s.roots, ServerName: host, NextProtos: []string{"h2", "http/1.1"}})
				return secure, secure.HandshakeContext(ctx)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request sends a request by net/http. The URL names a host of the corpus.
func (a *attack) request(method, url, body string, header http.Header) *answer {
	a.Helper()
	request, err := http.NewRequestWithContext(a.Context(), method, url, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	for _, value := range header["Authorization"] {
		a.forbid(value)
	}
	response, err := a.http.Do(request)
	if err != nil {
		a.Fatal(err)
	}
	return a.read(response)
}

// get sends a bearer token to the gate, without anything in between that would
// look at it. An empty token is none.
func (a *attack) get(path, token string) *answer {
	a.Helper()
	return a.getFrom("gw.test", path, token)
}

// getRSA is get from the environment that signs with RS256.
func (a *attack) getRSA(path, token string) *answer {
	a.Helper()
	return a.getFrom("rsa.gw.test", path, token)
}

func (a *attack) getFrom(host, path, token string) *answer {
	a.Helper()
	head := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	a.forbid(token)
	return a.rawTo(host+":80", head+"\r\n")
}

// raw sends bytes over a bare socket to the plain listener of the gate and reads
// the first answer.
func (a *attack) raw(bytes string) *answer { a.Helper(); return a.rawTo("gw.test:80", bytes) }

// rawTo is raw with another listener (a key of server.ports).
func (a *attack) rawTo(listener, bytes string) *answer {
	a.Helper()
	answers := a.rawAll(listener, bytes, 1)
	if len(answers) == 0 {
		a.Fatal("the connection was closed without an answer")
	}
	return answers[0]
}

// rawAll sends bytes over a bare socket and reads up to n answers; fewer if the
// server closes the connection. The last one knows whether it did.
func (a *attack) rawAll(listener, bytes string, n int) (answers []*answer) {
	a.Helper()
	conn := a.dial(listener)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, bytes) }() // an answer may come before the end is sent
	reader := bufio.NewReader(conn)
	for range n {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			break
		}
		answers = append(answers, a.read(response))
	}
	return answers
}

// dial opens a bare socket to a listener, with TLS if it speaks that. It is
// closed when the row is over.
func (a *attack) dial(listener string) net.Conn {
	a.Helper()
	conn, err := a.dialPlain(listener)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { conn.Close() })
	if host, port, _ := strings.Cut(listener, ":"); port == "443" {
		return tls.Client(conn, &tls.Config{RootCAs: a.roots, ServerName: host, NextProtos: []string{"http/1.1"}})
	}
	return conn
}

// dialPlain opens a socket that gives up when patience ends.
func (s *server) dialPlain(listener string) (net.Conn, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.ports[listener])
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// fetch gets what the server publishes.
func (s *server) fetch(t testing.TB, url string) []byte {
	t.Helper()
	response, err := s.http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, response.Status, err)
	}
	return body
}

// admin calls the admin API of the production environment, which must agree.
func (a *attack) admin(method, path string, body, into any) {
	a.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.Fatal(err)
	}
	request, err := http.NewRequestWithContext(a.Context(), method, "http://admin.test/bearer/environments/production"+path, bytes.NewReader(text))
	if err != nil {
		a.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.http.Do(request)
	if err != nil {
		a.Fatal(err)
	}
	got := a.read(response)
	if got.status/100 != 2 {
		a.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(got.body), into); err != nil {
			a.Fatalf("%s %s: %v in %s", method, path, err, got.body)
		}
	}
}

// form posts a form to the issuer, by a client with a secret unless that is empty.
func (a *attack) form(path, client, secret string, fields url.Values) *answer {
	a.Helper()
	request, err := http.NewRequestWithContext(a.Context(), http.MethodPost, issuerURL+path, strings.NewReader(fields.Encode()))
	if err != nil {
		a.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		request.SetBasicAuth(client, secret)
	}
	response, err := a.http.Do(request)
	if err != nil {
		a.Fatal(err)
	}
	return a.read(response)
}

// obtain gets an access token that the issuer makes for the client "machine".
func (a *attack) obtain(scope string) string {
	a.Helper()
	return a.obtainAs(machineID, machineSecret, scope)
}

func (a *attack) obtainAs(client, secret, scope string) string {
	a.Helper()
	got := a.form("/oauth2/token", client, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.Access == "" {
		a.Fatalf("%d %s", got.status, got.body)
	}
	a.forbid(tokens.Access)
	return tokens.Access
}

// obtainRefresh gets a refresh token, by the two calls that a service account
// makes with the client "machine".
func (a *attack) obtainRefresh(scope string) string {
	a.Helper()
	got := a.request("GET", issuerURL+"/api/v1/s2s-oauth2/code", "", http.Header{
		"X-Service-Account-Id": {deskID}, "X-Service-Account-Secret": {deskSecret},
		"X-Ibm-Client-Id": {machineID}, "X-Ibm-Client-Secret": {machineSecret}, "Scope": {scope},
	})
	var code struct{ Code string }
	if err := json.Unmarshal([]byte(got.body), &code); err != nil || code.Code == "" {
		a.Fatalf("%s", got)
	}
	got = a.form("/api/v1/s2s-oauth2/token", machineID, machineSecret, url.Values{"grant_type": {"authorization_code"}, "code": {code.Code}})
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.Refresh == "" {
		a.Fatalf("%s", got)
	}
	a.forbid(code.Code)
	a.forbid(tokens.Refresh)
	return tokens.Refresh
}

// personalToken issues a personal token of a user or service account with the
// scope accounts:read.
func (a *attack) personalToken(owner string) string {
	a.Helper()
	var issued struct{ Token string }
	a.admin("POST", "/personal-tokens", members{"principal": owner, "label": a.id, "scopes": []string{"accounts:read"}, "lifetime": "1h"}, &issued)
	a.forbid(issued.Token)
	return issued.Token
}

// revoke ends a token of the client "machine" (RFC 7009).
func (a *attack) revoke(token string) {
	a.Helper()
	if got := a.form("/oauth2/revoke", machineID, machineSecret, url.Values{"token": {token}}); got.status != http.StatusOK {
		a.Fatalf("%d %s", got.status, got.body)
	}
}

// handshake asks for a WebSocket (RFC 6455 §4.1), with more header lines.
func handshake(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}
