package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestJWKSHasPublicMembersOnly(t *testing.T) {
	k := fixedKeyring()
	var records []store.SigningKey
	for i := range 20 { // of 20 keys some have a coordinate with a leading zero now and then
		record, err := GenerateSigningKey(k, ES256, instant.Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	keys, err := OpenSigningKeys(k, records, nil)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(keys.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != len(records) {
		t.Fatalf("%d keys, want also those that do not sign yet", len(set.Keys))
	}
	last := ""
	for _, jwk := range set.Keys {
		members := slices.Sorted(maps.Keys(jwk))
		if !slices.Equal(members, []string{"alg", "crv", "kid", "kty", "use", "x", "y"}) {
			t.Fatalf("members %v", members)
		}
		if jwk["kty"] != "EC" || jwk["crv"] != "P-256" || jwk["alg"] != ES256 || jwk["use"] != "sig" || jwk["kid"] <= last {
			t.Errorf("%v after %q", jwk, last)
		}
		last = jwk["kid"]
		x, _ := base64.RawURLEncoding.DecodeString(jwk["x"])
		y, _ := base64.RawURLEncoding.DecodeString(jwk["y"])
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil || len(x) != 32 || !public.Equal(keys.byID[last].private.Public()) {
			t.Errorf("%s is not the key that signs: %v", last, err)
		}
	}
	slices.Reverse(records)
	again, err := OpenSigningKeys(k, records, nil)
	if err != nil || !bytes.Equal(again.JWKS(), keys.JWKS()) {
		t.Errorf("the order of the records shows: %v", err)
	}
	if algorithms := keys.Algorithms(); !slices.Equal(algorithms, []string{ES256}) {
		t.Errorf("algorithms %v", algorithms)
	}
}

func TestJWKSOfNoKeys(t *testing.T) {
	keys, err := OpenSigningKeys(fixedKeyring(), nil, nil)
	if err != nil || string(keys.JWKS()) != `{"keys":[]}` {
		t.Errorf("%s, %v", keys.JWKS(), err)
	}
}
