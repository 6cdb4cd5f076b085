package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxSigned = 8 << 10 // bytes of a signed token
	// maxHeader is how many bytes its header may have, encoded. Ours have some 100;
	// reading one costs by its length, before anything is verified.
	maxHeader    = 1 << 10
	maxJSONDepth = 8 // levels of objects and arrays
)

// jws is a token in the compact serialization (RFC 7515 §7.1), taken apart but
// not verified.
type jws struct {
	header    jwsHeader
	input     string // what the signature is over (RFC 7515 §5.2)
	payload   string // still encoded: nothing of it is read before it is verified
	signature []byte
}

// jwsHeader holds the members that mean something to us.
type jwsHeader struct {
	Algorithm string
	Type      string
	KeyID     string
}

// refusedHeaders are members that would have us take a key from the token,
// process it in another way, or understand an extension (RFC 7515 §4.1,
// RFC 7516 §4.1, RFC 7797, RFC 8725 §3). Members that we have never heard of are
// ignored, as RFC 7515 §4 wants it.
var refusedHeaders = []string{
	"crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64", "zip", "enc", "cty",
}

var errMalformed = &Invalid{Reason: ReasonMalformed}

// parseJWS takes a token apart strictly. It fails with *Invalid.
func parseJWS(raw string) (*jws, error) {
	if len(raw) > maxSigned {
		return nil, &Invalid{Reason: ReasonSize}
	}
	if strings.Count(raw, ".") != 2 {
		return nil, errMalformed
	}
	end := strings.LastIndexByte(raw, '.')
	header, payload, _ := strings.Cut(raw[:end], ".")
	if len(header) > maxHeader {
		return nil, &Invalid{Reason: ReasonSize}
	}
	decoded, ok := decodeCanonical(base64.RawURLEncoding, header)
	if !ok {
		return nil, errMalformed
	}
	signature, ok := decodeCanonical(base64.RawURLEncoding, raw[end+1:])
	if !ok {
		return nil, errMalformed
	}
	t := &jws{input: raw[:end], payload: payload, signature: signature}
	if err := t.header.decode(decoded); err != nil {
		return nil, err
	}
	return t, nil
}

func (h *jwsHeader) decode(header []byte) error {
	known := []string{"alg", "typ", "kid"}
	return decodeObject(header, append(known, refusedHeaders...), func(name string, d *jsontext.Decoder) error {
		var err error
		switch name {
		case "alg":
			h.Algorithm, err = readString(d)
		case "typ":
			h.Type, err = readString(d)
		case "kid":
			h.KeyID, err = readString(d)
		default:
			return &Invalid{Reason: ReasonHeader, Detail: "header member " + name}
		}
		if errors.Is(err, errWrongType) {
			return errMalformed
		}
		return err
	})
}

// decodeCanonical decodes base64 of which there is one spelling only. The
// standard library skips CR and LF and, unless strict, ignores the bits behind
// the last byte.
func decodeCanonical(encoding *base64.Encoding, s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := encoding.Strict().DecodeString(s)
	return b, err == nil
}

// errWrongType is for a member that is not of the type it must be.
var errWrongType = errors.New("is of the wrong type")

// decodeObject reads one JSON object and calls member for each of the known
// names, with the decoder before the value. Duplicate names, names that differ
// from a known one in case only, invalid UTF-8, deep nesting and anything behind
// the object are refused as malformed. Other names are skipped.
//
// An error of member that is *Invalid is passed on; any other makes it a wrong
// claim of that name.
func decodeObject(data []byte, known []string, member func(name string, d *jsontext.Decoder) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if open, err := d.ReadToken(); err != nil || open.Kind() != '{' {
		return errMalformed
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return errMalformed
		}
		name := token.String()
		switch match, exact := lookUpName(known, name); {
		case exact:
			err = memberError(match, member(match, d))
		case match != "":
			err = errMalformed
		default:
			err = skipValue(d)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errMalformed
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errMalformed
	}
	return nil
}

// lookUpName finds the known name that another reader might take name for.
func lookUpName(known []string, name string) (match string, exact bool) {
	for _, k := range known {
		if k == name {
			return k, true
		}
	}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k, false
		}
	}
	return "", false
}

func memberError(name string, err error) error {
	var invalid *Invalid
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return invalid
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return errMalformed
	}
	return &Invalid{Reason: ReasonClaim, Detail: name + " " + err.Error()}
}

// skipValue reads past a value of any kind, token by token, so that its depth
// is bounded and duplicates inside are still found.
func skipValue(d *jsontext.Decoder) error {
	outside := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil || d.StackDepth() > maxJSONDepth {
			return errMalformed
		}
		if d.StackDepth() == outside {
			return nil
		}
	}
}

func readString(d *jsontext.Decoder) (string, error) {
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	if token.Kind() != '"' {
		return "", errWrongType
	}
	return token.String(), nil
}
