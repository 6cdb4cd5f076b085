//go:build linux

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tokens differ in their id and nothing else, and their signatures are good.
func TestPress(t *testing.T) {
	dir := t.TempDir()
	p, err := newPress(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.signed(1); err == nil {
		t.Error("a token without a pattern")
	}
	encode := base64.RawURLEncoding.EncodeToString
	header := encode([]byte(`{"alg":"ES256","kid":"k"}`))
	if err := p.learn(header + "." + encode([]byte(`{"jti":"x","exp":1795370000,"accounts":["1"]}`)) + ".sig"); err != nil {
		t.Fatal(err)
	}
	if err := p.write(filepath.Join(dir, "crowd"), 3); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "crowd"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(file))
	seen := map[string]bool{}
	for _, token := range lines {
		parts := strings.Split(token, ".")
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			ID       string   `json:"jti"`
			Expires  int64    `json:"exp"`
			Accounts []string `json:"accounts"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires != 1795370000 || len(claims.Accounts) != 1 {
			t.Errorf("%s: %v", payload, err)
		}
		seen[claims.ID] = true
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if parts[0] != header || !ecdsa.Verify(&p.es256.PublicKey, digest[:], r, s) {
			t.Errorf("bad signature of %s", token)
		}
	}
	if len(lines) != 3 || len(seen) != 3 {
		t.Errorf("%d tokens with %d ids, want 3", len(lines), len(seen))
	}
	token, err := p.signedRS256()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&p.rs256.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}
