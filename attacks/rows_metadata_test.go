package attacks

import (
	"net/http"
	"strconv"
	"strings"
)

// serverMetadata is what the rows look at of RFC 8414's document.
type serverMetadata struct {
	Issuer      string
	Token       string `json:"token_endpoint"`
	Keys        string `json:"jwks_uri"`
	NamesIssuer bool   `json:"authorization_response_iss_parameter_supported"`
}

func init() {
	register(rows{
		"METADATA-01": func(a *attack) {
			var got serverMetadata
			a.request("GET", rsaIssuerMetadata, "", nil).decode(&got)
			if got.Issuer != rsaIssuerURL || got.Token != rsaIssuerURL+"/oauth2/token" || got.Keys != rsaIssuerURL+"/oauth2/jwks" {
				a.Errorf("%+v", got)
			}
			// The name does not come from the request, and not from another path.
			var again serverMetadata
			a.request("GET", strings.Replace(rsaIssuerMetadata, "rsa.as.test", "as.test", 1), "", nil).notFound()
			a.request("GET", "https://rsa.as.test/.well-known/oauth-authorization-server", "", nil).notFound()
			a.request("GET", rsaIssuerURL+"/.well-known/oauth-authorization-server", "", nil).notFound()
			a.raw("GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n").refused(403, noRoute)
			answers := a.rawAll("as.test:80", "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: evil.test\r\nConnection: close\r\n\r\n", 1)
			if len(answers) != 1 {
				a.Fatal("no answer")
			}
			if answers[0].decode(&again); again.Issuer != issuerURL || strings.Contains(answers[0].body, "evil") {
				a.Errorf("the request chose the name: %s", answers[0])
			}
			a.result("answered: 200 with the configured issuer; 404 elsewhere")
		},
		"METADATA-04": func(a *attack) {
			var got serverMetadata
			a.request("GET", issuerURL+"/.well-known/oauth-authorization-server", "", nil).decode(&got)
			if !got.NamesIssuer {
				a.Error("it is not announced that answers name their issuer")
			}
			p := a.newPerson("accounts:read")
			for _, back := range []*answer{
				p.allow(query()),
				p.browse("/oauth2/authorize?" + query("scope", "unknown")),
				p.browse("/oauth2/authorize?" + query("response_type", "token")),
				p.browse("/oauth2/authorize?" + query("prompt", "none")),
				a.request("GET", issuerURL+"/oauth2/authorize?"+query("prompt", "none"), "", nil),
				a.request("GET", issuerURL+"/oauth2/authorize?"+query("code_challenge", ""), "", nil),
			} {
				values := back.back(appURI)
				if values.Get("iss") != issuerURL || values.Has("code") == values.Has("error") {
					a.Errorf("sent back with %v", values)
				}
			}
			a.result("iss in each answer, with a code and with an error")
		},
		// A key is published ten minutes before it signs, and retired when nothing that
		// it signed can live.
		"METADATA-06": func(a *attack) {
			const overlap = 600
			for _, url := range []string{issuerURL + "/oauth2/jwks", rsaIssuerURL + "/oauth2/jwks", issuerURL + "/.well-known/oauth-authorization-server", gateURL + resourcePath} {
				got := a.request("GET", url, "", nil)
				_, age, _ := strings.Cut(got.header.Get("Cache-Control"), "max-age=")
				if seconds, err := strconv.Atoi(age); err != nil || seconds > overlap || got.status != 200 {
					a.Errorf("%s: Cache-Control %q", url, got.header.Get("Cache-Control"))
				}
				// Who asks whether it is still the same gets all of it, and never a wrong "yes".
				for _, condition := range []http.Header{{"If-None-Match": {"*"}}, {"If-Modified-Since": {"Fri, 01 Jan 2100 00:00:00 GMT"}}} {
					if again := a.request("GET", url, "", condition); again.status != 200 || again.body != got.body {
						a.Errorf("%s with %v: %s", url, condition, again)
					}
				}
			}
			a.result("answered: 200, max-age=300")
		},
		"METADATA-07": func(a *attack) {
			challenge := a.get("/v1/accounts", "").refused(401, noCredentials).header.Get("Www-Authenticate")
			if !strings.Contains(challenge, `resource_metadata="`+gateURL+resourcePath+`"`) {
				a.Errorf("challenge %s", challenge)
			}
			var told struct {
				Resource string
				Servers  []string `json:"authorization_servers"`
			}
			got := a.request("GET", gateURL+resourcePath, "", nil)
			if got.decode(&told); told.Resource != gateURL || len(told.Servers) != 1 || told.Servers[0] != issuerURL {
				a.Errorf("%s", got)
			}
			// Under another name, or another path, it is not what was asked for.
			a.raw("GET "+resourcePath+" HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n").refused(403, noRoute)
			a.raw("GET "+resourcePath+" HTTP/1.1\r\nHost: gw.test.evil.test\r\nX-Forwarded-Host: gw.test\r\nConnection: close\r\n\r\n").refused(403, noRoute)
			a.get(resourcePath+"/v1", a.tokenAdmin()).refused(403, noRoute)
			a.request("POST", gateURL+resourcePath, "", nil).refused(403, noRoute)
			if a.request("GET", "http://rsa.gw.test"+resourcePath, "", nil).decode(&told); told.Resource != rsaGateURL || told.Servers[0] != rsaIssuerURL {
				a.Errorf("%+v", told)
			}
			a.results = nil
			a.result("answered: 200 at the URL of the API alone")
		},
	})
}

const resourcePath = "/.well-known/oauth-protected-resource"

func (got *answer) notFound() {
	got.a.Helper()
	if got.status != http.StatusNotFound {
		got.a.Errorf("%s", got)
	}
}
