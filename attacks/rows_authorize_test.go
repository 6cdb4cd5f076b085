package attacks

import (
	"net/http"
	"net/url"
	"strings"
)

func init() {
	for id, uri := range map[string]string{
		"REDIRECT_URI-01": "https://app.test/cb/",
		"REDIRECT_URI-02": "https://app.test/cb?x=1",
		"REDIRECT_URI-03": "https://app.test/cb#f",
		"REDIRECT_URI-04": "https://app.test/CB",
		"REDIRECT_URI-07": "http://app.test/cb",
		"REDIRECT_URI-10": "https://app.test/cb%00",
		"REDIRECT_URI-11": "https://app.test/cb%0d%0aX:1",
		"REDIRECT_URI-15": "https://evil.test/#@app.test/cb",
		"REDIRECT_URI-16": "https://evil.test%2f@app.test/cb",
		"REDIRECT_URI-19": "/cb",
		"REDIRECT_URI-20": "javascript:alert(1)//https://app.test/cb",
		"REDIRECT_URI-21": "data:text/html,x",
		"REDIRECT_URI-22": "https://xn--pp-xka.test/cb",
		"REDIRECT_URI-23": "https://app.test/cb;x",
		"REDIRECT_URI-25": "https://app.test/redirect?to=https://evil.test",
		"REDIRECT_URI-26": "http://localhost:1234/cb",
		"REDIRECT_URI-28": "https://app.test/c%62",
	} {
		register(rows{id: func(a *attack) {
			a.leadsNowhere(query("redirect_uri", uri))
			if id != "REDIRECT_URI-28" { // decoded once, that is the registered one
				a.leadsNowhere(query("redirect_uri", "") + "&redirect_uri=" + strings.ReplaceAll(uri, "#", "%23"))
			}
		}})
	}
	register(rows{
		"AUTHORIZE-03": func(a *attack) {
			p := a.newPerson("accounts:read")
			for _, uri := range []string{"http://127.0.0.1:49152/cb", "http://[::1]:49152/cb", "http://127.0.0.1/cb"} {
				if page := p.browse("/oauth2/authorize?" + query("client_id", spaID, "redirect_uri", uri)); page.status != 200 {
					a.Errorf("%s: %s", uri, page)
				}
			}
			a.result("answered: 200")
			for _, uri := range []string{"http://localhost:49152/cb", "http://127.0.0.2:49152/cb", "https://127.0.0.1:49152/cb", "http://127.0.0.1:49152/cb/x", "http://127.0.0.1:49152@evil.test/cb"} {
				p.leadsNowhere(query("client_id", spaID, "redirect_uri", uri))
			}
		},
		"AUTHORIZE-04": func(a *attack) { a.leadsNowhere(query("client_id", spaID, "redirect_uri", "")) },
		"AUTHORIZE-07": func(a *attack) {
			for _, scope := range []string{"unknown", "admin", "accounts:read unknown", `a"b`} {
				a.sentBack(query("scope", scope), "invalid_scope")
			}
		},
		"AUTHORIZE-10": func(a *attack) {
			a.form(tokenPath, machineID, machineSecret, url.Values{"grant_type": {"password"}, "username": {deskID}, "password": {deskSecret}}).refusedByIssuer(400, "unsupported_grant_type")
		},
		"AUTHORIZE-11": func(a *attack) {
			a.sentBack(query("response_mode", "fragment"), invalidRequest)
			a.sentBack(query("response_type", "token"), "unsupported_response_type")
			a.sentBack(query("response_type", "code token", "response_mode", "fragment"), "unsupported_response_type")
		},
		"AUTHORIZE-12": func(a *attack) {
			state := "a b+%2F&=é\"<>\\\r\n\t#"
			if back := a.sentBack(query("prompt", "none", "display", "junk", "state", state), "login_required"); back.Get("state") != state {
				a.Errorf("state %q", back.Get("state"))
			}
			a.leadsNowhere(query("state", strings.Repeat("s", 8<<10)))
			// This is longer than a request line may be.
			long := "GET /oauth2/authorize?" + query("state", strings.Repeat("s", 100<<10)) + " HTTP/1.1\r\nHost: as.test\r\n\r\n"
			if got := a.rawTo("as.test:80", long); got.status != 431 || got.header.Get("Location") != "" {
				a.Errorf("%s", got)
			}
		},

		"PKCE-01": func(a *attack) {
			a.sentBack(atSPA("code_challenge", "", "code_challenge_method", ""), invalidRequest)
			a.sentBack(query("code_challenge", "", "code_challenge_method", ""), invalidRequest)
		},
		"PKCE-02": func(a *attack) {
			a.sentBack(atSPA("code_challenge_method", "plain"), invalidRequest)
			a.sentBack(atSPA("code_challenge_method", ""), invalidRequest)
		},
		"PKCE-03": func(a *attack) {
			a.sentBack(atSPA("code_challenge_method", "s256"), invalidRequest)
			a.sentBack(atSPA("code_challenge_method", "S512"), invalidRequest)
		},
		"PKCE-08": func(a *attack) {
			p := a.newPerson("accounts:read")
			asked, err := url.ParseQuery(query())
			if err != nil {
				a.Fatal(err)
			}
			code := p.code(query())
			a.redeem(code, "code_verifier", asked.Get("code_challenge")).refusedByIssuer(400, invalidGrant)
			a.redeem(code).refusedByIssuer(400, invalidGrant) // it is burnt
		},
		"PKCE-09": func(a *attack) {
			p := a.newPerson("accounts:read")
			for _, verifier := range []string{strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a+", 30), "", strings.Repeat("ä", 30)} {
				a.redeem(p.code(query("code_challenge", challengeOf(verifier))), "code_verifier", verifier).refusedByIssuer(400, invalidGrant)
			}
		},
		"PKCE-10": func(a *attack) {
			p := a.newPerson("accounts:read")
			first, second := p.code(query()), p.code(query())
			if first == second {
				a.Error("one code for two requests")
			}
			other := p.code(query("code_challenge", challengeOf(strings.Repeat("o", 43))))
			a.redeem(other).refusedByIssuer(400, invalidGrant)
			for _, code := range []string{second, first} {
				if got := a.redeem(code); got.status != 200 {
					a.Errorf("%s", got)
				}
			}
			a.result("answered: 200, each with a code of its own")
		},

		"CODE-01": func(a *attack) {
			code := a.newPerson("accounts:read").code(query())
			tokens := a.redeem(code).tokens()
			a.get("/v1/accounts", tokens.Access).passed()
			a.redeem(code).refusedByIssuer(400, invalidGrant)
			a.get("/v1/accounts", tokens.Access).refused(401, invalidToken)
			a.refresh(appID, appSecret, tokens.Refresh).refusedByIssuer(400, invalidGrant)
		},
	})
}

// atSPA is a good request of the public client, with changes.
func atSPA(changes ...string) string {
	return query(append([]string{"client_id", spaID, "redirect_uri", spaURI}, changes...)...)
}

const spaURI = "http://127.0.0.1:49152/cb"

// leadsNowhere wants a page that says what is wrong, whoever asks, and no way
// back: nobody knows where that would lead.
func (a *attack) leadsNowhere(query string) {
	a.Helper()
	got := a.request("GET", issuerURL+"/oauth2/authorize?"+query, "", nil)
	if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		a.Errorf("%.300s: %s", query, got)
	}
	a.result("refused: 400, a page")
}

func (p *person) leadsNowhere(query string) {
	p.Helper()
	p.attack.leadsNowhere(query)
	if got := p.browse("/oauth2/authorize?" + query); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
		p.Errorf("signed in, %s: %s", query, got)
	}
}

// sentBack wants the client to be told an error, with its state and the name of
// the issuer, and no code.
func (a *attack) sentBack(query, code string) url.Values {
	a.Helper()
	asked, err := url.ParseQuery(query)
	if err != nil {
		a.Fatal(err)
	}
	back := a.request("GET", issuerURL+"/oauth2/authorize?"+query, "", nil).back(asked.Get("redirect_uri"))
	if back.Get("error") != code || back.Has("code") || back.Get("iss") != issuerURL || back.Get("state") != asked.Get("state") {
		a.Errorf("%.300s: sent back with %v; wanted %s", query, back, code)
	}
	a.result("sent back: " + code)
	return back
}
