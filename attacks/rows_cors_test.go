package attacks

import (
	"net/http"
	"slices"
	"strings"
)

const appOrigin = "https://app.test" // which the policy lets in

func init() {
	register(rows{
		"CORS-01": func(a *attack) {
			got := a.preflight("/v1/accounts", appOrigin)
			if got.status != http.StatusNoContent || got.body != "" {
				a.Errorf("%s", got)
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin": appOrigin, "Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "authorization",
			} {
				if values := got.header[name]; !slices.Equal(values, []string{want}) {
					a.Errorf("%s: %q; wanted %q", name, values, want)
				}
			}
			if vary := strings.Join(got.header["Vary"], ", "); !strings.Contains(vary, "Origin") {
				a.Errorf("Vary: %q", vary)
			}
			a.noMoreReceived()
			a.result("answered by the gate: 204")
		},
		"CORS-03": func(a *attack) {
			for _, origin := range []string{"null", "https://evil.test", "https://app.test.evil.test", "http://app.test"} {
				a.preflight("/v1/accounts", origin).refused(403, "origin_not_allowed").forNobody()
				got := a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nOrigin: " + origin + "\r\nAuthorization: Bearer " + a.tokenRead() + "\r\n\r\n")
				got.passed()
				got.forNobody()
			}
		},
		"CORS-06": func(a *attack) {
			for _, lines := range []string{"", "Origin: " + appOrigin + "\r\n", "Access-Control-Request-Method: GET\r\n"} {
				a.raw("OPTIONS /v1/admin/users HTTP/1.1\r\nHost: gw.test\r\n"+lines+"\r\n").refused(401, noCredentials)
			}
			a.raw("OPTIONS /v1/admin/users HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer "+a.tokenRead()+"\r\n\r\n").refused(403, insufficientScope)
		},
	})
}

// preflight asks what a page may, as a browser does: without a token.
func (a *attack) preflight(path, origin string) *answer {
	a.Helper()
	return a.raw("OPTIONS " + path + " HTTP/1.1\r\nHost: gw.test\r\nOrigin: " + origin +
		"\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n\r\n")
}

// forNobody wants an answer that no page of another origin may read.
func (got *answer) forNobody() {
	got.a.Helper()
	for name, values := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			got.a.Errorf("%s: %q", name, values)
		}
	}
}
