package attacks

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

func init() {
	register(rows{
		"REVOCATION-02": func(a *attack) {
			token := a.obtain("accounts:read")
			a.get("/v1/accounts", token).passed()
			a.results = nil // that was before
			a.revoke(token)
			for _, value := range []string{
				"Bearer " + token, "bearer " + token, "BEARER " + token,
				"Bearer " + token + "=", "Bearer " + token + "==", "Bearer " + otherSpelling(token),
			} {
				a.authorized(value).refused(401, invalidToken)
			}
		},
		"REVOCATION-03": func(a *attack) {
			const runs, atATime = 1000, 4
			var all sync.WaitGroup
			for range atATime {
				all.Go(func() {
					for range runs / atATime {
						token := a.obtain("accounts:read")
						before := a.get("/v1/accounts", token)
						a.revoke(token)
						if after := a.get("/v1/accounts", token); before.status != 200 || after.status != 401 {
							a.Errorf("%s, then revoked, then %s", before, after)
							return
						}
					}
				})
			}
			all.Wait()
			if passed := len(a.received()); passed != runs {
				a.Errorf("the backend saw %d requests; wanted %d", passed, runs)
			}
			a.result(fmt.Sprintf("refused: 401 %s, %d of %d", invalidToken, runs, runs))
		},
		"REVOCATION-08": everyEnding,
		"REVOCATION-09": func(a *attack) {
			token := a.obtain("quotes:read accounts:read")
			socket, _, err := websocket.Dial(a.Context(), "ws://gw.test/ws/quotes",
				&websocket.DialOptions{HTTPClient: a.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
			if err != nil {
				a.Fatal(err)
			}
			defer func() { _ = socket.CloseNow() }()
			events := a.openEvents(token)
			if _, message, err := socket.Read(a.Context()); err != nil || string(message) != "tick" {
				a.Fatalf("%q, %v", message, err)
			}
			if line, err := events.ReadString('\n'); line != "data: tick\n" {
				a.Fatalf("%q, %v", line, err)
			}
			if opened := a.received(); len(opened) != 2 {
				a.Errorf("%v", opened)
			}
			a.revoke(token)
			for err == nil {
				_, _, err = socket.Read(a.Context())
			}
			if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				a.Errorf("the WebSocket ended with %v", err)
			}
			last, err := io.ReadAll(events)
			if err != nil || !strings.Contains(string(last), "event: ") {
				a.Errorf("the event stream ended with %v: …%s", err, last[max(0, len(last)-200):])
			}
			a.result("WebSocket closed with 1008, event stream ended with a last event")
		},
		"REVOCATION-12": flood,
	})
}

// otherSpelling changes bits of the last character that stand for nothing: base64
// that is not read strictly gives the same bytes.
func otherSpelling(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])|1])
}

// everyEnding ends what tokens stand on: the user, the client, the token itself.
func everyEnding(a *attack) {
	user, client := "user-"+strings.ToLower(rand.Text()), "client-"+strings.ToLower(rand.Text())
	a.admin("POST", "/users", members{"id": user, "scopes": []string{"accounts:read"}}, nil)
	var added struct{ Secret string }
	a.admin("POST", "/clients", members{"id": client, "scopes": []string{"accounts:read"}}, &added)
	a.forbid(added.Secret)
	deleted, personal := a.personalToken(deskID), a.personalToken(user)
	for _, ending := range []struct {
		path   string
		body   members
		tokens []string
	}{
		{"/tokens/revoke", members{"token": deleted, "reason": "deleted"}, []string{deleted}},
		{"/users/" + user + "/disable", members{"reason": "left"}, []string{personal, a.mint(a.header(), a.claims("accounts:read").with("sub", user))}},
		{"/clients/" + client + "/disable", members{"reason": "left"}, []string{
			a.obtainAs(client, added.Secret, "accounts:read"), a.mint(a.header(), a.claims("accounts:read").with("client_id", client)),
		}},
	} {
		for _, token := range ending.tokens {
			a.get("/v1/accounts", token).passed()
		}
		a.admin("POST", ending.path, ending.body, nil)
		for _, token := range ending.tokens {
			a.get("/v1/accounts", token).refused(401, invalidToken)
		}
	}
	a.results = a.results[1:] // "passed" was before
}

// openEvents opens a stream of events and reads its header.
func (a *attack) openEvents(token string) *bufio.Reader {
	a.Helper()
	request, err := http.NewRequestWithContext(a.Context(), http.MethodGet, "http://gw.test/v1/accounts/events", nil)
	if err != nil {
		a.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := a.http.Do(request)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		a.Fatalf("%s", response.Status)
	}
	return bufio.NewReader(response.Body)
}

// flood sends distinct tokens that are not good to a server with a small cache.
// What its good requests cost meanwhile is for the tests of the limits.
func flood(a *attack) {
	const connections, batches, batch = 4, 100, 100
	quiet := startQuietServer(a.T)
	good := (&attack{T: a.T, server: quiet}).tokenRead()
	send := func(batches int) error {
		failures := make(chan error, connections)
		for range connections {
			go func() { failures <- quiet.sendInvalid(good, batches, batch) }()
		}
		var all error
		for range connections {
			all = errors.Join(all, <-failures)
		}
		return all
	}
	if err := send(batches / 10); err != nil { // until everything has the size that it needs
		a.Fatal(err)
	}
	before := quiet.memory()
	if err := send(batches); err != nil {
		a.Fatal(err)
	}
	if grown := quiet.memory() - before; grown > 32<<20 {
		a.Errorf("the server grew by %d MiB", grown>>20)
	}
	a.result(fmt.Sprintf("%s tokens refused: 401 %s; memory stays within 32 MiB; good requests in between are served",
		number(connections*batches*batch), invalidToken))
}

// sendInvalid sends batches of requests over one connection, each with another
// token that is not good, and one good request behind each batch.
func (s *server) sendInvalid(good string, batches, size int) error {
	conn, err := s.dialPlain("gw.test:80")
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request := func(token string) string {
		return "GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	unsigned := good[:strings.LastIndexByte(good, '.')+1]
	kinds := []func() string{
		rand.Text,
		func() string { return "cb_live_personal_" + rand.Text() + rand.Text() },
		func() string { return b64(rand.Text()) + "." + b64(rand.Text()) + "." + b64(rand.Text()) },
		func() string { return unsigned + rand.Text() },
	}
	for n := range batches {
		var text strings.Builder
		for k := range size - 1 {
			text.WriteString(request(kinds[k%len(kinds)]()))
		}
		if wrong := unsigned + (rand.Text() + rand.Text() + rand.Text() + rand.Text())[:85] + "A"; n%2 == 0 {
			text.WriteString(request(wrong)) // a signature to verify, of which few are done for who sends nothing else
		} else {
			text.WriteString(request(rand.Text()))
		}
		text.WriteString(request(good))
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, text.String()); err != nil {
			return err
		}
		for k := range size + 1 {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, response.Body)
			if want := map[bool]int{true: 200, false: 401}[k == size]; response.StatusCode != want {
				return fmt.Errorf("status %d; wanted %d", response.StatusCode, want)
			}
		}
	}
	return nil
}

func number(n int) string { return strconv.Itoa(n) }
