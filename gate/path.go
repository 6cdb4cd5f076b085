package gate

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxPath is the longest path that is judged, as it stands in the request line.
const maxPath = 8 << 10

// Judged returns the method and the path by which a gate judges a request with
// this method and target (RFC 9112 §3). An error says why a gate refuses it
// before it asks the policy.
func Judged(method, target string) (judged, path string, err error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return "", "", errors.New(flawTarget.detail)
	}
	r := &http.Request{Method: method, URL: u, RequestURI: target}
	judged, flaw := judgeMethod(r)
	if flaw == nil {
		flaw = judgePath(r)
	}
	if flaw != nil {
		return "", "", errors.New(flaw.detail)
	}
	return judged, u.Path, nil
}

// judgeMethod returns the method by which a request is judged. The WebSocket
// over HTTP/2 and HTTP/3 comes as CONNECT (RFC 8441, RFC 9220) and is the GET
// that it stands for.
func judgeMethod(r *http.Request) (string, *flaw) {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodPatch, http.MethodHead, http.MethodOptions:
		return r.Method, nil
	case http.MethodConnect:
		if upgradeOf(r) == overStream {
			return http.MethodGet, nil
		}
		return "", flawConnect
	case "":
		return "", flawMethod
	}
	for i := range len(r.Method) {
		c := r.Method[i]
		if 'a' <= c && c <= 'z' || !isTokenChar(c) {
			return "", flawMethod
		}
	}
	return r.Method, nil
}

// judgePath is step 2: whether every parser that comes after us reads the path
// as we do. The path as decoded, the raw form that the proxy sends and the
// request line are judged, each by itself: something before us may have
// rewritten one and not the others.
func judgePath(r *http.Request) *flaw {
	raw, ok := rawPath(r.RequestURI)
	switch {
	case !ok || r.URL.User != nil:
		return flawTarget
	case len(raw) > maxPath || len(r.URL.Path) > maxPath || len(r.URL.RawPath) > maxPath:
		return flawTooLong
	case r.RequestURI != "" && !clean(raw, true):
		return flawPath
	case (r.URL.Path != raw || raw == "") && !clean(r.URL.Path, false):
		return flawPath
	case r.URL.RawPath != "" && r.URL.RawPath != raw && !clean(r.URL.RawPath, true):
		return flawPath
	}
	return nil
}

// rawPath returns the path of a request target in origin form or absolute form
// (RFC 9112 §3.2). It fails if there is none, or userinfo before it.
func rawPath(target string) (string, bool) {
	if target == "" {
		return "", true // a request that was made here: r.URL is all there is
	}
	if target[0] != '/' {
		_, rest, ok := strings.Cut(target, "://")
		start := strings.IndexAny(rest, "/?#")
		if !ok || start < 0 || rest[start] != '/' || strings.Contains(rest[:start], "@") {
			return "", false
		}
		target = rest[start:]
	}
	if query := strings.IndexByte(target, '?'); query >= 0 {
		target = target[:query]
	}
	return target, true
}

// plain are the bytes that mean themselves to everyone, in a path.
var plain = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = true
	}
	for _, c := range `/.%\;#?` {
		table[c] = false
	}
	return table
}()

// clean reports whether a path can be read in one way only. An encoded one may
// have percent-encoding, of anything that would be clean if it were not
// encoded; in a decoded one a percent sign is left over from a double encoding.
//
// A segment of dots is the one thing that a single byte does not show: dots
// counts the segment's bytes as long as all of them are dots, and -1 after.
func clean(path string, encoded bool) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	dots, wide := 0, false
	for i := 1; i < len(path); i++ {
		if next := afterPlain(path, i); next > i {
			if dots, i = -1, next; i == len(path) {
				break
			}
		}
		c := path[i]
		if c == '%' && encoded {
			var ok bool
			if c, ok = unhex(path, i); !ok || c == '/' {
				return false
			}
			i += 2
		}
		switch {
		case plain[c]:
			dots = -1
		case c == '/':
			if dots >= 0 && dots <= 2 { // "//", "/./", "/../"
				return false
			}
			dots = 0
		case c == '.':
			if dots >= 0 {
				dots++
			}
		case c < utf8.RuneSelf:
			return false
		default:
			dots, wide = -1, true
		}
	}
	return dots != 1 && dots != 2 && (!wide || readable(path, encoded))
}

// afterPlain passes over plain bytes from i on: most paths have no others but
// slashes.
func afterPlain(path string, i int) int {
	for i < len(path) && plain[path[i]] {
		i++
	}
	return i
}

// unhex decodes the percent-encoding that begins at i.
func unhex(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexDigit returns the value of a hex digit, 16 or more for anything else.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// readable reports whether a path beyond ASCII is UTF-8 without controls, and
// clean too for servers that fold full-width dots, slashes and the like (NFKC).
func readable(path string, encoded bool) bool {
	if encoded {
		var err error
		if path, err = url.PathUnescape(path); err != nil {
			return false
		}
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return false
	}
	folded := norm.NFKC.String(path)
	return folded == path || clean(folded, false) && strings.Count(folded, "/") == strings.Count(path, "/")
}

// isTokenChar reports whether c may be part of a token (RFC 9110 §5.6.2).
func isTokenChar(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		return true
	}
	return c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
