package attacks

import (
	"bufio"
	"io"
	"net/http"
	"strings"
)

// behind is what an attacker would have the backend take for a second request.
const behind = "GET /v1/admin/users HTTP/1.1\r\nHost: gw.test\r\n\r\n"

func init() {
	register(rows{
		"SMUGGLING-02": func(a *attack) {
			for _, lines := range []string{
				"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked, identity",
				"Transfer-Encoding: xchunked", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
				"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
			} {
				a.notFramed(lines, "0\r\n\r\n"+behind)
			}
		},
		"SMUGGLING-04": func(a *attack) {
			for _, lines := range []string{
				"Transfer-Encoding:\x0bchunked", "Transfer-Encoding:\x00chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked\r\n\tx",
				"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", "Transfer_Encoding: chunked\r\nTransfer-Encoding: \x0cchunked",
			} {
				a.notFramed(lines, "0\r\n\r\n"+behind)
			}
		},
		"SMUGGLING-05": func(a *attack) {
			a.notFramed("Content-Length: 1\r\nContent-Length: 2", "xy")
			a.notFramed("Content-Length: 2\r\nContent-Length: 1", "xy")
		},
		"SMUGGLING-06": func(a *attack) {
			for _, length := range []string{"+2", "0x2", "2,2", " 2_0", "-1", "2 2", "2;", "\u0662", "18446744073709551618"} {
				a.notFramed("Content-Length: "+length, "xy")
			}
		},
		"SMUGGLING-10": func(a *attack) {
			body := behind[:35]
			seen := a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + a.tokenRead() + "\r\nContent-Length: 35\r\n\r\n" + body).passed()
			if seen.body != body || len(seen.request.TransferEncoding) > 0 || seen.request.ContentLength != 35 {
				a.Errorf("the backend saw %q", seen.raw)
			}
			// The same, and a whole request behind it on the connection: it is judged.
			answers := a.rawAll("gw.test:80", "GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer "+a.tokenRead()+"\r\nContent-Length: 35\r\n\r\n"+body+behind, 2)
			if len(answers) != 2 {
				a.Fatalf("%v", answers)
			}
			answers[0].passed()
			answers[1].refused(401, noCredentials)
		},
		// The backend speaks no such version of WebSocket and says so.
		"SMUGGLING-15": func(a *attack) {
			first := strings.Replace(handshake("/ws/quotes", "Authorization: Bearer "+a.tokenQuotes()), "Version: 13", "Version: 777", 1)
			answers := a.rawAll("gw.test:80", first+behind, 2)
			if len(answers) != 2 || answers[0].status != http.StatusUpgradeRequired {
				a.Fatalf("%v", answers)
			}
			if seen := a.received(); len(seen) != 1 || seen[0].request.URL.Path != "/ws/quotes" {
				a.Errorf("the backend saw %v", seen)
			}
			a.result("not upgraded: 426")
			answers[1].refused(401, noCredentials)
		},
		// A route says nothing of WebSockets: what a GET needs, an upgrade needs, and
		// only a backend that switches protocols is tunnelled to.
		"SMUGGLING-19": func(a *attack) {
			a.raw(handshake("/v1/accounts")).refused(401, noCredentials)
			a.raw(handshake("/v1/accounts", "Authorization: Bearer "+a.tokenQuotes())).refused(403, insufficientScope)
			a.whileBackendAnswers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", func() {
				answers := a.rawAll("gw.test:80", handshake("/v1/accounts", "Authorization: Bearer "+a.tokenRead())+behind, 2)
				if len(answers) != 2 {
					a.Fatalf("%v", answers)
				}
				answers[0].passed()
				answers[1].refused(401, noCredentials)
			})
			// h2c would carry requests that nobody judges.
			h2c := "Host: gw.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nAuthorization: Bearer "
			seen := a.raw("GET /v1/accounts HTTP/1.1\r\n" + h2c + a.tokenRead() + "\r\n\r\n").passed()
			seen.without(a, "Upgrade", "HTTP2-Settings", "Connection")
		},
		"SMUGGLING-22": func(a *attack) {
			first := "GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + a.tokenRead() + "\r\n\r\n"
			answers := a.rawAll("gw.test:80", first+"GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\n\r\n"+first, 3)
			if len(answers) != 3 {
				a.Fatalf("%v", answers)
			}
			for i, status := range []int{200, 401, 200} {
				if answers[i].status != status {
					a.Errorf("answer %d: %s; wanted %d", i+1, answers[i], status)
				}
			}
			if seen := a.received(); len(seen) != 2 {
				a.Errorf("the backend saw %v", seen)
			}
			a.result("200, 401, 200")
		},
	})
}

// notFramed sends a request whose body nobody can tell the end of. It is refused,
// before and behind a good token, and what follows on the connection is not read.
func (a *attack) notFramed(lines, body string) {
	a.Helper()
	for _, token := range []string{"", "Authorization: Bearer " + a.mint(a.header(), a.claims("orders:write")) + "\r\n"} {
		conn := a.dial("gw.test:80")
		request := "POST /v1/orders HTTP/1.1\r\nHost: gw.test\r\n" + token + lines + "\r\n\r\n" + body
		if _, err := io.WriteString(conn, request); err != nil {
			a.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			a.Fatalf("%q: %v", lines, err)
		}
		got := a.read(response)
		if got.status != http.StatusNotImplemented {
			got.refused(http.StatusBadRequest, notByGate)
		} else {
			got.refused(http.StatusNotImplemented, notByGate)
		}
		if rest, err := io.ReadAll(reader); len(rest) > 0 || !got.closes {
			a.Errorf("%q: the connection goes on with %q, %v", lines, rest, err)
		}
	}
}
