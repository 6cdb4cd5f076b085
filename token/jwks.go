package token

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/go-json-experiment/json"
)

// jwk is the public half of a key (RFC 7517 §4). It has no field that could hold
// a private one.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv,omitzero"`
	X         string `json:"x,omitzero"`
	Y         string `json:"y,omitzero"`
	Modulus   string `json:"n,omitzero"`
	Exponent  string `json:"e,omitzero"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// thumbprint identifies the key wherever it is used (RFC 7638 §3): the hash of
// its required members in the order of their names.
func (k *jwk) thumbprint() string {
	required := [...]struct{ name, value string }{
		{"crv", k.Curve}, {"e", k.Exponent}, {"kty", k.Type}, {"n", k.Modulus}, {"x", k.X}, {"y", k.Y},
	}
	var text []byte
	for _, member := range required {
		if member.value != "" { // none needs escaping
			text = append(text, `,"`+member.name+`":"`+member.value+`"`...)
		}
	}
	text[0] = '{'
	sum := sha256.Sum256(append(text, '}'))
	return encodeOctets(sum[:])
}

// JWKS returns the public keys as a JWK Set (RFC 7517 §5), those that do not
// sign yet included. The bytes are shared: do not change them.
func (s *SigningKeys) JWKS() []byte { return s.jwks }

// JWK returns one of the public keys (RFC 7517 §4), nil if it is not among them.
func (s *SigningKeys) JWK(id string) ([]byte, error) {
	if key := s.byID[id]; key != nil {
		return json.Marshal(&key.public)
	}
	return nil, nil
}

// encodeJWKS writes the set, ordered by kid: equal keys give equal bytes.
func encodeJWKS(keys []*signingKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, key := range keys {
		set.Keys = append(set.Keys, key.public)
	}
	slices.SortFunc(set.Keys, func(a, b jwk) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return json.Marshal(&set)
}
