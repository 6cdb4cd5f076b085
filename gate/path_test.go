package gate

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPath(t *testing.T) {
	w := openWorld(t, nil)
	bearer := "Authorization: Bearer " + w.mint(t)
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		_, err := rw.Write([]byte(r.URL.Path))
		return err
	}))
	for _, tt := range []struct {
		attack string
		target string
		status int
	}{
		{"plain", "/files/a.txt", 200},
		{"query is not the path's", "/files/a?x=..%2f;//%00", 200},
		{"empty last segment", "/files/", 200},
		{"harmless encoding", "/f%69les/%61", 200},
		{"encoded letter does not dodge a route", "/%64esk", 403},
		{"three dots are a name", "/files/...", 200},
		{"dots in a name", "/files/.a..b.", 200},
		{"UTF-8", "/files/%C3%A9", 200},
		{"raw UTF-8", "/files/\xc3\xa9", 200},
		{"blank", "/files/a%20b", 200},
		{"plus and friends", "/files/a+b=c,d@e:f!$&'()*~", 200},
		{"absolute form", "http://gw.test/files/a?x", 200},

		{"encoded slash", "/files%2fa", 400},
		{"encoded slash, upper case", "/files/a%2F..%2Fdesk", 400},
		{"backslash", `/files/..\desk`, 400},
		{"encoded backslash", "/files/..%5cdesk", 400},
		{"double encoding", "/files/%252e%252e/desk", 400},
		{"encoded percent", "/files/100%25", 400},
		{"NUL", "/files/a%00.txt", 400},
		{"control", "/files/a%0d%0ab", 400},
		{"TAB", "/files/a%09b", 400},
		{"DEL", "/files/a%7f", 400},
		{"C1 control", "/files/a%c2%85", 400},
		{"double slash", "/files//a", 400},
		{"double slash first", "//files/a", 400},
		{"double slash last", "/files//", 400},
		{"dot segment", "/files/./a", 400},
		{"dot segment last", "/files/.", 400},
		{"dot dot", "/health/../desk", 400},
		{"dot dot last", "/files/..", 400},
		{"encoded dot dot", "/health/%2e%2e/desk", 400},
		{"half encoded dot dot", "/health/.%2E/desk", 400},
		{"dot dot parameter", "/health/..;/desk", 400},
		{"parameter", "/files/a;v=1", 400},
		{"encoded semicolon", "/files/a%3bv", 400},
		{"encoded number sign", "/files/a%23b", 400},
		{"fragment", "/files/a#b", 400},
		{"encoded question mark", "/files/a%3fb", 400},
		{"IIS encoding", "/files%u002fa", 400},
		{"cut encoding", "/files/a%2", 400},
		{"no hex", "/files/a%zz", 400},
		{"invalid UTF-8", "/files/%ff", 400},
		{"overlong slash", "/files/%c0%af", 400},
		{"surrogate", "/files/%ed%a0%80", 400},
		{"raw invalid UTF-8", "/files/\xff", 400},
		{"full-width dots", "/files/%ef%bc%8e%ef%bc%8e/a", 400},
		{"two dot leader", "/files/\u2025/a", 400},
		{"full-width slash", "/files/a%ef%bc%8fb", 400},
		{"full-width backslash", "/files/a\uff3cb", 400},
		{"full-width percent sign", "/files/\uff052e", 400},
		{"full-width letters are letters", "/files/%ef%bd%81", 200},
		{"userinfo", "http://health@gw.test/accounts", 400},
		{"absolute form without a path", "http://gw.test", 400},
		{"absolute form with dots", "http://gw.test/health/../desk", 400},
		{"too long", "/files/" + strings.Repeat("a", maxPath), 414},
		{"as long as it may be", "/files/" + strings.Repeat("a", maxPath-len("/files/")), 200},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, get(tt.target, bearer))
			if resp.StatusCode != tt.status {
				t.Errorf("%.60s: status %d, want %d: %s", tt.target, resp.StatusCode, tt.status, body(t, resp))
			}
		})
	}
	t.Run("asterisk form", func(t *testing.T) {
		// net/http answers "OPTIONS *" by itself; with this it asks us.
		r := httptest.NewRequest("OPTIONS", "*", nil)
		rw := httptest.NewRecorder()
		w.gated(nothing).ServeHTTP(rw, r)
		if rw.Code != 400 {
			t.Errorf("status %d", rw.Code)
		}
	})
}

// CORS-06: without Origin and Access-Control-Request-Method an OPTIONS request is
// no preflight, and no way around the gate. (No route matches: 403 comes before 401.)
func TestCORS06OptionsIsNoWayAround(t *testing.T) {
	server := openWorld(t, nil).serve(t, handlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the API was reached")
		return nil
	}))
	for _, path := range []string{"/accounts", "/desk", "/nowhere"} {
		if resp := raw(t, server, "OPTIONS "+path+" HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"); resp.StatusCode != 403 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// What stands before the gate may rewrite one form of the path and not another.
func TestPathFormsAreJudgedEach(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"path":         func(r *http.Request) { r.URL.Path = "/files/../desk" },
		"left over %":  func(r *http.Request) { r.URL.Path = "/files/%2e%2e" },
		"raw path":     func(r *http.Request) { r.URL.RawPath = "/files/%2e%2e/desk" },
		"request line": func(r *http.Request) { r.RequestURI = "/files/%2e%2e/desk" },
		"relative":     func(r *http.Request) { r.URL.Path = "files" },
		"empty":        func(r *http.Request) { r.URL.Path, r.RequestURI = "", "" },
		"userinfo":     func(r *http.Request) { r.URL.User = url.User("health") },
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/files/a", nil)
			if judgePath(r) != nil {
				t.Fatal("the clean one is refused")
			}
			change(r)
			if judgePath(r) == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestMethod(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, nothing)
	for _, tt := range []struct {
		attack, line string
		status       int
		code         string
	}{
		{"lower case", "get /health HTTP/1.1", 400, "invalid_request"},
		{"mixed case", "Get /health HTTP/1.1", 400, "invalid_request"},
		{"CONNECT", "CONNECT gw.test:443 HTTP/1.1", 405, "method_not_allowed"},
		{"CONNECT to a path", "CONNECT /health HTTP/1.1", 405, "method_not_allowed"},
		{"TRACE", "TRACE /health HTTP/1.1", 403, "no_route"},
		{"unknown method", "PURGE /health HTTP/1.1", 403, "no_route"},
		{"other method", "POST /health HTTP/1.1", 403, "no_route"},
		{"HEAD is covered by GET", "HEAD /health HTTP/1.1", 200, ""},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, tt.line+"\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if got := body(t, resp); !strings.Contains(got, tt.code) {
				t.Errorf("body %s", got)
			}
		})
	}
}

// A path that is accepted means the same to every reader: decoding it once
// gives what was judged, cleaning that changes nothing, and there is nothing
// left to decode.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a%20b", "/a/../b", "/%2e%2e/", "/a//b", "/%c3%a9", "/a;b", "/...", "/a/.", "/a%2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if clean(s, true) {
			decoded, err := url.PathUnescape(s)
			if err != nil || !clean(decoded, false) {
				t.Fatalf("%q decodes to %q, %v", s, decoded, err)
			}
		}
		if !clean(s, false) {
			return
		}
		if strings.ContainsAny(s, "%\\;#?\x00\x7f") || !utf8.ValidString(s) {
			t.Fatalf("%q is accepted", s)
		}
		if cleaned := path.Clean(s); cleaned != s && cleaned+"/" != s {
			t.Fatalf("%q is %q to others", s, cleaned)
		}
	})
}

// What a gate is asked about a target is what it says of a request with it.
func TestJudgedIsWhatRequestsAreJudgedBy(t *testing.T) {
	for _, test := range []struct{ method, target, path string }{
		{"GET", "/a", "/a"},
		{"POST", "/a%20b/?c=%2F", "/a b/"},
		{"GET", "http://api.example.com/a", "/a"},
		{"GET", "/a//b", ""},
		{"GET", "/a/../b", ""},
		{"GET", "/a%2Fb", ""},
		{"GET", "/a%", ""},
		{"GET", "a", ""},
		{"GET", "*", ""},
		{"get", "/a", ""},
		{"CONNECT", "/a", ""},
	} {
		method, path, err := Judged(test.method, test.target)
		if path != test.path || (err == nil) != (test.path != "") || err == nil && method != test.method {
			t.Errorf("%s %s: %s %s, %v", test.method, test.target, method, path, err)
		}
	}
}
