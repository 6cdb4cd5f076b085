package token

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Claims is what a signed access token says (RFC 9068 §2.2). Times have whole
// seconds when we write them; a fraction is accepted.
type Claims struct {
	Issuer    string
	Subject   string // the principal
	Audience  []string
	Expires   time.Time
	IssuedAt  time.Time
	NotBefore time.Time // zero if absent
	ID        string    // jti
	ClientID  string
	Scopes    []string
	Accounts  []string
	Grant     string // what it was made from, and dies with
	Epoch     int64  // see package store
	Rights    int64
}

// claimNames are the members that mean something to us. cnf does because it is
// refused.
var claimNames = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id",
	"scope", "accounts", "grant", "epoch", "rights", "cnf",
}

// decodeClaims reads the payload of a token strictly. It fails with *Invalid.
func decodeClaims(payload []byte) (Claims, error) {
	var c Claims
	if err := decodeObject(payload, claimNames, c.decodeMember); err != nil {
		return Claims{}, err
	}
	if missing := c.missing(); missing != "" {
		return Claims{}, &Invalid{Reason: ReasonClaim, Detail: missing + " is missing"}
	}
	return c, nil
}

func (c *Claims) decodeMember(name string, d *jsontext.Decoder) (err error) {
	switch name {
	case "iss":
		c.Issuer, err = readText(d)
	case "sub":
		c.Subject, err = readText(d)
	case "aud":
		c.Audience, err = readTexts(d, true)
	case "exp":
		c.Expires, err = readTime(d)
	case "iat":
		c.IssuedAt, err = readTime(d)
	case "nbf":
		c.NotBefore, err = readTime(d)
	case "jti":
		c.ID, err = readText(d)
	case "client_id":
		c.ClientID, err = readText(d)
	case "scope":
		c.Scopes, err = readScope(d)
	case "accounts":
		c.Accounts, err = readTexts(d, false)
	case "grant":
		c.Grant, err = readText(d)
	case "epoch":
		c.Epoch, err = readCount(d)
	case "rights":
		c.Rights, err = readCount(d)
	case "cnf":
		// RFC 7800 §3.1 would let us ignore it, and a stolen token would pass.
		err = &Invalid{Reason: ReasonConfirmation, Detail: "cnf cannot be checked"}
	}
	return err
}

// missing names the first required claim that is absent (RFC 9068 §2.2, and
// grant, without which nothing can be revoked).
func (c *Claims) missing() string {
	switch {
	case c.Issuer == "":
		return "iss"
	case c.Subject == "":
		return "sub"
	case len(c.Audience) == 0:
		return "aud"
	case c.Expires.IsZero():
		return "exp"
	case c.IssuedAt.IsZero():
		return "iat"
	case c.ID == "":
		return "jti"
	case c.ClientID == "":
		return "client_id"
	case c.Grant == "":
		return "grant"
	}
	return ""
}

// readText reads a string that is to be a header or a label some day: not empty
// and without control characters.
func readText(d *jsontext.Decoder) (string, error) {
	s, err := readString(d)
	if err != nil {
		return "", err
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("is empty or has control characters")
	}
	return s, nil
}

// readTexts reads an array of strings, or one string if that may stand for
// itself, as in aud (RFC 7519 §4.1.3).
func readTexts(d *jsontext.Decoder, orOne bool) ([]string, error) {
	if orOne && d.PeekKind() == '"' {
		s, err := readText(d)
		return []string{s}, err
	}
	if open, err := d.ReadToken(); err != nil {
		return nil, err
	} else if open.Kind() != '[' {
		return nil, errWrongType
	}
	var texts []string
	for d.PeekKind() == '"' {
		s, err := readText(d)
		if err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	if end, err := d.ReadToken(); err != nil {
		return nil, err
	} else if end.Kind() != ']' {
		return nil, errWrongType
	}
	return texts, nil
}

// readScope reads scope tokens with one space between (RFC 6749 §3.3).
func readScope(d *jsontext.Decoder) ([]string, error) {
	s, err := readString(d)
	if err != nil {
		return nil, err
	}
	scopes := strings.Split(s, " ")
	for _, scope := range scopes {
		if !isScope(scope) {
			return nil, errors.New("is not a list of scopes")
		}
	}
	return scopes, nil
}

func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// maxNumericDate is the end of the year 9999 in seconds: beyond it time.Time
// has no text, and long before arithmetic overflows.
const maxNumericDate = 253402300799

// readTime reads a NumericDate (RFC 7519 §2): seconds, perhaps with a fraction.
func readTime(d *jsontext.Decoder) (time.Time, error) {
	token, err := d.ReadToken()
	if err != nil {
		return time.Time{}, err
	}
	if token.Kind() != '0' {
		return time.Time{}, errWrongType
	}
	seconds, err := strconv.ParseFloat(token.String(), 64)
	if err != nil || seconds < 0 || seconds > maxNumericDate {
		return time.Time{}, errors.New("is no time that could be meant")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// readCount reads an integer that is not negative, without rounding.
func readCount(d *jsontext.Decoder) (int64, error) {
	token, err := d.ReadToken()
	if err != nil {
		return 0, err
	}
	if token.Kind() != '0' {
		return 0, errWrongType
	}
	n, err := strconv.ParseInt(token.String(), 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New("is no number that could be meant")
	}
	return n, nil
}

// wireClaims are Claims as they are written.
type wireClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  any      `json:"aud"`
	Expires   int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf,omitzero"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitzero"`
	Accounts  []string `json:"accounts,omitempty"`
	Grant     string   `json:"grant"`
	Epoch     int64    `json:"epoch"`
	Rights    int64    `json:"rights"`
}

// encode writes the claims as JSON. Fractions of seconds are cut off.
func (c *Claims) encode() ([]byte, error) {
	w := wireClaims{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience,
		Expires: c.Expires.Unix(), IssuedAt: c.IssuedAt.Unix(),
		ID: c.ID, ClientID: c.ClientID,
		Scope: strings.Join(c.Scopes, " "), Accounts: c.Accounts,
		Grant: c.Grant, Epoch: c.Epoch, Rights: c.Rights,
	}
	if len(c.Audience) == 1 {
		w.Audience = c.Audience[0]
	}
	if !c.NotBefore.IsZero() {
		w.NotBefore = c.NotBefore.Unix()
	}
	return json.Marshal(&w)
}
