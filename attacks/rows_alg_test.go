package attacks

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // RSA-OAEP of RFC 7518 §4.3
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
)

func init() {
	register(rows{
		"JWT-ALG-01": unsignedAs("none"),
		"JWT-ALG-02": unsignedAs("None"),
		"JWT-ALG-03": unsignedAs("NONE"),
		"JWT-ALG-04": unsignedAs("nOnE"),
		"JWT-ALG-06": unsignedAs("\x00none"),
		"JWT-ALG-09": func(a *attack) { a.refusesHeader(a.header().without("alg")) },
		"JWT-ALG-10": func(a *attack) { a.refusesHeader(a.header().with("alg", nil)) },

		"JWT-ALG-17": confusedBy(func(a *attack) [][]byte { return [][]byte{publicPEM(a)} }),
		"JWT-ALG-18": confusedBy(func(a *attack) [][]byte { return [][]byte{bytes.TrimSpace(publicPEM(a))} }),
		"JWT-ALG-20": confusedBy(func(a *attack) [][]byte { return [][]byte{publicDER(a)} }),
		"JWT-ALG-22": confusedBy(func(a *attack) [][]byte { return [][]byte{a.rsa.N.Bytes()} }),
		"JWT-ALG-23": confusedBy(func(a *attack) [][]byte { // the key, and the set that it stands in
			var set struct{ Keys []json.RawMessage }
			if err := json.Unmarshal(a.rsaPublic, &set); err != nil {
				a.Fatal(err)
			}
			return [][]byte{set.Keys[0], a.rsaPublic}
		}),
		"JWT-ALG-25": func(a *attack) { a.refusesHMAC(nil) },
		"JWT-ALG-27": func(a *attack) { a.refusesHMAC([]byte(machineSecret)) },

		"JWT-ALG-28": func(a *attack) {
			claims := a.encode(a.rsaClaims("admin"))
			a.getRSA("/v1/admin/users", a.compact(a.encode(a.rsaHeader()), claims, a.signRS256(a.rsa))).passed()
			a.results = nil // that was to show that the key is right
			a.getRSA("/v1/admin/users", a.compact(a.encode(a.rsaHeader().with("alg", "PS256")), claims, a.signPS256(a.rsa))).refused(401, invalidToken)
			a.getRSA("/v1/admin/users", a.compact(a.encode(a.rsaHeader()), claims, a.signPS256(a.rsa))).refused(401, invalidToken)
		},
		"JWT-ALG-29": func(a *attack) {
			sign := func(input string) []byte {
				sum := sha512.Sum384([]byte(input))
				r, s, err := ecdsa.Sign(rand.Reader, a.es256, sum[:])
				if err != nil {
					a.Fatal(err)
				}
				return append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
			}
			a.refusesSigned(a.header().with("alg", "ES384"), sign)
		},
		"JWT-ALG-30": func(a *attack) {
			a.refusesSigned(a.header(), func(input string) []byte {
				plain := a.sign(input)
				der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(plain[:32]), new(big.Int).SetBytes(plain[32:])})
				if err != nil {
					a.Fatal(err)
				}
				return der
			})
		},
		"JWT-ALG-31": func(a *attack) { a.refusesSigned(a.header(), signature(make([]byte, 64))) },

		"JWT-ALG-35": func(a *attack) {
			inner := a.compact(`{"alg":"none","typ":"at+jwt"}`, a.encode(a.rsaClaims("admin")), unsigned)
			a.getRSA("/v1/admin/users", a.encrypted(inner)).refused(401, invalidToken)
		},
		// The key would be derived in two billion rounds, which take minutes: the
		// answer came without them.
		"JWT-ALG-36": func(a *attack) {
			header := b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"c2FsdHNhbHRzYWx0","kid":"` + a.es256ID + `"}`)
			a.get("/v1/admin/users", header+"."+b64(strings.Repeat("k", 24))+"."+b64(strings.Repeat("i", 12))+"."+b64("text")+"."+b64(strings.Repeat("t", 16))).
				refused(401, invalidToken)
		},
		// Caddy reads 16 KiB of a header. A smaller bomb gets as far as the gate,
		// which reads 8 KiB of a token, and nothing inflates it.
		"JWT-ALG-37": func(a *attack) {
			bomb := func(size int) string {
				header := b64(`{"alg":"dir","enc":"A128GCM","zip":"DEF","kid":"` + a.es256ID + `"}`)
				return header + ".." + b64(strings.Repeat("i", 12)) + "." + b64(string(deflatedZeros(a, size))) + "." + b64(strings.Repeat("t", 16))
			}
			large, small, smallest := bomb(250<<20), bomb(8<<20), bomb(4<<20)
			if len(large) < 250_000 {
				a.Fatalf("%d bytes: not the bomb that was meant", len(large))
			}
			for range 3 { // so much every header of that size costs
				a.get("/v1/admin/users", strings.Repeat("x", len(large))).refused(431, notByGate)
				a.get("/v1/admin/users", strings.Repeat("x", len(small))).refused(401, invalidToken)
				a.get("/v1/admin/users", strings.Repeat("x", len(smallest))).refused(401, invalidToken)
			}
			before := a.memory()
			for range 3 {
				a.get("/v1/admin/users", large).refused(431, notByGate)
				a.get("/v1/admin/users", small).refused(401, invalidToken)
				a.get("/v1/admin/users", smallest).refused(401, invalidToken)
			}
			if grown := a.memory() - before; grown > 16<<20 {
				a.Errorf("the server grew by %d MiB", grown>>20)
			}
		},
	})
}

// unsignedAs presents admin's claims without a signature.
func unsignedAs(algorithm string) func(*attack) {
	return func(a *attack) { a.refusesSigned(a.header().with("alg", algorithm), unsigned) }
}

// confusedBy signs with HMAC, whose secret is a form of the public RSA key.
func confusedBy(secrets func(*attack) [][]byte) func(*attack) {
	return func(a *attack) {
		for _, secret := range secrets(a) {
			header := a.encode(a.rsaHeader().with("alg", "HS256"))
			a.getRSA("/v1/admin/users", a.compact(header, a.encode(a.rsaClaims("admin")), signHS256(secret))).refused(401, invalidToken)
		}
	}
}

// refusesHMAC wants HS256 with this secret to be refused.
func (a *attack) refusesHMAC(secret []byte) {
	a.Helper()
	a.refusesSigned(a.header().with("alg", "HS256"), signHS256(secret))
}

// refusesHeader wants a token with admin's claims to be refused for its header,
// with a good signature over it.
func (a *attack) refusesHeader(header members) { a.Helper(); a.refusesSigned(header, a.sign) }

// refusesSigned is refusesHeader with another signature.
func (a *attack) refusesSigned(header members, sign func(string) []byte) {
	a.Helper()
	a.get("/v1/admin/users", a.compact(a.encode(header), a.encode(a.claims("admin")), sign)).refused(401, invalidToken)
}

func publicDER(a *attack) []byte {
	der, err := x509.MarshalPKIXPublicKey(a.rsa.Public())
	if err != nil {
		a.Fatal(err)
	}
	return der
}

func publicPEM(a *attack) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(a)})
}

// encrypted is a JWE for the server's RSA key (RFC 7516 §7.1), as it would have
// to be.
func (a *attack) encrypted(plain string) string {
	key, nonce := make([]byte, 32), make([]byte, 12)
	rand.Read(key)
	rand.Read(nonce)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &a.rsa.PublicKey, key, nil)
	if err != nil {
		a.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		a.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		a.Fatal(err)
	}
	header := b64(a.encode(members{"alg": "RSA-OAEP", "enc": "A256GCM", "typ": "at+jwt", "cty": "JWT", "kid": a.rsaID}))
	sealed := string(gcm.Seal(nil, nonce, []byte(plain), []byte(header)))
	end := len(sealed) - 16
	return strings.Join([]string{header, b64(string(wrapped)), b64(string(nonce)), b64(sealed[:end]), b64(sealed[end:])}, ".")
}

// attackerRSA and attackerES256 are keys that the server never heard of.
var attackerRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

var attackerES256 = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
