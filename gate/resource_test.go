package gate

import (
	"strings"
	"testing"
)

const describedAs = `{"resource":"https://gw.test","authorization_servers":["https://as.test"],` +
	`"scopes_supported":["read:accounts","read:market","trade:orders"],"bearer_methods_supported":["header"]}`

// Who comes without a token is told where tokens are to be had (RFC 9728 §5.1),
// and the document names the URL that was asked (§3.3).
func TestMETADATA_07_ProtectedResource(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.Resource = Resource{URL: "https://gw.test", Issuer: "https://as.test"} })
	server := w.serve(t, nothing)
	const pointer = `, resource_metadata="https://gw.test/.well-known/oauth-protected-resource"`
	for _, tt := range []struct{ name, token, challenge string }{
		{"no token", "", `Bearer realm="api"` + pointer},
		{"invalid token", "abc", `Bearer realm="api", error="invalid_token"` + pointer},
		{"too few scopes", w.mint(t, "read:market"), `Bearer realm="api", error="insufficient_scope", scope="read:accounts"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			if tt.token != "" {
				lines = append(lines, "Authorization: Bearer "+tt.token)
			}
			if got := raw(t, server, get("/accounts", lines...)).Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("challenge %s\nwant      %s", got, tt.challenge)
			}
		})
	}
	t.Run("document", func(t *testing.T) {
		for _, line := range []string{"GET " + resourceWellKnown, "GET " + resourceWellKnown + "?x=1"} {
			resp := raw(t, server, line+" HTTP/1.1\r\nHost: gw.test\r\n\r\n")
			if got := body(t, resp); resp.StatusCode != 200 || got != describedAs {
				t.Errorf("%s: %d %s\nwant %s", line, resp.StatusCode, got, describedAs)
			}
			if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "public, max-age=300" {
				t.Errorf("header %v", resp.Header)
			}
		}
		for _, host := range []string{"GW.test", "gw.test:443"} {
			if resp := raw(t, server, "GET "+resourceWellKnown+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); resp.StatusCode != 200 {
				t.Errorf("Host %s: %d", host, resp.StatusCode)
			}
		}
	})
	t.Run("not for another name, place or method", func(t *testing.T) {
		for _, line := range []string{
			"GET " + resourceWellKnown + " HTTP/1.1\r\nHost: evil.test",
			"GET " + resourceWellKnown + " HTTP/1.1\r\nHost: gw.test:8443",
			"GET " + resourceWellKnown + " HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: gw.test",
			"GET " + resourceWellKnown + "/accounts HTTP/1.1\r\nHost: gw.test",
			"GET " + resourceWellKnown + "/ HTTP/1.1\r\nHost: gw.test",
			"GET /.well-known/oauth-protected%2Dresource HTTP/1.1\r\nHost: gw.test",
			"POST " + resourceWellKnown + " HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0",
			"OPTIONS " + resourceWellKnown + " HTTP/1.1\r\nHost: gw.test",
		} {
			if resp := raw(t, server, line+"\r\n\r\n"); resp.StatusCode != 403 {
				t.Errorf("%s: %d", line, resp.StatusCode)
			}
		}
	})
}

// The path of an identifier stands behind the well-known one (RFC 9728 §3.1),
// and what has no place on the web has no metadata.
func TestMETADATA_07_PlaceOfTheMetadata(t *testing.T) {
	for id, want := range map[string]string{
		"https://gw.test":         "https://gw.test" + resourceWellKnown,
		"https://gw.test/":        "https://gw.test" + resourceWellKnown,
		"https://gw.test:8443/v1": "https://gw.test:8443" + resourceWellKnown + "/v1",
		"https://gw.test/v1/":     "https://gw.test" + resourceWellKnown + "/v1/",
		"http://127.0.0.1:8080":   "http://127.0.0.1:8080" + resourceWellKnown,
		"urn:example:api":         "",
		"https://gw.test?x=1":     "",
		"https://gw.test/#f":      "",
		"https://a@gw.test":       "",
		"https://gw.test/a%2fb":   "",
		"api":                     "",
		"":                        "",
	} {
		got := ""
		if r := newResource(Resource{URL: id, Issuer: "https://as.test"}); r != nil {
			got = r.metadata
			if !strings.HasSuffix(got, r.path) {
				t.Errorf("%s: path %s", id, r.path)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}
