package attacks

import "net/url"

// What there is not is refused, and leads nowhere.
func init() {
	register(rows{
		"SENDER-CONSTRAINT-EXT-12": func(a *attack) {
			for _, uri := range []string{
				"urn:ietf:params:oauth:request_uri:used", "urn:ietf:params:oauth:request_uri:expired",
				"urn:ietf:params:oauth:request_uri:of-another-client", "https://evil.test/request.jwt",
			} {
				a.sentBack(query("request_uri", uri), "request_uri_not_supported")
				a.leadsNowhere(url.Values{"client_id": {spaID}, "request_uri": {uri}}.Encode())
			}
		},
		"SENDER-CONSTRAINT-EXT-13": func(a *attack) {
			for _, path := range []string{"/oauth2/par", "/as/par", "/par"} {
				a.form(path, appID, appSecret, url.Values{"request_uri": {"urn:ietf:params:oauth:request_uri:x"}}).notFound()
			}
			a.result("refused: 404, there are no pushed requests")
		},
		"SENDER-CONSTRAINT-EXT-20": func(a *attack) {
			for _, subject := range []string{a.tokenRead(), a.mint(a.header(), a.claims("admin").with("exp", 1)), a.mint(a.header().with("typ", "JWT"), a.claims("admin"))} {
				for _, audience := range []string{gateURL, "https://other.test"} {
					a.form(tokenPath, machineID, machineSecret, url.Values{
						"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {audience}, "scope": {"admin"},
						"subject_token": {subject}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
					}).refusedByIssuer(400, "unsupported_grant_type")
				}
			}
		},
	})
}
