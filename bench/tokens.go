//go:build linux

package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// press makes tokens that differ from one of the issuer's in their id alone. It
// holds the key that the issuer signs with, and an RSA key for those who want
// RS256.
type press struct {
	es256  *ecdsa.PrivateKey
	rs256  *rsa.PrivateKey
	header string // of the issuer's tokens, encoded
	claims map[string]any
}

// newPress makes the keys, and in dir the files that servers read them from:
// es256.key, es256.pub and rs256.pub.
func newPress(dir string) (*press, error) {
	var p press
	var err error
	if p.es256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if p.rs256, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(p.es256)
	if err != nil {
		return nil, err
	}
	files := map[string]*pem.Block{"es256.key": {Type: "PRIVATE KEY", Bytes: private}}
	for name, key := range map[string]crypto.PublicKey{"es256.pub": p.es256.Public(), "rs256.pub": p.rs256.Public()} {
		public, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, err
		}
		files[name] = &pem.Block{Type: "PUBLIC KEY", Bytes: public}
	}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// learn takes a token of the issuer as the pattern of all.
func (p *press) learn(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("the issuer's token has %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	p.header = parts[0]
	return json.Unmarshal(payload, &p.claims)
}

// signed returns the n-th token, signed by ES256.
func (p *press) signed(n int) (string, error) {
	input, err := p.input(p.header, n)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.es256, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte // RFC 7518 §3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// signedRS256 returns a token of the same claims, for who wants that.
func (p *press) signedRS256() (string, error) {
	input, err := p.input(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"bench"}`)), 0)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, p.rs256, crypto.SHA256, digest[:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// input is header and payload, as they are signed.
func (p *press) input(header string, n int) (string, error) {
	if p.claims == nil {
		return "", errors.New("no token of the issuer to go by")
	}
	claims := make(map[string]any, len(p.claims))
	for name, value := range p.claims {
		claims[name] = value
	}
	claims["jti"] = fmt.Sprintf("%026d", n)
	for _, name := range []string{"iat", "exp", "nbf", "epoch", "rights"} {
		if number, ok := claims[name].(float64); ok {
			claims[name] = int64(number)
		}
	}
	payload, err := json.Marshal(claims)
	return header + "." + base64.RawURLEncoding.EncodeToString(payload), err
}

// write fills a file with n tokens, one on each line.
func (p *press) write(file string, n int) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriter(f)
	for i := range n {
		token, err := p.signed(i)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, token)
	}
	return out.Flush()
}
