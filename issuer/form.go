package issuer

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxBody is the most that a form may have, in bytes.
const maxBody = 64 << 10

// form holds the parameters of a request. Those without a value count as
// omitted (RFC 6749 §3.2) and are not in it.
type form map[string]string

// readForm reads the parameters from the body, whatever the method: net/http's
// ParseForm passes over the body of a GET. The query holds none of them.
func readForm(r *http.Request) (form, error) {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	return readBodyForm(r)
}

// readBodyForm is readForm where the query has parameters of its own.
func readBodyForm(r *http.Request) (form, error) {
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return parseForm(body)
}

// checkContentType wants a plain form. Which charset it names does not matter:
// what is not UTF-8 is refused later, and what is ASCII is the same in all.
func checkContentType(h http.Header) error {
	if encoding := h.Values("Content-Encoding"); len(encoding) > 1 || len(encoding) == 1 && !strings.EqualFold(encoding[0], "identity") {
		return invalidRequest("Content-Encoding is not accepted")
	}
	types := h.Values("Content-Type")
	if len(types) > 1 {
		return invalidRequest("Content-Type is repeated")
	}
	if len(types) == 1 {
		mediaType, parameters, err := mime.ParseMediaType(types[0])
		delete(parameters, "charset")
		if err == nil && mediaType == "application/x-www-form-urlencoded" && len(parameters) == 0 {
			return nil
		}
	}
	return invalidRequest("Content-Type must be application/x-www-form-urlencoded")
}

// readBody reads at most maxBody bytes. A longer body that says so is not even
// begun.
func readBody(r *http.Request) (string, error) {
	if r.ContentLength > maxBody {
		return "", errBodyTooLong
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	var outer *http.MaxBytesError // of whoever stands before us
	switch {
	case len(body) > maxBody, errors.As(err, &outer):
		return "", errBodyTooLong
	case err != nil:
		return "", invalidRequest("the body ended too early")
	}
	return string(body), nil
}

var errBodyTooLong error = &oauthError{
	status: http.StatusRequestEntityTooLarge, code: codeInvalidRequest,
	description: "the body is longer than 64 KiB", text: "error.says.too_long",
}

// parseForm reads application/x-www-form-urlencoded as url.ParseQuery does, but
// refuses what that tolerates: a name given twice (RFC 6749 §3.2), bytes that
// are no text.
func parseForm(body string) (form, error) {
	f, repeated, err := parsePairs(body)
	switch {
	case err != nil:
		return nil, err
	case len(repeated) > 0:
		return nil, invalidRequest("a parameter is repeated")
	}
	return f, nil
}

// parsePairs is parseForm for who has to answer all the same: it names what is
// repeated, of which f has one of the values.
func parsePairs(body string) (f form, repeated map[string]bool, err error) {
	f, repeated = make(form), make(map[string]bool)
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, err := unescapePair(pair)
		if err != nil {
			return nil, nil, err
		}
		if seen[name] {
			repeated[name] = true
		}
		seen[name] = true
		if value != "" {
			f[name] = value
		}
	}
	return f, repeated, nil
}

func unescapePair(pair string) (name, value string, err error) {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	// The decoder's errors quote what they could not read and are left out.
	if name, err = url.QueryUnescape(rawName); err == nil {
		value, err = url.QueryUnescape(rawValue)
	}
	if err != nil || !isText(name) || !isText(value) {
		return "", "", invalidRequest("the parameters are not well-formed UTF-8 in form encoding")
	}
	return name, value, nil
}

// isText reports whether s is UTF-8 without NUL.
func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// bodyOnly are parameters that are refused in the query: it is kept in
// histories and logs. What begins with x- is a header of the code call.
var bodyOnly = map[string]bool{
	"grant_type": true, "code": true, "refresh_token": true, "scope": true,
	"client_id": true, "client_secret": true, "client_assertion": true, "client_assertion_type": true,
	"token": true, "token_type_hint": true, "access_token": true,
	"appsecret": true, "accesscode": true, "connectionid": true, "usersecret": true,
	"x-service-account-id": true, "x-service-account-secret": true,
	"x-ibm-client-id": true, "x-ibm-client-secret": true, "x-client-id": true, "x-client-secret": true,
}

// refuseQuery refuses a query that holds a parameter of ours, and one that
// cannot be read. Others are ignored. A semicolon separates, too: others on the
// way may have taken it so.
func refuseQuery(query string) error {
	for _, pair := range splitQuery(query) {
		name, _, err := unescapePair(pair)
		if err != nil {
			return invalidRequest("the query is not well-formed")
		}
		if bodyOnly[strings.ToLower(strings.TrimSpace(name))] {
			return invalidRequest("parameters and credentials are not accepted in the query")
		}
	}
	return nil
}

func splitQuery(query string) []string {
	return strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
}
