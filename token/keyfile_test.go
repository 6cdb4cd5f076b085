package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func writeKeyFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signing.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func generated(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	key, err := algorithms[alg].generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFile is a file with a new key, read.
func keyFile(t testing.TB, alg string) *KeyFile {
	t.Helper()
	file, err := LoadKeyFile(writeKeyFile(t, pemBlock("PRIVATE KEY", pkcs8(t, generated(t, alg)))), alg)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestKeyFileOfEachType(t *testing.T) {
	p256, ok := generated(t, ES256).(*ecdsa.PrivateKey)
	rsaKey, okRSA := generated(t, RS256).(*rsa.PrivateKey)
	if !ok || !okRSA {
		t.Fatal("other types of keys")
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	parameters := pemBlock("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	for name, test := range map[string]struct{ content, wanted, algorithm string }{
		"EC in PKCS #8":              {pemBlock("PRIVATE KEY", pkcs8(t, p256)), "", ES256},
		"EC in SEC 1":                {pemBlock("EC PRIVATE KEY", sec1), ES256, ES256},
		"EC as openssl ecparam does": {parameters + pemBlock("EC PRIVATE KEY", sec1), "", ES256},
		"Ed25519":                    {pemBlock("PRIVATE KEY", pkcs8(t, generated(t, EdDSA))), "", EdDSA},
		"RSA in PKCS #8":             {pemBlock("PRIVATE KEY", pkcs8(t, rsaKey)), "", PS256},
		"RSA in PKCS #1, PS256":      {pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), PS256, PS256},
		"RSA in PKCS #1, RS256":      {pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), RS256, RS256},
		"text around the block":      {"made by hand\n" + pemBlock("PRIVATE KEY", pkcs8(t, p256)) + "\n\n", "", ES256},
	} {
		file, err := LoadKeyFile(writeKeyFile(t, test.content), test.wanted)
		if err != nil || file.Algorithm() != test.algorithm {
			t.Errorf("%s: %v, %v", name, file, err)
		}
	}
}

func TestKeyFileRefuses(t *testing.T) {
	p256 := generated(t, ES256)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, p256.Public(), p256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(p256.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := pemBlock("PRIVATE KEY", pkcs8(t, p256))
	encrypted := strings.Replace(pemBlock("RSA PRIVATE KEY", []byte("secret")), "KEY-----\n",
		"KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
	for name, test := range map[string]struct {
		content string
		wanted  string
		mode    os.FileMode
		want    string
	}{
		"readable by others":            {good, "", 0o644, "has mode 0644"},
		"readable by the group":         {good, "", 0o640, "has mode 0640"},
		"empty":                         {"", "", 0o600, "holds no private key"},
		"no PEM":                        {"a secret in plain text", "", 0o600, "holds no private key"},
		"a certificate":                 {pemBlock("CERTIFICATE", certificate), "", 0o600, "holds a certificate"},
		"a certificate beside the key":  {good + pemBlock("CERTIFICATE", certificate), "", 0o600, "holds a certificate"},
		"a public key":                  {pemBlock("PUBLIC KEY", public), "", 0o600, "holds a public key"},
		"two keys":                      {good + pemBlock("PRIVATE KEY", pkcs8(t, generated(t, EdDSA))), "", 0o600, "holds two private keys"},
		"encrypted, PKCS #8":            {pemBlock("ENCRYPTED PRIVATE KEY", []byte("secret")), "", 0o600, "encrypted; decrypt it first"},
		"encrypted, as in OpenSSL":      {encrypted, "", 0o600, "encrypted, or has headers"},
		"another kind of block":         {pemBlock("OPENSSH PRIVATE KEY", []byte("secret")), "", 0o600, "another kind"},
		"cut short":                     {good[:len(good)-20], "", 0o600, "damaged"},
		"a damaged key before a good":   {"-----BEGIN PRIVATE KEY-----\nAAAA\n" + good, "", 0o600, "damaged"},
		"garbage in the block":          {pemBlock("PRIVATE KEY", []byte("a secret in plain text")), "", 0o600, "can't be read"},
		"EC on P-384":                   {pemBlock("PRIVATE KEY", pkcs8(t, p384)), "", 0o600, "on P-384; expected P-256"},
		"RSA of 1024 bits":              {pemBlock("PRIVATE KEY", pkcs8(t, small)), "", 0o600, "RSA key of 1024 bits; at least 2048"},
		"X25519":                        {pemBlock("PRIVATE KEY", pkcs8(t, x25519)), "", 0o600, "can't sign"},
		"EC key for RS256":              {good, RS256, 0o600, "an EC key on P-256, which is not for signing_algorithm RS256; write: signing_algorithm ES256"},
		"Ed25519 key for ES256":         {pemBlock("PRIVATE KEY", pkcs8(t, generated(t, EdDSA))), ES256, 0o600, "an Ed25519 key, which is not for signing_algorithm ES256"},
		"RSA key for ES256":             {pemBlock("PRIVATE KEY", pkcs8(t, generated(t, RS256))), ES256, 0o600, "an RSA key, which is not for signing_algorithm ES256; write: signing_algorithm PS256"},
		"larger than any key":           {strings.Repeat("#\n", maxKeyFile), "", 0o600, "larger than 64 KiB"},
		"a key for another algorithm's": {pemBlock("EC PRIVATE KEY", pkcs8(t, generated(t, EdDSA))), "", 0o600, `"EC PRIVATE KEY" can't be read`},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeKeyFile(t, test.content)
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKeyFile(path, test.wanted)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v, want %q and the file", err, test.want)
			}
			for line := range strings.Lines(test.content) {
				if text := strings.TrimSpace(line); len(text) > 8 && !strings.HasPrefix(text, "-----") && strings.Contains(err.Error(), text[:8]) {
					t.Errorf("%v shows what the file holds", err)
				}
			}
		})
	}
	if _, err := LoadKeyFile("/no/such/file.pem", ""); err == nil || strings.Count(err.Error(), "/no/such/file.pem") != 1 {
		t.Errorf("missing: %v", err)
	}
	if _, err := LoadKeyFile(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// The example of RFC 7638 §3.1 and, for Ed25519, that of RFC 8037 appendix A.3.
func TestRFC7638_Thumbprint(t *testing.T) {
	for want, key := range map[string]jwk{
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": {Type: "RSA", Exponent: "AQAB", Algorithm: "RS256", KeyID: "2011-04-29", Modulus: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": {Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
	} {
		if got := key.thumbprint(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// use has the node sign with the key of a file, or with its own if it is nil.
func (n *node) use(t testing.TB, file *KeyFile) {
	t.Helper()
	n.set(t, func(s *Settings) {
		s.SigningKey, s.Algorithm = file, ES256
		if file != nil {
			s.Algorithm = file.Algorithm()
		}
	})
	n.clock.advance(time.Second)
	if err := n.OpenKeys(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// One file after the other, then none, then the first again: each signs at once,
// and what the others signed stays good, also after restarts.
func TestKeyFileIsReplacedAndRemoved(t *testing.T) {
	n := openNode(t)
	first, second := keyFile(t, EdDSA), keyFile(t, PS256)
	raws := []string{n.access(t).Raw}
	for _, file := range []*KeyFile{first, second, nil, first} {
		n.use(t, file)
		raw := n.access(t).Raw
		if file != nil && kid(t, raw) != file.ID() {
			t.Errorf("%s signs, want the key of the file", kid(t, raw))
		}
		raws = append(raws, raw)
		n = n.reopened(t)
		for i, raw := range raws {
			if got := n.judge(t, raw); got != Live {
				t.Errorf("token %d of %d is %s", i, len(raws), got)
			}
		}
	}
	if kid(t, raws[1]) != kid(t, raws[4]) || kid(t, raws[3]) == kid(t, raws[0]) {
		t.Error("the file's key has not its own id, or a key that was replaced signs again")
	}
	// The others retire as any key does.
	n.clock.advance(n.Settings().AccessLifetime + retentionMargin)
	n.keep(t)
	states := n.states(t)
	if !slices.Equal(states[KeySigning], []string{first.ID()}) || len(states[KeyRetired]) != 3 {
		t.Errorf("%v", states)
	}
	n.use(t, second) // which is retired: it may come back
	if got := kid(t, n.access(t).Raw); got != second.ID() {
		t.Errorf("%s signs", got)
	}
}

func TestPrivateHalfOfAKeyFileStaysThere(t *testing.T) {
	n := openNode(t)
	file := keyFile(t, EdDSA)
	n.use(t, file)
	records, _, err := n.Keys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	private, ok := file.private().(ed25519.PrivateKey)
	if !ok {
		t.Fatal("not an Ed25519 key")
	}
	for _, r := range records {
		if r.ID == file.ID() && (len(r.Sealed) != 0 || !bytes.Contains(r.Public, private.Public().(ed25519.PublicKey)) || bytes.Contains(r.Public, private.Seed())) {
			t.Errorf("the record is %+v", r)
		}
	}
	shown, err := json.Marshal(map[string]any{"settings": n.Settings().SigningKey})
	if err != nil || strings.Contains(string(shown), "rivate") {
		t.Errorf("%s, %v", shown, err)
	}
}

func TestKeyFileIsNotRotatedByUs(t *testing.T) {
	n := openNode(t)
	n.use(t, keyFile(t, ES256))
	n.set(t, func(s *Settings) { s.KeyRotation = 24 * time.Hour })
	n.clock.advance(1000 * 24 * time.Hour)
	n.keep(t)
	if states := n.states(t); len(states[KeyFuture]) != 0 {
		t.Errorf("%v", states)
	}
	if _, err := n.RotateKey(context.Background(), true, ""); err == nil || !strings.Contains(err.Error(), ErrKeyFile.Error()) {
		t.Errorf("rotation: %v", err)
	}
}

// The next key was published before the operator chose a file: it stays behind.
func TestKeyFileWithdrawsTheNextKey(t *testing.T) {
	n := openNode(t)
	n.clock.advance(time.Second)
	n.rotate(t, false)
	file := keyFile(t, ES256)
	n.use(t, file)
	n.clock.advance(time.Hour)
	if got := kid(t, n.access(t).Raw); got != file.ID() {
		t.Errorf("%s signs", got)
	}
}

// A stolen key in a file never signs again, though the file is still there: one of
// our own does, until the operator puts another one there.
func TestRevokedKeyFileSignsNoMore(t *testing.T) {
	n := openNode(t)
	file := keyFile(t, EdDSA)
	n.use(t, file)
	stolen := n.access(t).Raw
	n.clock.advance(time.Second)
	n.killKey(t, file.ID())
	for range 2 {
		raw := n.access(t).Raw
		if kid(t, raw) == file.ID() || n.judge(t, raw) != Live || !n.FileKeyRevoked() || n.published(file.ID()) {
			t.Errorf("signed by %s, published %s", kid(t, raw), n.JWKS())
		}
		n = n.reopened(t)
	}
	refusedAs(t, n, stolen, ReasonUnknownKey)
	next := keyFile(t, EdDSA)
	n.use(t, next)
	if got := kid(t, n.access(t).Raw); got != next.ID() || n.FileKeyRevoked() {
		t.Errorf("%s signs", got)
	}
}

// Each key is for one algorithm (RFC 8725 §3.1), also when its file stays.
func TestKeyFileKeepsItsAlgorithm(t *testing.T) {
	n := openNode(t)
	path := writeKeyFile(t, pemBlock("PRIVATE KEY", pkcs8(t, generated(t, PS256))))
	first, err := LoadKeyFile(path, PS256)
	if err != nil {
		t.Fatal(err)
	}
	n.use(t, first)
	second, err := LoadKeyFile(path, RS256)
	if err != nil {
		t.Fatal(err)
	}
	n.set(t, func(s *Settings) { s.SigningKey, s.Algorithm = second, RS256 })
	err = n.OpenKeys(context.Background())
	if err == nil || !strings.Contains(err.Error(), "was used with PS256 before and can't be used with RS256") {
		t.Error(err)
	}
}

// Somebody who knows the public key of a file (everybody does) makes tokens with
// it: as an HMAC secret, under another algorithm, under the kid of another key.
func TestAlgorithmConfusionWithAKeyFile(t *testing.T) {
	n := openNode(t)
	own := kid(t, n.access(t).Raw) // ES256
	file := keyFile(t, RS256)
	n.use(t, file)
	good := n.access(t).Raw
	parts := strings.Split(good, ".")
	sign := func(header string, key crypto.Signer, alg string) string {
		input := b64(header) + "." + parts[1]
		signature, err := algorithms[alg].method.Sign(input, key)
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64(string(signature))
	}
	mine := generated(t, RS256)
	for name, test := range map[string]struct {
		raw  string
		want Reason
	}{
		"RS256 under the kid of an ES256 key":    {sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+own+`"}`, file.private(), RS256), ReasonAlgorithm},
		"RS256 as ES256 under that kid":          {sign(`{"alg":"ES256","typ":"at+jwt","kid":"`+own+`"}`, file.private(), RS256), ReasonSignature},
		"PS256 by the key for RS256":             {sign(`{"alg":"PS256","typ":"at+jwt","kid":"`+file.ID()+`"}`, file.private(), PS256), ReasonAlgorithm},
		"PS256 said to be RS256":                 {sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+file.ID()+`"}`, file.private(), PS256), ReasonSignature},
		"another key under the file's kid":       {sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+file.ID()+`"}`, mine, RS256), ReasonSignature},
		"alg none":                               {b64(`{"alg":"none","typ":"at+jwt","kid":"`+file.ID()+`"}`) + "." + parts[1] + ".AA", ReasonAlgorithm},
		"HS256 with the public key as secret":    {b64(`{"alg":"HS256","typ":"at+jwt","kid":"`+file.ID()+`"}`) + "." + parts[1] + "." + parts[2], ReasonAlgorithm},
		"the public key itself in the header":    {sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+file.ID()+`","jwk":{"kty":"RSA"}}`, mine, RS256), ReasonHeader},
		"the thumbprint of the attacker's key":   {sign(`{"alg":"RS256","typ":"at+jwt","kid":"`+thumbprintOf(t, mine)+`"}`, mine, RS256), ReasonUnknownKey},
		"a key that was published by nobody yet": {sign(`{"alg":"RS256","typ":"at+jwt","kid":"x"}`, mine, RS256), ReasonUnknownKey},
	} {
		t.Run(name, func(t *testing.T) { refusedAs(t, n, test.raw, test.want) })
	}
	if got := n.judge(t, good); got != Live {
		t.Errorf("the good one is %s", got)
	}
}

func thumbprintOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	public, err := publicRSA(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return public.thumbprint()
}
