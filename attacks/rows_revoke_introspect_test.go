package attacks

import (
	"net/http"
	"net/url"
	"strings"
)

func init() {
	register(rows{
		"REVOKE-INTROSPECT-02": func(a *attack) {
			for _, garbage := range []string{
				"garbage", "cb_live_refresh_", "cb_live_personal_0000", "e30.e30.e30", strings.Repeat("x", 10_000), "a b", "é",
				a.mint(a.header(), a.claims("admin").with("iss", "https://evil.test")), a.tokenRead() + "x",
			} {
				got := a.form("/oauth2/revoke", machineID, machineSecret, url.Values{"token": {garbage}})
				if got.status != http.StatusOK || got.body != "" {
					a.Errorf("%.60q: %s", garbage, got)
				}
			}
			a.result("answered: 200, empty")
		},
		"REVOKE-INTROSPECT-03": func(a *attack) {
			for _, hint := range []string{"refresh_token", "nonsense"} {
				token := a.obtain("accounts:read")
				a.get("/v1/accounts", token).passed()
				if got := a.form("/oauth2/revoke", machineID, machineSecret, url.Values{"token": {token}, "token_type_hint": {hint}}); got.status != http.StatusOK {
					a.Fatalf("%s", got)
				}
				a.get("/v1/accounts", token).refused(401, invalidToken)
			}
			refresh := a.obtainRefresh("accounts:read")
			if got := a.form("/oauth2/revoke", machineID, machineSecret, url.Values{"token": {refresh}, "token_type_hint": {"access_token"}}); got.status != http.StatusOK {
				a.Fatalf("%s", got)
			}
			a.form(tokenPath, machineID, machineSecret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}).refusedByIssuer(400, invalidGrant)
		},
		"REVOKE-INTROSPECT-04": func(a *attack) {
			token := a.obtain("accounts:read")
			for _, fields := range []url.Values{
				{"token": {token}}, {"token": {token}, "client_id": {machineID}}, {"token": {token}, "client_id": {"nobody"}},
				{"token": {token}, "client_id": {machineID}, "client_secret": {"wrong"}},
			} {
				a.form("/oauth2/revoke", "", "", fields).refusedByIssuer(401, invalidClient)
			}
			a.request("POST", issuerURL+"/oauth2/revoke", url.Values{"token": {token}}.Encode(), http.Header{
				"Authorization": {"Bearer " + token}, "Content-Type": {"application/x-www-form-urlencoded"},
			}).refusedByIssuer(401, invalidClient)
			results := a.results
			a.get("/v1/accounts", token).passed() // it lives
			a.results = results
		},
		"REVOKE-INTROSPECT-08": func(a *attack) {
			token := a.obtain("accounts:read")
			for _, presented := range []string{token, a.tokenAdmin()} {
				got := a.request("POST", issuerURL+"/oauth2/introspect", url.Values{"token": {token}}.Encode(), http.Header{
					"Authorization": {"Bearer " + presented}, "Content-Type": {"application/x-www-form-urlencoded"},
				}).refusedByIssuer(401, invalidClient)
				if strings.Contains(got.body, "active") {
					a.Errorf("it tells of the token: %s", got)
				}
			}
			// Another client's token is as good as none.
			got := a.form("/oauth2/introspect", appID, appSecret, url.Values{"token": {token}})
			if got.status != 200 || strings.TrimSpace(got.body) != `{"active":false}` {
				a.Errorf("%s", got)
			}
		},
	})
}
