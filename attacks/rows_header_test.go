package attacks

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

func init() {
	register(rows{
		"AUTH-HEADER-01": func(a *attack) { a.get("/v1/accounts", "").refused(401, noCredentials) },
		"AUTH-HEADER-04": func(a *attack) {
			for _, scheme := range []string{"bearer", "BEARER", "bEaReR"} {
				a.authorized(scheme + " " + a.tokenRead()).passed()
			}
		},
		"AUTH-HEADER-05": func(a *attack) { a.authorized("Bearer\t" + a.tokenRead()).refusedCredential() },
		"AUTH-HEADER-06": func(a *attack) { a.authorized("Bearer " + a.tokenRead() + " \t").passed() },
		"AUTH-HEADER-11": func(a *attack) { a.authorized(`Bearer "`+a.tokenRead()+`"`).refused(401, invalidToken) },
		"AUTH-HEADER-12": func(a *attack) { a.authorized("Bearer " + a.tokenRead() + " extra").refusedCredential() },
		"AUTH-HEADER-14": func(a *attack) { a.authorized("Bearer%20"+a.tokenRead()).refused(401, noCredentials) },
		"AUTH-HEADER-15": func(a *attack) {
			token := a.tokenRead()
			basic := base64.StdEncoding.EncodeToString([]byte("x:" + token))
			for _, value := range []string{"Token " + token, "Basic " + basic, token} {
				a.forbid(value)
				a.authorized(value).refused(401, noCredentials)
			}
		},
		"AUTH-HEADER-16": func(a *attack) {
			for _, name := range []string{"Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization", "X-Access-Token"} {
				a.presents(name, "Bearer "+a.tokenRead()).refused(401, noCredentials)
			}
		},
		"AUTH-HEADER-18": func(a *attack) {
			a.get("/v1/accounts?access_token="+a.tokenRead(), "").refused(401, noCredentials)
			a.get("/v1/accounts?a=1;access_token="+a.tokenRead(), "").refused(401, noCredentials)
			a.get("/v1/accounts?%61ccess_token="+a.tokenRead(), "").refused(401, noCredentials)
		},
		"AUTH-HEADER-19": func(a *attack) {
			for _, field := range []string{"access_token", "%61ccess_token", "a=1;access_token"} {
				for _, path := range []string{"/v1/accounts", "/v1/admin/users"} {
					a.get(path+"?"+field+"="+a.tokenAdmin(), a.tokenRead()).refusedCredential()
				}
			}
		},
		"AUTH-HEADER-22": func(a *attack) {
			body := "access_token=" + a.tokenRead()
			a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "+
				number(len(body))+"\r\n\r\n"+body).refused(401, noCredentials)
		},
		"AUTH-HEADER-25": func(a *attack) { a.authorized("DPoP "+a.tokenRead()).refused(401, noCredentials) },
		"AUTH-HEADER-27": func(a *attack) {
			token := a.tokenRead()
			for _, control := range []string{"\x00", "\x7f"} {
				a.authorized("Bearer "+token[:9]+control+token[9:]).refused(400, notByGate)
				a.authorized(control).refused(400, notByGate)
			}
			a.authorized("Bearer "+token[:9]+"\xe9"+token[9:]).refused(401, invalidToken)
			a.authorized("Bearer \xe9").refused(401, invalidToken)
			a.authorized("\xe9").refused(401, noCredentials)
			for _, trace := range []string{"\x00", "\x7f", "\xe9", `\ufffd`} {
				if a.log.contains(trace, a.logFrom) {
					a.Errorf("%q stands in the log", trace)
				}
			}
		},
		"AUTH-HEADER-29": func(a *attack) {
			claims := a.claims("accounts:read").with("exp", time.Now().Add(-time.Minute).Unix())
			got := a.get("/v1/accounts", a.mint(a.header(), claims)).refused(401, invalidToken)
			for _, name := range []string{"sub", "scope", "jti", "grant"} {
				if value, ok := claims[name].(string); !ok || strings.Contains(got.body+got.header.Get("Www-Authenticate"), value) {
					a.Errorf("%s is shown: %s", name, got)
				}
			}
		},
		// The upstream's words are its own: they are relayed as they are, and ours do
		// not stand beside them.
		"AUTH-HEADER-31": func(a *attack) {
			const challenge, cookie = `Basic realm="type your password here"`, "session=attacker; Path=/"
			for _, status := range []string{"200 OK", "401 Unauthorized"} {
				a.backend.answers(a.T, "HTTP/1.1 "+status+"\r\nWWW-Authenticate: "+challenge+"\r\nSet-Cookie: "+cookie+"\r\nContent-Length: 0\r\n\r\n")
				got := a.get("/v1/accounts", a.tokenRead())
				if !slices.Equal(got.header["Www-Authenticate"], []string{challenge}) || !slices.Equal(got.header["Set-Cookie"], []string{cookie}) {
					a.Errorf("%s", got)
				}
				if len(a.received()) != 1 || !strings.HasPrefix(status, number(got.status)) {
					a.Errorf("%s", got)
				}
				a.get("/v1/accounts", "").refused(401, noCredentials)
			}
			a.backend.answers(a.T, "")
			a.results = []string{"relayed untouched, and never beside a challenge of ours"}
		},
		"AUTH-HEADER-33": func(a *attack) {
			offer := func(token string) string { return "Sec-WebSocket-Protocol: bearer, " + token }
			a.raw(handshake("/ws/quotes", offer(a.tokenQuotes()))).refused(401, noCredentials)
			if got := a.raw(handshake("/ws/browser", offer(a.tokenQuotes()))); got.status != http.StatusSwitchingProtocols {
				a.Errorf("where the policy allows it: %s", got)
			}
			if seen := a.received(); len(seen) != 1 || strings.Contains(strings.ToLower(seen[0].raw), "bearer") {
				a.Errorf("%v", seen)
			}
			a.result("101 where the policy says credentials: [subprotocol]")
		},
	})
}

// authorized sends an Authorization header as it is.
func (a *attack) authorized(value string) *answer {
	a.Helper()
	return a.presents("Authorization", value)
}

// presents sends one header more.
func (a *attack) presents(name, value string) *answer {
	a.Helper()
	return a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\n" + name + ": " + value + "\r\n\r\n")
}
