package issuer

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// maxCredential is the most that an id or a secret may have, in bytes.
const maxCredential = 1024

// credentials are an id and a secret as they were presented.
type credentials struct {
	id, secret string
}

// basicCredentials reads the Authorization header (RFC 7617 §2) without decoding
// id and secret any further. Given is false if there is no such header. The
// error is errInvalidClient if it holds no Basic credentials that can be read.
func basicCredentials(h http.Header) (c credentials, given bool, err error) {
	values := h.Values("Authorization")
	switch len(values) {
	case 0:
		return credentials{}, false, nil
	case 1:
	default:
		return credentials{}, true, invalidRequest("Authorization is repeated")
	}
	c, ok := parseBasic(values[0])
	if !ok {
		return credentials{}, true, errInvalidClient
	}
	return c, true, nil
}

// parseBasic splits at the first colon: an id has none, a secret may.
func parseBasic(value string) (credentials, bool) {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return credentials{}, false
	}
	encoded = strings.TrimLeft(encoded, " ")
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder passes over
		return credentials{}, false
	}
	id, secret, ok := strings.Cut(string(decoded), ":")
	c := credentials{id: id, secret: secret}
	return c, ok && c.readable()
}

// readable reports whether id and secret are there, of bearable length, and
// text without control characters (RFC 7617 §2).
func (c credentials) readable() bool { return isCredential(c.id) && isCredential(c.secret) }

func isCredential(s string) bool {
	return s != "" && len(s) <= maxCredential && isText(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// trimmed is what was meant if blanks were put around the colon.
func (c credentials) trimmed() credentials {
	return credentials{id: strings.TrimRight(c.id, " "), secret: strings.TrimLeft(c.secret, " ")}
}

// formDecoded is what was meant by RFC 6749 §2.3.1: id and secret are encoded as
// a form's values before they are joined.
func (c credentials) formDecoded() (credentials, bool) {
	id, err := url.QueryUnescape(c.id)
	if err != nil {
		return credentials{}, false
	}
	secret, err := url.QueryUnescape(c.secret)
	if err != nil {
		return credentials{}, false
	}
	decoded := credentials{id: id, secret: secret}
	return decoded, decoded.readable()
}
