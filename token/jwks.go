package token

import (
	"cmp"
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// jwk is the public half of a key for P-256 (RFC 7517 §4, RFC 7518 §6.2.1). It
// has no field that could hold a private one.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// JWKS returns the public keys as a JWK Set (RFC 7517 §5), those that do not
// sign yet included. The bytes are shared: do not change them.
func (s *SigningKeys) JWKS() []byte { return s.jwks }

// encodeJWKS writes the set, ordered by kid: equal keys give equal bytes.
func encodeJWKS(keys []*signingKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, key := range keys {
		public, err := publicJWK(key)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", key.id, err)
		}
		set.Keys = append(set.Keys, public)
	}
	slices.SortFunc(set.Keys, func(a, b jwk) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return json.Marshal(&set)
}

func publicJWK(key *signingKey) (jwk, error) {
	public, ok := key.private.Public().(*ecdsa.PublicKey)
	if !ok {
		return jwk{}, fmt.Errorf("no JWK form for %s", key.algorithm)
	}
	point, err := public.Bytes() // 4, then x and y of equal length (SEC 1 §2.3.3)
	if err != nil {
		return jwk{}, err
	}
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	b64 := base64.RawURLEncoding
	return jwk{
		Type: "EC", Curve: "P-256", X: b64.EncodeToString(x), Y: b64.EncodeToString(y),
		Use: "sig", Algorithm: key.algorithm, KeyID: key.id,
	}, nil
}
