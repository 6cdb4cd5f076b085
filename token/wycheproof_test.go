package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// wycheproof are the vectors of Project Wycheproof for JSON Web Signatures, keys
// and encryption (testdata/wycheproof.json says where they come from).
type wycheproof struct {
	Groups []wycheproofGroup
}

type wycheproofGroup struct {
	File, Comment string
	Keys          []wycheproofKey
	Tests         []wycheproofTest
}

type wycheproofKey struct {
	Type      string `json:"kty"`
	Algorithm string `json:"alg"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	X, Y      string
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

type wycheproofTest struct {
	ID             int
	Comment, Token string
	Valid          bool
}

// stricter are tokens that Wycheproof calls valid, signed by a key for one of our
// algorithms, and why we refuse them all the same.
var stricter = map[string]string{
	"signature 346": "alg is PS384, and the key's own is PS256",
	"signature 350": "alg is PS384, and the key's own is PS256",
}

// laxer are tokens that Wycheproof calls invalid, and why that is not for the
// verifier to find.
var laxer = map[string]string{
	"key 7":     "the signature is right; the modulus was made by a chip with a flaw (ROCA), and ours are made by Go or by the operator",
	"crypto 46": "as key 7",
}

// foreign are the cases of groups that have no key for our algorithms, by the
// algorithm of the group's first key. They must be refused, valid or not: our
// access tokens know no such algorithm, no encryption, and keys for signing only.
var foreign = map[string]int{
	"HS256": 65, "HS384": 3, "HS512": 3, // RFC 8725 §3.5: no secret is shared with who verifies
	"RS384": 4, "RS512": 4, "PS384": 5, "PS512": 20, "ES521": 3, "ES224": 1, // beyond the four that are supported
	"": 4, "RSA1_5": 1, "A256KW": 18, "A256GCM": 1, "ECDH-ES+A128KW": 17, "ES256": 1, // for encryption
}

// TestWycheproof runs what fits our algorithms through the verifier of access
// tokens, but for typ and the claims, which no vector has. With them every token is refused.
func TestWycheproof(t *testing.T) {
	content, err := os.ReadFile("testdata/wycheproof.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors wycheproof
	if err := json.Unmarshal(content, &vectors); err != nil {
		t.Fatal(err)
	}
	ran, others, excused := 0, map[string]int{}, map[string]bool{}
	for _, group := range vectors.Groups {
		keys, ours := group.open(t)
		if ours {
			ran += len(group.Tests)
		} else {
			others[group.Keys[0].Algorithm] += len(group.Tests)
		}
		for _, test := range group.Tests {
			name := fmt.Sprint(group.File, " ", test.ID)
			want := ours && test.Valid
			if want && stricter[name] != "" || ours && laxer[name] != "" {
				want, excused[name] = !want, true
			}
			if err := keys.verifySignature(test.Token); (err == nil) != want {
				t.Errorf("%s, %s: %v (valid: %v)", name, test.Comment, err, test.Valid)
			}
			if _, _, err := keys.Verify(test.Token, Expect{Now: time.Now()}); !isInvalid(err) {
				t.Errorf("%s, %s: as an access token: %v", name, test.Comment, err)
			}
		}
	}
	if ran != 360 || !maps.Equal(others, foreign) {
		t.Errorf("%d cases ran and %v had no key; wanted 360 and %v", ran, others, foreign)
	}
	if listed := slices.Sorted(maps.Keys(stricter)); len(excused) != len(stricter)+len(laxer) {
		t.Errorf("%v excused; wanted %v and %v", excused, listed, laxer)
	}
}

func isInvalid(err error) bool {
	var invalid *Invalid
	return errors.As(err, &invalid)
}

// verifySignature is Verify without typ and claims.
func (s *SigningKeys) verifySignature(raw string) error {
	parsed, err := parseJWS(raw)
	if err != nil {
		return err
	}
	parsed.header.Type = accessTokenType
	key, err := s.keyFor(&parsed.header)
	if err != nil {
		return err
	}
	if _, ok := decodeCanonical(base64.RawURLEncoding, parsed.payload); !ok {
		return errMalformed
	}
	return key.method.Verify(parsed.input, parsed.signature, key.verifier)
}

// open makes the group's keys those of an environment. If none is for one of our
// algorithms, there is another key under their ids: what refuses a token must not be
// that its kid is unknown.
func (g *wycheproofGroup) open(t *testing.T) (keys *SigningKeys, ours bool) {
	t.Helper()
	keyring := fixedKeyring()
	record := func(id, algorithm string, public []byte) store.SigningKey {
		return store.SigningKey{Environment: keyring.Environment(), ID: id, Algorithm: algorithm, Public: public}
	}
	var records, strangers []store.SigningKey
	for i := range g.Keys {
		key := &g.Keys[i]
		if CheckAlgorithm(key.Algorithm) != nil || key.Use == "enc" {
			strangers = append(strangers, record(key.ID, ES256, strangerP256(t)))
			continue
		}
		ours = true
		if public, err := key.encode(); err == nil {
			records = append(records, record(key.ID, key.Algorithm, public))
		}
	}
	if !ours {
		records = strangers
	}
	keys, err := OpenSigningKeys(keyring, records, nil)
	if err != nil { // keys that we would not take: nothing that they signed is good
		keys, err = OpenSigningKeys(keyring, nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keys, ours
}

// strangerP256 is the public half of a key that signed nothing.
func strangerP256(t *testing.T) []byte {
	t.Helper()
	key, err := generateP256()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// encode is the key in the form in which the store has it. It fails if there is no
// such key.
func (k *wycheproofKey) encode() ([]byte, error) {
	number := func(text string) *big.Int {
		octets, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			panic(err)
		}
		return new(big.Int).SetBytes(octets)
	}
	if k.Type == "RSA" && k.Algorithm != ES256 {
		return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: number(k.Modulus), E: int(number(k.Exponent).Int64())})
	}
	if k.Type != "EC" || k.Curve != "P-256" {
		return nil, errOtherKey
	}
	point := append([]byte{4}, append(number(k.X).FillBytes(make([]byte, 32)), number(k.Y).FillBytes(make([]byte, 32))...)...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(public)
}
