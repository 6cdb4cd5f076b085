package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// maxKeyFile bounds a file with a signing key, in bytes.
const maxKeyFile = 64 << 10

// KeyFile is a signing key that an operator keeps in a file. Its private half
// never enters the store.
type KeyFile struct {
	path      string
	id        string // RFC 7638 thumbprint
	algorithm string
	public    []byte // PKIX
	private   hidden[crypto.Signer]
}

// LoadKeyFile reads the one private key in a PEM file that its owner alone may
// touch: PKCS #8, SEC 1 (EC) or PKCS #1 (RSA). The type of the key decides the
// algorithm; wanted must be that one, or empty. With an RSA key wanted chooses
// between PS256, which it is if wanted is empty, and RS256. No error tells what
// the file holds.
func LoadKeyFile(path, wanted string) (*KeyFile, error) {
	key, err := loadKeyFile(path, wanted)
	if err != nil {
		return nil, fmt.Errorf("signing key file %s: %w", path, err)
	}
	return key, nil
}

func loadKeyFile(path, wanted string) (*KeyFile, error) {
	content, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	private, err := parseKeyPEM(content)
	if err != nil {
		return nil, err
	}
	algorithm, err := algorithmFor(private, wanted)
	if err != nil {
		return nil, err
	}
	public, err := algorithms[algorithm].public(private.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: the key %w", algorithm, err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &KeyFile{path: path, id: public.thumbprint(), algorithm: algorithm, public: der, private: hide(private)}, nil
}

func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is said already
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(content) > maxKeyFile {
		err = fmt.Errorf("is larger than %d KiB", maxKeyFile>>10)
	}
	return content, err
}

// parseKeyPEM returns the one private key in a PEM file (RFC 7468). The errors
// of the parsers are left out: they might quote what they read.
func parseKeyPEM(content []byte) (crypto.Signer, error) {
	var found *pem.Block
	blocks := 0
	for rest := content; ; blocks++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" { // openssl writes it before the key, which repeats it
			continue
		}
		if err := checkBlock(block); err != nil {
			return nil, err
		}
		if found != nil {
			return nil, errors.New("holds two private keys; expected one")
		}
		found = block
	}
	switch {
	case bytes.Count(content, []byte("-----BEGIN ")) != blocks:
		return nil, errors.New("has a PEM block that is damaged")
	case found == nil:
		return nil, errors.New("holds no private key; expected one in PEM (-----BEGIN PRIVATE KEY-----)")
	}
	return parseKeyBlock(found)
}

func checkBlock(block *pem.Block) error {
	const expected = "; expected a private key alone"
	switch block.Type {
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
		if len(block.Headers) != 0 {
			return errors.New("holds a key that is encrypted, or has headers; decrypt it first: openssl pkey -in FILE -out FILE.new")
		}
		return nil
	case "ENCRYPTED PRIVATE KEY":
		return errors.New("holds a key that is encrypted; decrypt it first: openssl pkey -in FILE -out FILE.new")
	case "CERTIFICATE":
		return errors.New("holds a certificate" + expected)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return errors.New("holds a public key" + expected)
	}
	return errors.New("holds a PEM block of another kind" + expected)
}

func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("what stands in its block %q can't be read as such a key", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("holds a key that can't sign")
	}
	return signer, nil
}

// algorithmFor returns what a key signs with.
func algorithmFor(key crypto.Signer, wanted string) (string, error) {
	var kind string
	var fits []string // the first is taken if nothing else is wanted
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return "", fmt.Errorf("holds an EC key on %s; expected P-256", key.Curve.Params().Name)
		}
		kind, fits = "an EC key on P-256", []string{ES256}
	case ed25519.PrivateKey:
		kind, fits = "an Ed25519 key", []string{EdDSA}
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < rsaLeast {
			return "", fmt.Errorf("holds an RSA key of %d bits; at least %d are needed", bits, rsaLeast)
		}
		kind, fits = "an RSA key", []string{PS256, RS256}
	default:
		return "", errors.New("holds a key of a type that is not supported; expected EC on P-256, Ed25519 or RSA")
	}
	if wanted == "" {
		return fits[0], nil
	}
	for _, algorithm := range fits {
		if algorithm == wanted {
			return algorithm, nil
		}
	}
	return "", fmt.Errorf("holds %s, which is not for signing_algorithm %s; write: signing_algorithm %s", kind, wanted, fits[0])
}

// ID is the kid of the key: its thumbprint (RFC 7638), which it has wherever it
// is used.
func (f *KeyFile) ID() string { return f.id }

// Algorithm is what the key signs with.
func (f *KeyFile) Algorithm() string { return f.algorithm }

// record is what the store is told of the key.
func (f *KeyFile) record(env store.Environment) store.SigningKey {
	return store.SigningKey{Environment: env, ID: f.id, Algorithm: f.algorithm, Public: f.public}
}
