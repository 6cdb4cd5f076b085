package attacks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"
)

// members are those of a JSON object: a token's header, or its claims.
type members map[string]any

// with is the object with one member more, or another value.
func (m members) with(name string, value any) members {
	changed := maps.Clone(m)
	changed[name] = value
	return changed
}

// without is the object without a member.
func (m members) without(name string) members {
	changed := maps.Clone(m)
	delete(changed, name)
	return changed
}

// lifetime of the tokens that are minted here: no more than the server issues.
const lifetime = 15 * time.Minute

// header is that of the access tokens of https://as.test.
func (s *server) header() members {
	return members{"alg": "ES256", "typ": "at+jwt", "kid": s.es256ID}
}

// rsaHeader is that of the environment that signs with RS256.
func (s *server) rsaHeader() members {
	return members{"alg": "RS256", "typ": "at+jwt", "kid": s.rsaID}
}

// claims are those of a token of the client "machine", good for a quarter of an
// hour (CLAIMS_ADMIN with the scope admin).
func (s *server) claims(scope string) members {
	now := time.Now()
	return members{
		"iss": issuerURL, "aud": gateURL, "sub": machineID, "client_id": machineID, "scope": scope,
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
		"jti": rand.Text(), "grant": rand.Text(), "epoch": 0, "rights": 0,
	}
}

// rsaClaims are claims for the environment that signs with RS256.
func (s *server) rsaClaims(scope string) members {
	return s.claims(scope).with("iss", rsaIssuerURL).with("aud", rsaGateURL)
}

// mint signs with the key of https://as.test, whatever the header says.
func (a *attack) mint(header, claims members) string {
	a.Helper()
	return a.compact(a.encode(header), a.encode(claims), a.sign)
}

// The tokens of META-0: T_READ, T_ADMIN and their kin.
func (a *attack) tokenRead() string   { a.Helper(); return a.mint(a.header(), a.claims("accounts:read")) }
func (a *attack) tokenAdmin() string  { a.Helper(); return a.mint(a.header(), a.claims("admin")) }
func (a *attack) tokenQuotes() string { a.Helper(); return a.mint(a.header(), a.claims("quotes:read")) }

// mintRSA signs with RS256 for https://rsa.gw.test.
func (a *attack) mintRSA(header, claims members) string {
	a.Helper()
	return a.compact(a.encode(header), a.encode(claims), a.signRS256(a.rsa))
}

// compact is a JWS in the compact serialization of texts that need not be JSON.
func (a *attack) compact(header, payload string, sign func(input string) []byte) string {
	input := b64(header) + "." + b64(payload)
	raw := input + "." + b64(string(sign(input)))
	a.forbid(raw)
	return raw
}

// encode writes an object as JSON.
func (a *attack) encode(m members) string {
	a.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		a.Fatal(err)
	}
	return string(text)
}

// sign is ES256 with the server's key: r and s, 32 bytes each (RFC 7518 §3.4).
func (a *attack) sign(input string) []byte { a.Helper(); return a.signES256(a.es256)(input) }

func (a *attack) signES256(key *ecdsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			a.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func (a *attack) signRS256(key *rsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			a.Fatal(err)
		}
		return signature
	}
}

func (a *attack) signPS256(key *rsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		if err != nil {
			a.Fatal(err)
		}
		return signature
	}
}

// signHS256 is HMAC with any bytes for a key.
func signHS256(key []byte) func(string) []byte {
	return func(input string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

// unsigned leaves the signature empty.
func unsigned(string) []byte { return nil }

// signature makes any bytes the signature.
func signature(bytes []byte) func(string) []byte { return func(string) []byte { return bytes } }

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
