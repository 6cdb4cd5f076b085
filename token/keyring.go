package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// keyIDLen is the length of a key id in characters.
const keyIDLen = 4

// Keyring holds the subkeys of one environment, one for each use, so that what
// was made for one use or environment means nothing in another. It is safe for
// concurrent use. However it is printed, only environment and key id are shown.
type Keyring struct {
	environment store.Environment
	keyID       string
	mark        string // what every opaque token of the environment begins with

	check     *macKey // the check characters of opaque tokens
	hash      *macKey // what the store keeps of an opaque token
	successor *macKey // the token that follows a refresh token
	secret    *macKey // what is kept of a secret that we generated
	seal      hidden[cipher.AEAD]
}

// NewKeyring derives the subkeys of an environment. It panics if there is no
// such environment: configuration is checked long before.
func NewKeyring(root *RootKey, env store.Environment) *Keyring {
	marks := map[store.Environment]string{
		store.Production: opaquePrefix + "live_",
		store.Sandbox:    opaquePrefix + "test_",
	}
	if marks[env] == "" {
		panic(fmt.Sprintf("token: no environment %q", string(env)))
	}
	subkey := func(use string) []byte { return root.derive(string(env)+"\x00"+use, sha256.Size) }
	id := appendBase62(nil, subkey("key id")[:8], base62Width64)
	return &Keyring{
		environment: env,
		keyID:       string(id[len(id)-keyIDLen:]), // the low digits, which are spread evenly
		mark:        marks[env],
		check:       newMACKey(subkey("token check")),
		hash:        newMACKey(subkey("token hash")),
		successor:   newMACKey(subkey("token successor")),
		secret:      newMACKey(subkey("secret hash")),
		seal:        hide(newAEAD(subkey("seal"))),
	}
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("token: " + err.Error()) // only for a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("token: " + err.Error()) // only for a cipher that is not AES
	}
	return aead
}

// Environment returns the environment whose subkeys these are.
func (k *Keyring) Environment() store.Environment { return k.environment }

// KeyID names the subkeys in four base62 characters. It is kept beside whatever
// was made with them.
func (k *Keyring) KeyID() string { return k.keyID }

// knows fails if what is to be read was made with other subkeys.
func (k *Keyring) knows(keyID string) error {
	if keyID != k.keyID {
		return fmt.Errorf("made with key %q, but the root key in use gives %q for %s", keyID, k.keyID, k.environment)
	}
	return nil
}

// String shows environment and key id alone.
func (k *Keyring) String() string { return "Keyring(" + string(k.environment) + " " + k.keyID + ")" }

// GoString shows environment and key id alone.
func (k *Keyring) GoString() string { return k.String() }

// Format shows environment and key id alone, whatever the verb.
func (k *Keyring) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalText gives environment and key id alone.
func (k *Keyring) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// macKey is a subkey for HMAC-SHA-256. The keyed state is made once and used
// again, which saves half of the work and all of the garbage.
type macKey struct {
	pool sync.Pool
}

type macState struct {
	mac hash.Hash
	in  []byte // message: a string cannot be hashed without a copy
	out [sha256.Size]byte
}

func newMACKey(key []byte) *macKey {
	return &macKey{pool: sync.Pool{New: func() any { return &macState{mac: hmac.New(sha256.New, key)} }}}
}

// sum authenticates the parts as one message. Where one part could be taken for
// the end of another, the caller keeps them apart.
func (k *macKey) sum(parts ...string) [sha256.Size]byte {
	s := k.pool.Get().(*macState) //nolint:errcheck // the pool holds nothing else
	s.in = s.in[:0]
	for _, part := range parts {
		s.in = append(s.in, part...)
	}
	s.mac.Reset()
	s.mac.Write(s.in)
	s.mac.Sum(s.out[:0])
	sum := s.out
	clear(s.in) // it may have been a secret
	k.pool.Put(s)
	return sum
}
