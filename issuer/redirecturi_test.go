package issuer

import (
	"strconv"
	"strings"
	"testing"
)

func TestRedirectURIsThatMayBeRegistered(t *testing.T) {
	for _, uri := range []string{
		"https://app.example.com/callback",
		"https://app.example.com",
		"https://app.example.com/",
		"https://app.example.com:8443/callback?tenant=7",
		"https://[2001:db8::1]/callback",
		"http://127.0.0.1/callback",
		"http://127.0.0.1:4711/callback",
		"http://[::1]:4711/callback",
		"http://localhost:4711/callback",
		"com.example.app:/callback",
		"com.example.app://callback/done",
		"https://app.example.com/a%20b/c%2Fd",
	} {
		if err := CheckRedirectURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestRedirectURIsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ uri, says string }{
		"empty":                          {"", "is empty"},
		"REDIRECT_URI-19 relative":       {"/cb", "not absolute"},
		"no scheme":                      {"app.example.com/cb", "not absolute"},
		"network path":                   {"//evil.test/cb", "not absolute"},
		"REDIRECT_URI-03 fragment":       {"https://app.test/cb#f", "fragment"},
		"empty fragment":                 {"https://app.test/cb#", "fragment"},
		"REDIRECT_URI-15 user":           {"https://evil.test/#@app.test/cb", "fragment"},
		"REDIRECT_URI-16 slash in user":  {"https://evil.test%2f@app.test/cb", "user"},
		"user and password":              {"https://a:b@app.test/cb", "user"},
		"empty user":                     {"https://@app.test/cb", "user"},
		"wildcard host":                  {"https://*.app.test/cb", "wildcard"},
		"wildcard path":                  {"https://app.test/*", "wildcard"},
		"REDIRECT_URI-07 http":           {"http://app.test/cb", "without encryption"},
		"http, loopback as a label":      {"http://localhost.evil.test/cb", "without encryption"},
		"http, loopback as a number":     {"http://2130706433/cb", "without encryption"},
		"http, another loopback address": {"http://127.0.0.2/cb", "without encryption"},
		"http, any address":              {"http://0.0.0.0/cb", "without encryption"},
		"http, private network":          {"http://192.168.0.1/cb", "without encryption"},
		"REDIRECT_URI-10 NUL":            {"https://app.test/cb%00", "control character"},
		"REDIRECT_URI-11 CR LF":          {"https://app.test/cb%0d%0aX:1", "control character"},
		"CR LF in the query":             {"https://app.test/cb?a=%0d%0aX:1", "control character"},
		"raw LF":                         {"https://app.test/cb\n", "no URI has"},
		"raw NUL":                        {"https://app.test/\x00", "no URI has"},
		"blank":                          {"https://app.test/a b", "no URI has"},
		"backslash":                      {`https://app.test\@evil.test/cb`, "no URI has"},
		"two in one":                     {"https://app.test/cb https://evil.test/cb", "no URI has"},
		"letters that look like others":  {"https://аpp.test/cb", "no URI has"},
		"bytes that are no text":         {"https://app.test/%ff", "no UTF-8"},
		"bad escape":                     {"https://app.test/%zz", "not a URI"},
		"bad escape in the query":        {"https://app.test/?a=%zz", "not well-formed"},
		"semicolon in the query":         {"https://app.test/?a=1;b=2", "not well-formed"},
		"REDIRECT_URI-20 javascript":     {"javascript:alert(1)//https://app.test/cb", "has the scheme javascript"},
		"REDIRECT_URI-21 data":           {"data:text/html,x", "has the scheme data"},
		"file":                           {"file:///etc/passwd", "has the scheme file"},
		"private-use scheme, no dot":     {"myapp:/callback", "a domain of yours in reverse"},
		"private-use scheme, dot at end": {"myapp.:/callback", "a domain of yours in reverse"},
		"private-use scheme, no path":    {"com.example.app:callback", "no path"},
		"private-use scheme alone":       {"com.example.app:", "no path"},
		"scheme in capitals":             {"HTTPS://app.test/cb", "capitals"},
		"host in capitals":               {"https://APP.test/cb", "small letters"},
		"no host":                        {"https:///cb", "no host"},
		"opaque":                         {"https:app.test/cb", "no host"},
		"escaped host":                   {"https://app%2etest/cb", "not a URI"},
		"zone":                           {"http://[::1%25lo]/cb", "small letters"},
		"colon without a port":           {"https://app.test:/cb", "no port"},
		"port 0":                         {"https://app.test:0/cb", "port 0"},
		"port too high":                  {"https://app.test:65536/cb", "port 65536"},
		"port with zeros":                {"https://app.test:0443/cb", "port 0443"},
		"port that is none":              {"https://app.test:x/cb", "not a URI"},
		"dot segments":                   {"https://app.test/a/../cb", "dot segments"},
		"escaped dot segments":           {"https://app.test/a/%2e%2e/cb", "dot segments"},
		"code in the query":              {"https://app.test/cb?code=x", "parameter code"},
		"escaped state in the query":     {"https://app.test/cb?st%61te=x", "parameter state"},
		"too long":                       {"https://app.test/" + strings.Repeat("x", MaxRedirectURI), "at most 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckRedirectURI(test.uri)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.uri, err, test.says)
			}
			// The page says the same in its own words.
			if shown := checkRedirectURIs([]string{test.uri}).String(); !strings.HasSuffix(shown, ".") || strings.Contains(shown, "<no value>") ||
				len(test.uri) < 100 && !strings.Contains(shown, test.uri) {
				t.Errorf("%s: the page says %q", test.uri, shown)
			}
		})
	}
}

func TestListOfRedirectURIs(t *testing.T) {
	var many []string
	for k := range MaxRedirectURIs + 1 {
		many = append(many, "https://app.example.com/"+strconv.Itoa(k))
	}
	for name, test := range map[string]struct {
		uris []string
		says string
	}{
		"none":     {nil, ""},
		"some":     {many[:3], ""},
		"most":     {many[:MaxRedirectURIs], ""},
		"too many": {many, "51 redirect URIs; at most 50"},
		"twice":    {[]string{many[0], many[1], many[0]}, "named twice"},
		"one bad":  {[]string{many[0], "x"}, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckRedirectURIs(test.uris)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}
