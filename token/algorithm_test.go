package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var everyAlgorithm = []string{ES256, EdDSA, PS256, RS256}

// keysFor are signing keys with one key for each of the algorithms, the last
// being the newest.
func keysFor(tb testing.TB, algs ...string) *SigningKeys {
	tb.Helper()
	var records []store.SigningKey
	for i, alg := range algs {
		record, err := GenerateSigningKey(fixedKeyring(), alg, instant.Add(time.Duration(i-len(algs))*time.Minute))
		if err != nil {
			tb.Fatal(err)
		}
		records = append(records, record)
	}
	keys, err := OpenSigningKeys(fixedKeyring(), records, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func TestEachAlgorithmSignsAndVerifies(t *testing.T) {
	for _, alg := range everyAlgorithm {
		keys := keysFor(t, alg)
		raw, _, err := keys.Sign(goodClaims(), instant)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		claims, _, err := keys.Verify(raw, expected())
		if err != nil || claims.Subject != "alice" {
			t.Errorf("%s: %+v, %v", alg, claims, err)
		}
		header, _ := base64.RawURLEncoding.DecodeString(raw[:strings.IndexByte(raw, '.')])
		if !bytes.Contains(header, []byte(`"alg":"`+alg+`"`)) {
			t.Errorf("%s: header %s", alg, header)
		}
		spoilt := raw[:len(raw)-8] + "AAAAAAAA"
		var invalid *Invalid
		if _, _, err := keys.Verify(spoilt, expected()); !errors.As(err, &invalid) || invalid.Reason != ReasonSignature {
			t.Errorf("%s: spoilt signature: %v", alg, err)
		}
	}
}

// A token names the algorithm of another key, of the same type of key even
// (PS256 and RS256 both use RSA): the key decides, and refuses.
func TestAlgorithmOfAnotherKeyIsRefused(t *testing.T) {
	keys := keysFor(t, everyAlgorithm...)
	for _, key := range keys.newestFirst {
		for _, alg := range everyAlgorithm {
			if alg == key.algorithm {
				continue
			}
			claims := goodClaims()
			payload, err := claims.encode()
			if err != nil {
				t.Fatal(err)
			}
			input := b64(`{"alg":"`+alg+`","typ":"at+jwt","kid":"`+key.id+`"}`) + "." + b64(string(payload))
			signature, err := key.method.Sign(input, key.private)
			if err != nil {
				t.Fatal(err)
			}
			var invalid *Invalid
			_, _, err = keys.Verify(input+"."+b64(string(signature)), expected())
			if !errors.As(err, &invalid) || invalid.Reason != ReasonAlgorithm {
				t.Errorf("%s key, token says %s: %v", key.algorithm, alg, err)
			}
		}
	}
}

func TestJWKSOfEachAlgorithm(t *testing.T) {
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(keysFor(t, everyAlgorithm...).JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	members := map[string]string{ES256: "EC crv x y", EdDSA: "OKP crv x", PS256: "RSA e n", RS256: "RSA e n"}
	for _, key := range set.Keys {
		want := strings.Fields(members[key["alg"]])
		if key["kty"] != want[0] || len(key) != len(want)+3 {
			t.Errorf("%s: %v", key["alg"], key)
		}
		for _, member := range want[1:] {
			if key[member] == "" {
				t.Errorf("%s: no %s", key["alg"], member)
			}
		}
		delete(members, key["alg"])
	}
	if len(members) != 0 {
		t.Errorf("not published: %v", members)
	}
}

// A record says what its key is for; a key of another type, or one that is too
// small, is found out when it is opened.
func TestKeyThatDoesNotFitItsAlgorithm(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := generateP256()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		alg     string
		private crypto.Signer
		want    string
	}{
		"EC key for RS256":         {RS256, p256, "another algorithm"},
		"EC key for EdDSA":         {EdDSA, p256, "another algorithm"},
		"RSA key for ES256":        {ES256, small, "another algorithm"},
		"RSA key of 1024 bits":     {PS256, small, "has 1024 bits"},
		"algorithm without a type": {"HS256", p256, "not supported"},
	} {
		der, err := x509.MarshalPKCS8PrivateKey(test.private)
		if err != nil {
			t.Fatal(err)
		}
		k := fixedKeyring()
		record := store.SigningKey{
			Environment: k.Environment(), ID: "kid", Algorithm: test.alg,
			Sealed: k.Seal(der, []byte("kid")), SealKeyID: k.KeyID(), Created: instant, SignFrom: instant,
		}
		if _, err := OpenSigningKeys(k, []store.SigningKey{record}, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestCheckAlgorithmNamesTheNearest(t *testing.T) {
	if err := CheckAlgorithm("eddsa"); err == nil || !strings.Contains(err.Error(), "did you mean EdDSA?") {
		t.Errorf("%v", err)
	}
}

// The settings name another algorithm: a new key signs from then on, and what
// the old one signed stays good, until it expires and after a restart too.
func TestChangeOfAlgorithmKeepsOldTokens(t *testing.T) {
	n := openNode(t)
	old := n.access(t).Raw
	for _, alg := range []string{EdDSA, ES256, RS256, RS256} {
		next := n.settings.Load().Settings
		next.Algorithm = alg
		if err := n.Configure(next); err != nil {
			t.Fatal(err)
		}
		n.clock.advance(time.Second)
		if err := n.OpenKeys(context.Background()); err != nil {
			t.Fatal(err)
		}
		header, _ := base64.RawURLEncoding.DecodeString(strings.Split(n.access(t).Raw, ".")[0])
		if !bytes.Contains(header, []byte(`"alg":"`+alg+`"`)) {
			t.Errorf("after the change to %s: %s", alg, header)
		}
		if got := n.judge(t, old); got != Live {
			t.Errorf("the first token after the change to %s: %s", alg, got)
		}
	}
	if got := len(n.keys.Load().newestFirst); got != 4 {
		t.Errorf("%d keys, want one for each change and no more", got)
	}
}

func BenchmarkAlgorithms(b *testing.B) {
	for _, alg := range everyAlgorithm {
		keys := keysFor(b, alg)
		raw, _, err := keys.Sign(goodClaims(), instant)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("sign/"+alg, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := keys.Sign(goodClaims(), instant); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("verify/"+alg, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := keys.Verify(raw, expected()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
