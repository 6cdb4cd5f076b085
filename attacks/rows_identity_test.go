package attacks

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func init() {
	register(rows{
		"IDENTITY-01": func(a *attack) {
			seen := a.says("/v1/accounts", "X-Auth-User: root", "X-Auth-Subject: root")
			a.identified(seen)
			seen.without(a, "X-Auth-User")
		},
		"IDENTITY-02": func(a *attack) {
			a.raw("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nx-auth-user: root\r\nx-auth-subject: root\r\n\r\n").passed().anonymous(a)
		},
		"IDENTITY-03": func(a *attack) {
			for _, name := range []string{"X_Auth_User", "X-Auth_User", "X_Auth-User", "X_Auth_Subject", "X-Auth_Subject", "x_auth_SUBJECT"} {
				seen := a.says("/v1/accounts", name+": root")
				a.identified(seen)
				seen.without(a, "X-Auth-User")
			}
		},
		"IDENTITY-04": func(a *attack) {
			seen := a.says("/v1/accounts", "X-Auth-User: a", "X-Auth-User: b", "X-Auth-Subject: a", "X-Auth-Subject: b")
			a.identified(seen)
			seen.without(a, "X-Auth-User")
		},
		"IDENTITY-06": func(a *attack) {
			seen := a.says("/v1/accounts", "X.Auth.User: root", "X.Auth.Subject: root", "X~Auth~Subject: root")
			a.identified(seen)
			seen.without(a, "X-Auth-User")
			for _, name := range []string{"X-Auth-User ", "X-Auth-Subject ", "X-Auth-Subject\t", " X-Auth-Subject"} {
				a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\n"+name+": root\r\nAuthorization: Bearer "+a.tokenRead()+"\r\n\r\n").refused(400, notByGate)
			}
		},
		"IDENTITY-10": func(a *attack) {
			seen := a.says("/v1/accounts", "Keep-Alive: timeout=5", "TE: trailers", "Upgrade: foo", "Proxy-Connection: keep-alive")
			seen.without(a, "Keep-Alive", "Upgrade", "Proxy-Connection", "Connection")
			// The proxy reads trailers itself, and says so for itself (RFC 9110 §10.1.4).
			for _, line := range seen.lines("TE") {
				if line != "Te: trailers" {
					a.Errorf("the backend saw %q", line)
				}
			}
			// To have the proxy drop a header of ours, as if it were the connection's.
			for _, line := range []string{"Connection: X-Auth-Subject", "Connection: close, x-auth-scope", "Connection: keep-alive, Proxy-Connection"} {
				a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\n"+line+"\r\nAuthorization: Bearer "+a.tokenRead()+"\r\n\r\n").refused(400, invalidRequest)
			}
		},
		"IDENTITY-12": func(a *attack) {
			conn := a.dial("gw.test:80")
			garbage := strings.Repeat("x", 40)
			head := "POST /v1/orders HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + garbage + "\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n"
			if _, err := io.WriteString(conn, head); err != nil {
				a.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil) // a 100 would be the first
			if err != nil {
				a.Fatal(err)
			}
			a.read(response).refused(401, invalidToken)
		},
		// No policy asks for TLS: that a listener has it is the operator's to say.
		"IDENTITY-14": func(a *attack) {
			for _, path := range []string{"/v1/accounts", "/public/x"} {
				seen := a.says(path, "X-Forwarded-Proto: https", "X_Forwarded_Proto: https", "X-Forwarded-Host: admin.test", "Forwarded: proto=https", "X-Real-IP: 10.0.0.1")
				if got := seen.lines("X-Forwarded-Proto"); !slices.Equal(got, []string{"X-Forwarded-Proto: http"}) {
					a.Errorf("the backend saw %q", got)
				}
				if got := seen.lines("X-Forwarded-Host"); !slices.Equal(got, []string{"X-Forwarded-Host: gw.test"}) {
					a.Errorf("the backend saw %q", got)
				}
				seen.without(a, "Forwarded", "X-Real-IP")
			}
		},
		"IDENTITY-15": func(a *attack) {
			seen := a.says("/v1/accounts", "X-Client-Cert: x", "X-SSL-Client-Verify: SUCCESS", "X_SSL_CLIENT_S_DN: CN=root", "X-Forwarded-Client-Cert: By=root", "Client-Cert: :AA==:")
			seen.without(a, "X-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-Forwarded-Client-Cert", "Client-Cert")
			bound := a.mint(a.header(), a.claims("accounts:read").with("cnf", members{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}))
			a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nX-SSL-Client-Verify: SUCCESS\r\nX-Client-Cert: x\r\nAuthorization: Bearer "+bound+"\r\n\r\n").refused(401, invalidToken)
		},
		"IDENTITY-18": func(a *attack) {
			for subject, want := range map[string]string{"\u00e4lice": "%C3%A4lice", "a b%": "a%20b%25", "\u202eroot": "%E2%80%AEroot"} {
				seen := a.get("/v1/accounts", a.mint(a.header(), a.claims("accounts:read").with("sub", subject))).passed()
				if got := seen.lines("X-Auth-Subject"); !slices.Equal(got, []string{"X-Auth-Subject: " + want}) {
					a.Errorf("%q is sent as %q", subject, got)
				}
			}
			for _, subject := range []string{strings.Repeat("a", 10<<10), "root\r\nX-Auth-Scope: admin", "", "a\x00"} {
				a.get("/v1/accounts", a.mint(a.header(), a.claims("accounts:read").with("sub", subject))).refused(401, invalidToken)
			}
		},
		"IDENTITY-19": func(a *attack) {
			a.whileBackendAnswers("HTTP/1.1 302 Found\r\nLocation: http://"+a.backend.address()+"/stolen\r\nContent-Length: 0\r\n\r\n", func() {
				got := a.get("/v1/accounts", a.tokenRead())
				if got.status != http.StatusFound || !strings.HasSuffix(got.header.Get("Location"), "/stolen") {
					a.Errorf("%s", got)
				}
				seen := a.received()
				if len(seen) != 1 || seen[0].request.URL.Path != "/v1/accounts" {
					a.Fatalf("the backend saw %v", seen)
				}
				seen[0].without(a, "Authorization")
			})
			a.result("passed on: 302")
		},
	})
}

// says sends T_READ with more header lines.
func (a *attack) says(path string, lines ...string) received {
	a.Helper()
	head := append([]string{"GET " + path + " HTTP/1.1", "Host: gw.test", "Authorization: Bearer " + a.tokenRead()}, lines...)
	return a.raw(strings.Join(head, "\r\n") + "\r\n\r\n").passed()
}

// whileBackendAnswers runs something while the backend answers everything so.
func (a *attack) whileBackendAnswers(raw string, run func()) {
	a.Run("with another backend", func(t *testing.T) {
		a.backend.answers(t, raw)
		run()
	})
}

// identified wants the backend to have been told who T_READ is, once and by us.
func (a *attack) identified(seen received) {
	a.Helper()
	for name, value := range map[string]string{
		"X-Auth-Subject": machineID, "X-Auth-Client": machineID, "X-Auth-Scope": "accounts:read", "X-Auth-Accounts": "", "X-Auth-Environment": "production",
	} {
		if got := seen.lines(name); len(got) != 1 || strings.TrimSpace(got[0]) != strings.TrimSpace(name+": "+value) {
			a.Errorf("the backend saw %q; wanted %s: %s", got, name, value)
		}
	}
	a.result("the backend was told by us alone")
}

// anonymous wants the backend to have been told that nobody is known.
func (r received) anonymous(a *attack) {
	a.Helper()
	r.without(a, "X-Auth-User", "Authorization")
	for _, name := range []string{"X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Accounts"} {
		if got := r.lines(name); len(got) != 1 || strings.TrimSpace(got[0]) != name+":" {
			a.Errorf("the backend saw %q; wanted %s to be empty", got, name)
		}
	}
}

// without wants the backend to have seen no header that a server could read as one
// of these.
func (r received) without(a *attack, names ...string) {
	a.Helper()
	for _, name := range names {
		if got := r.lines(name); len(got) > 0 {
			a.Errorf("the backend saw %q", got)
		}
	}
	a.result("removed")
}
