package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms that access tokens may be signed with (RFC 7518 §3, RFC 8037
// §3.1).
const (
	ES256 = "ES256" // ECDSA with P-256 and SHA-256: the default
	EdDSA = "EdDSA" // Ed25519: the fastest to sign
	PS256 = "PS256" // RSASSA-PSS with SHA-256
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256: for resource servers that know nothing else
)

// rsaBits is the size of RSA keys that we make; rsaLeast is what RFC 7518 §3.3
// asks for at least.
const (
	rsaBits  = 2048
	rsaLeast = 2048
)

// algorithm is how keys for one algorithm are made, used and published.
type algorithm struct {
	method   jwt.SigningMethod
	generate func() (crypto.Signer, error)
	// public returns the members of the JWK that are particular to the type of
	// key (RFC 7518 §6, RFC 8037 §2). It fails if the key is for something else.
	public func(crypto.PublicKey) (jwk, error)
}

var algorithms = map[string]algorithm{
	ES256: {jwt.SigningMethodES256, generateP256, publicP256},
	EdDSA: {jwt.SigningMethodEdDSA, generateEd25519, publicEd25519},
	PS256: {methodPS256, generateRSA, publicRSA},
	RS256: {jwt.SigningMethodRS256, generateRSA, publicRSA},
}

// methodPS256 takes a salt as long as the hash, and no other (RFC 7518 §3.5). The
// library's own verifies with any.
var methodPS256 = &jwt.SigningMethodRSAPSS{
	SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
	Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
}

// CheckAlgorithm reports whether access tokens can be signed with alg.
func CheckAlgorithm(alg string) error {
	if _, known := algorithms[alg]; known {
		return nil
	}
	names := []string{ES256, EdDSA, PS256, RS256}
	at := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, alg) })
	if at >= 0 {
		return fmt.Errorf("signing algorithm %q is not supported; did you mean %s?", alg, names[at])
	}
	return fmt.Errorf("signing algorithm %q is not supported; known: %s", alg, strings.Join(names, ", "))
}

var errOtherKey = errors.New("is a key for another algorithm")

func generateP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func generateEd25519() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func publicP256(key crypto.PublicKey) (jwk, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return jwk{}, errOtherKey
	}
	point, err := public.Bytes() // 4, then x and y of equal length (SEC 1 §2.3.3)
	if err != nil {
		return jwk{}, err
	}
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	return jwk{Type: "EC", Curve: "P-256", X: encodeOctets(x), Y: encodeOctets(y)}, nil
}

func publicEd25519(key crypto.PublicKey) (jwk, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return jwk{}, errOtherKey
	}
	return jwk{Type: "OKP", Curve: "Ed25519", X: encodeOctets(public)}, nil
}

func publicRSA(key crypto.PublicKey) (jwk, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return jwk{}, errOtherKey
	}
	if bits := public.N.BitLen(); bits < rsaLeast {
		return jwk{}, fmt.Errorf("has %d bits; at least %d are needed", bits, rsaLeast)
	}
	exponent := big.NewInt(int64(public.E)).Bytes()
	return jwk{Type: "RSA", Modulus: encodeOctets(public.N.Bytes()), Exponent: encodeOctets(exponent)}, nil
}

func encodeOctets(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
