package issuer

import (
	"net/http"
	"net/url"
	"strings"
)

// CarriesSecret reports whether a request holds credentials where an access log
// would show them: in the target, or in a header other than Authorization and
// Cookie, which every log leaves out. It goes by names alone, in any spelling,
// and errs on the side of silence.
func CarriesSecret(r *http.Request) bool {
	for name := range r.Header {
		if strings.Contains(strings.ToLower(name), "secret") {
			return true
		}
	}
	if r.URL.User != nil {
		return true
	}
	for _, pair := range splitQuery(r.URL.RawQuery) {
		rawName, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || namesSecret(name) {
			return true
		}
	}
	return false
}

func namesSecret(parameter string) bool {
	name := strings.ToLower(parameter)
	for _, word := range []string{"secret", "token", "assertion", "password", "ticket"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.TrimSpace(name) == "code"
}
