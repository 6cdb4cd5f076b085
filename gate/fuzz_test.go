package gate

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"path"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// attackTargets are the request targets of the attack corpus (areas path and
// smuggling), and their neighbours.
var attackTargets = []string{
	"/V1/ADMIN/users", "/v1//admin/users", "//v1/admin/users", "///v1/admin/users",
	"/public%2f..%2fv1%2fadmin%2fusers", "/public/%252e%252e%252fv1%252fadmin", "/v1/%61dmin/users", "/v1/adm%69n/users", "/v1%2Fadmin/users",
	"/v1/admin;/users", "/v1/admin;a=b/users", "/v1;x/admin/users", "/v1/admin%3b/users", "/v1/admin/users/", "/v1/admin/users//",
	"/v1/admin/users/.", "/v1/admin/users%2f", "/v1/admin/users%00", "/v1/admin/users%00.json", "/v1/admin/users%23", "/v1/admin/users.json",
	`/v1\admin\users`, `/public\..\v1\admin\users`, "/public%5c..%5cv1%5cadmin%5cusers", "/public/%e0%80%af../v1/admin/users",
	"/v1/%ef%bd%81dmin/users", "/v1/adm\u0131n/users", "/public/..%u002fv1", "/v1/%u0061dmin", "/public/%2e%2e%3b/v1/admin/users",
	"/v1/accounts/..%2fadmin/users", "/v1/accounts/%2e%2e/admin/users", "/public/../v1/admin/users", "/public/.%2e/v1", "/public/%2E./v1",
	"http://gw.test/v1/admin/users", "https://gw.test@evil.test/v1/admin/users", "http://gw.test?/v1", "http://gw.test", "*", "", "a", "/a?b#c", "/%", "/%2", "/a%20b",
	"/public/%ef%bc%8e%ef%bc%8e/v1", "/public/\u2025/v1", "/public\uff0f..", "/public/..\uff3cv1", "/\uff05", "/...", "/.a/b.", "/%c3%a9",
}

// FuzzTarget: a target that is accepted is one path to every reader, however
// often or leniently it decodes, and it is what the proxy sends on.
func FuzzTarget(f *testing.F) {
	for _, target := range attackTargets {
		f.Add("GET", target)
	}
	for _, method := range []string{"get", "GeT", "PROPFIND", "CONNECT", "", "G T", "PO\x00ST", "M-SEARCH"} {
		f.Add(method, "/v1/accounts")
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: gw.test\r\n\r\n")))
		if err != nil {
			return
		}
		judged, flaw := judgeMethod(r)
		if flaw == nil {
			flaw = judgePath(r)
		}
		if by, at, err := Judged(r.Method, r.RequestURI); (err == nil) != (flaw == nil) || err == nil && (by != judged || at != r.URL.Path) {
			t.Errorf("%s %q: judged as %s %q, %v, and its request as %s %q, %+v", r.Method, r.RequestURI, by, at, err, judged, r.URL.Path, flaw)
		}
		if flaw != nil {
			return
		}
		if judged != strings.ToUpper(judged) || judged == "" || judged == http.MethodConnect {
			t.Errorf("method %q is accepted", judged)
		}
		if got := mostLenient(r.URL.Path); got != r.URL.Path {
			t.Errorf("%q is accepted as %q, and is %q to others", target, r.URL.Path, got)
		}
		sent, err := url.PathUnescape(r.URL.EscapedPath())
		if err != nil || sent != r.URL.Path {
			t.Errorf("%q: the proxy sends %q, but %q was judged", target, r.URL.EscapedPath(), r.URL.Path)
		}
	})
}

// mostLenient reads a path as the most forgiving servers together would: they
// decode until nothing is left to decode, the %uXXXX of old too, fold full-width
// characters, take a backslash for a slash, drop path parameters, stop at NUL, and
// resolve dots.
func mostLenient(s string) string {
	for before := ""; before != s; {
		before = s
		if decoded, err := url.PathUnescape(s); err == nil {
			s = decoded
		}
		s = strings.NewReplacer("%u002e", ".", "%u002f", "/", "%u005c", "/", `\`, "/").Replace(s)
	}
	structure := strings.ReplaceAll(norm.NFKC.String(s), `\`, "/")
	if i := strings.IndexAny(structure, "\x00?#"); i >= 0 {
		return structure[:i]
	}
	if strings.Contains(structure, ";") {
		return path.Clean(strings.ReplaceAll(structure, ";", "/../"))
	}
	cleaned := path.Clean(structure)
	if strings.HasSuffix(structure, "/") && cleaned != "/" {
		cleaned += "/"
	}
	if cleaned == structure && strings.Count(structure, "/") == strings.Count(s, "/") {
		return s // nothing but letters was folded
	}
	return cleaned
}

// FuzzSanitize: whatever a client writes, under no name that a server could
// read as one of ours does anything reach the upstream but what we set, and no
// proxy loses what we set.
func FuzzSanitize(f *testing.F) {
	for _, lines := range []string{
		"X-Auth-Subject: root", "x-auth-subject: root", "X_Auth_Subject: root", "X-Auth_Subject: root", "X.Auth.Subject: root", "X-Auth-Subject : root",
		"X-Auth-Subject: a\r\nX-Auth-Subject: b", "Connection: X-Auth-Accounts", "Connection: close, X-Auth-Scope", "Connection: ,,\tx-auth-subject",
		"Remote-User: root", "REMOTE_USER: root", "X-Client-Cert: x", "X-SSL-Client-Verify: SUCCESS", "X-Forwarded-Client-Cert: x", "X_Forwarded_For: ::1",
		"Keep-Alive: 1\r\nTE: trailers\r\nProxy-Connection: x", "Upgrade: foo\r\nConnection: upgrade", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA",
		"Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: upgrade", "X-Original-URL: /v1/admin", "X-Rewrite-URL: /v1/admin", "X-HTTP-Method: PUT", "X-Method-Override: PATCH",
		"Forwarded: for=1", "X-Real-IP: 1", "True_Client_IP: 1", "Transfer-Encoding: chunked\r\nTrailer: X-Auth-Subject", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTrailer: X-Other",
	} {
		f.Add(lines, "X-Auth-Subject: root\r\n")
	}
	id, err := newIdentity(IdentityHeaders{Subject: "Remote-User"}, "sandbox")
	if err != nil {
		f.Fatal(err)
	}
	g := &Gate{identity: id}
	f.Fuzz(func(t *testing.T, lines, trailer string) {
		text := "GET / HTTP/1.1\r\nHost: gw.test\r\n" + lines + "\r\n\r\n0\r\n" + trailer + "\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil || g.sanitize(r) != nil {
			return
		}
		for name := range r.Header {
			if ours(name) {
				t.Errorf("%q: header %q is left", lines, name)
			}
		}
		next := r.WithContext(t.Context()) // a copy is handed on, and has no trailers that were not announced
		if _, err := io.Copy(io.Discard, next.Body); err == nil {
			for name := range next.Trailer {
				if ours(name) {
					t.Errorf("%q: trailer %q is left", trailer, name)
				}
			}
		}
		if upgrade := r.Header["Upgrade"]; len(upgrade) > 1 || len(upgrade) == 1 && !strings.EqualFold(upgrade[0], "websocket") {
			t.Errorf("%q: upgrade to %q is left", lines, upgrade)
		}
		var values [identityHeaders]string
		id.identify(r.Header, nil, &values)
		for _, list := range r.Header["Connection"] { // as proxies do (RFC 9110 §7.6.1)
			for name := range strings.SplitSeq(list, ",") {
				r.Header.Del(textproto.TrimString(name))
			}
		}
		for _, name := range id.names {
			if len(r.Header[name]) != 1 {
				t.Errorf("%q: a proxy would lose %s", lines, name)
			}
		}
	})
}

// ours reports whether a server that makes one of all punctuation would take a
// header for one that only we may set.
func ours(name string) bool {
	letters := func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}
	name = strings.Map(letters, strings.ToLower(name))
	switch name {
	case "remote-user", "x-client-cert", "x-forwarded-client-cert", "client-cert", "x-original-url", "x-rewrite-url",
		"x-http-method", "x-http-method-override", "x-method-override", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip":
		return true
	}
	return strings.HasPrefix(name, "x-auth-") || strings.HasPrefix(name, "x-ssl-client-")
}

// FuzzCORS: whatever a page says it is, an answer names an origin that the policy
// lists, and the one that asked, or none.
func FuzzCORS(f *testing.F) {
	for _, origin := range []string{
		appOrigin, deskOrigin, evilOrigin, "null", "", "*", "https://app.test.evil.test", "https://evil.test/https://app.test", "https://APP.test", "https://app.test:443",
		"http://app.test", "https://app.test ", "https://app.test, https://evil.test", "https://app.test\x00", "https://app.test\r\nX: 1",
	} {
		f.Add(origin, "GET", "/accounts")
		f.Add(origin, "DELETE", "/accounts")
		f.Add(origin, "get", "/desk")
	}
	p := loadPolicy(f, corsPolicy)
	g := &Gate{policy: func() *policy.Policy { return p }}
	f.Fuzz(func(t *testing.T, origin, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodOptions, URL: u, RequestURI: target, Header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {method},
		}}
		rec := httptest.NewRecorder()
		answered, refusal := g.preflight(rec, r)
		allowed := origin == appOrigin || origin == deskOrigin
		if answered && (refusal != nil || !allowed || rec.Code != http.StatusNoContent) {
			t.Errorf("%q, %q, %q: answered with %d, %v", origin, method, target, rec.Code, refusal)
		}
		upstream := http.Header{"Access-Control-Allow-Origin": {"*", evilOrigin}, "Access-Control-Allow-Credentials": {"true"}}
		setCORS(upstream, p.CORSOf(method, u.Path), originOf(r))
		for _, h := range []http.Header{rec.Header(), upstream} {
			named := h["Access-Control-Allow-Origin"]
			if len(named) > 1 || len(named) == 1 && (named[0] != origin || !allowed) || h["Access-Control-Allow-Credentials"] != nil {
				t.Errorf("%q may: %v", origin, h)
			}
		}
	})
}
