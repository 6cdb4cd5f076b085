package attacks

import (
	"net/http"
	"net/url"
	"strings"
)

func init() {
	register(rows{
		"UI-03": func(a *attack) {
			p := a.newPerson("accounts:read")
			fields := url.Values{"user": {p.id}, "password": {personalPassword}}.Encode()
			for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.test"}}, {"Origin": {"null"}}} {
				header.Set("Content-Type", "application/x-www-form-urlencoded")
				if got := a.request("POST", issuerURL+"/login", fields, header); got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" {
					a.Errorf("%v: %s", header, got)
				}
			}
			a.result("refused: 403")
			// A cookie that somebody planted is not the one of the session.
			name, planted, _ := strings.Cut(p.cookie, "=")
			for _, value := range []string{planted, "planted"} {
				got := a.request("POST", issuerURL+"/login", url.Values{"user": {p.id}, "password": {personalPassword}}.Encode(), http.Header{
					"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {name + "=" + value},
				})
				cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
				if err == nil {
					a.forbid(cookie.Value)
				}
				if value == "planted" && (err != nil || cookie.Value == value || !cookie.HttpOnly || !cookie.Secure) {
					a.Errorf("%v, %v", cookie, err)
				}
				if err == nil && cookie.Value == value {
					a.Error("the session did not change at the sign-in")
				}
			}
		},
		"UI-04": func(a *attack) {
			p := a.newPerson("accounts:read")
			for _, path := range []string{"/login", "/", "/settings", "/settings/integrations", "/oauth2/authorize?" + query(), "/oauth2/authorize?" + query("client_id", "nobody"), "/nowhere"} {
				got := p.browse(path)
				if got.status/100 == 3 || path == "/nowhere" {
					continue // there is nothing in it to frame
				}
				if got.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					a.Errorf("%s may be framed: %v", path, got.header)
				}
			}
			a.result("answered: DENY, 'none'")
		},
		"UI-06": func(a *attack) {
			const evil = "<svg onload=1>"
			p := a.newPerson("accounts:read")
			escaped := url.QueryEscape(evil)
			for _, path := range []string{
				"/login?error=" + escaped + "&next=/" + escaped, "/?error=" + escaped + "&error_description=" + escaped,
				"/oauth2/authorize?" + query("client_id", evil, "error", evil, "state", evil), "/oauth2/authorize?" + query("redirect_uri", evil),
				"/problems/" + url.PathEscape(evil), "/oauth2/token?" + escaped, "/" + url.PathEscape(evil),
			} {
				for _, got := range []*answer{p.browse(path), a.request("GET", issuerURL+path, "", nil)} {
					if strings.Contains(got.body, "<svg onload") || got.header.Get("X-Content-Type-Options") != "nosniff" && got.body != "" {
						a.Errorf("%s: %s", path, got)
					}
				}
			}
			a.get("/%3Csvg%20onload=1%3E", a.tokenRead()).refused(403, noRoute)
			a.results = nil
			a.result("not repeated, nosniff")
		},
		"UI-13": func(a *attack) {
			p := a.newPerson("accounts:read")
			for _, next := range []string{"https://evil.test", "//evil.test", `/\evil.test`, "/%2f%2fevil.test", "javascript:alert(1)", "/\t/evil.test", "///evil.test"} {
				values := url.Values{"next": {next}}
				for _, got := range []*answer{
					p.browse("/login?" + values.Encode()), // already signed in: it leads on at once
					a.request("POST", issuerURL+"/login", url.Values{"user": {p.id}, "password": {personalPassword}, "next": {next}}.Encode(),
						http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}}),
				} {
					if cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie")); err == nil {
						a.forbid(cookie.Value)
					}
					if location := got.header.Get("Location"); got.status != http.StatusSeeOther || location != "/" {
						a.Errorf("%q leads to %q: %s", next, location, got)
					}
				}
			}
			a.result("sent to /")
		},
		"UI-14": func(a *attack) {
			p := a.newPerson("accounts:read")
			for _, got := range []*answer{p.browse("/oauth2/authorize?" + query()), p.allow(query()), a.request("GET", issuerURL+"/login", "", nil)} {
				if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" {
					a.Errorf("%s", got)
				}
				if strings.Contains(got.body, "http://") || strings.Contains(strings.ReplaceAll(got.body, "https://app.test", ""), `src="https://`) {
					a.Errorf("the page loads something of others: %s", got)
				}
			}
			a.result("answered: no-referrer")
		},
		"UI-16": func(a *attack) {
			for _, scope := range []string{"unknown", "openid", "accounts:read unknown", "ACCOUNTS:READ"} {
				a.form(tokenPath, machineID, machineSecret, own("scope", scope)).refusedByIssuer(400, "invalid_scope")
			}
			a.form(tokenPath, appID, appSecret, own("scope", "admin")).refusedByIssuer(400, "invalid_scope")
		},
		"UI-17": func(a *attack) {
			p := a.newPerson("accounts:read", "orders:write")
			page := p.browse("/oauth2/authorize?" + query())
			found := csrfField.FindStringSubmatch(page.body)
			if found == nil {
				a.Fatalf("%s", page)
			}
			got := p.post("/oauth2/authorize?"+query(), url.Values{
				"csrf": {found[1]}, "decision": {"allow"}, "account:1": {"on"}, "account:2": {"on"}, "duration": {"hour"},
				"scope": {"accounts:read orders:write admin"}, "scope:admin": {"on"}, "scope.admin": {"on"}, "client_id": {machineID}, "redirect_uri": {"https://evil.test/"},
			})
			code := got.back(appURI).Get("code")
			a.forbid(code)
			tokens := a.redeem(code).tokens()
			if tokens.Scope != "accounts:read" {
				a.Errorf("scope %q", tokens.Scope)
			}
			seen := a.get("/v1/accounts", tokens.Access).passed()
			if accounts := seen.request.Header.Get("X-Auth-Accounts"); accounts != "1" {
				a.Errorf("accounts %q", accounts)
			}
			a.get("/v1/admin/users", tokens.Access).refused(403, insufficientScope)
		},
	})
}
