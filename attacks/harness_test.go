package attacks

import (
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

// TestHarness makes sure of what the rows stand on: a refusal says nothing if
// every request is refused.
func TestHarness(t *testing.T) {
	a := &attack{T: t, server: startServer(t), id: "harness"}
	a.runExpecting(func(a *attack) {
		seen := a.get("/v1/accounts", a.tokenRead()).passed()
		if subject := seen.request.Header.Get("X-Auth-Subject"); subject != machineID {
			t.Errorf("subject %q in %q", subject, seen.raw)
		}
		a.get("/v1/admin/users", a.tokenAdmin()).passed()
		a.get("/v1/accounts", a.obtain("accounts:read")).passed()
		for url, token := range map[string]string{
			"http://gw.test":     a.tokenRead(),
			"https://gw.test":    a.tokenRead(),
			"http://rsa.gw.test": a.mintRSA(a.rsaHeader(), a.rsaClaims("accounts:read")),
		} {
			got := a.request("GET", url+"/v1/accounts", "", http.Header{"Authorization": {"Bearer " + token}})
			got.passed()
			if secure := url == "https://gw.test"; secure != (got.proto == 2) {
				t.Errorf("%s over HTTP/%d", url, got.proto)
			}
		}
		if got := a.rawAll("gw.test:443", "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n", 2); len(got) != 1 || !got[0].closes {
			t.Errorf("%v", got)
		}
		if seen := a.received(); len(seen) != 1 || seen[0].request.Host != "gw.test" {
			t.Errorf("%v", seen)
		}

		socket, _, err := websocket.Dial(t.Context(), "ws://gw.test/ws/quotes",
			&websocket.DialOptions{HTTPClient: a.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + a.tokenQuotes()}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = socket.CloseNow() }()
		if _, message, err := socket.Read(t.Context()); string(message) != "tick" {
			t.Errorf("%q, %v", message, err)
		}
		if seen := a.received(); len(seen) != 1 || seen[0].request.URL.Path != "/ws/quotes" {
			t.Errorf("%v", seen)
		}
		if got := a.raw(handshake("/ws/quotes", "Authorization: Bearer "+a.tokenQuotes())); got.status != 101 || len(a.received()) != 1 {
			t.Errorf("%s", got)
		}
		a.raw(handshake("/ws/quotes")).refused(401, noCredentials)
	})
	a.backend.answers(t, "HTTP/1.1 204 No Content\r\n\r\n")
	if got := a.get("/v1/accounts", a.tokenRead()); got.status != 204 {
		t.Errorf("the backend does not answer what it is to: %s", got)
	}
}
