package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// keyIDLen is the length of a key id in characters.
const keyIDLen = 4

// environments are all that a root key has subkeys for, configured or not.
var environments = [...]store.Environment{store.Production, store.Sandbox}

// Keyring holds the subkeys of one environment, one for each use, so that what
// was made for one use or environment means nothing in another. It is safe for
// concurrent use. However it is printed, only environment and key id are shown.
//
// It has a set of subkeys for each root key of the file. All that is made is
// made with the first; what is presented names the set that it was made with.
type Keyring struct {
	environment store.Environment
	mark        string // what every opaque token of the environment begins with
	sets        atomic.Pointer[[]*subkeys]
}

// subkeys are the keys that one root key gives an environment.
type subkeys struct {
	keyID     string
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
	k := &Keyring{environment: env, mark: marks[env]}
	k.Adopt(root)
	return k
}

// Adopt puts the subkeys of other root keys in the place of the present ones.
// From then on everything is made with those of root, and what none of its keys
// made is unknown.
func (k *Keyring) Adopt(root *RootKey) {
	var sets []*subkeys
	for _, key := range root.All() {
		sets = append(sets, deriveSubkeys(key, k.environment))
	}
	k.sets.Store(&sets)
}

func deriveSubkeys(root *RootKey, env store.Environment) *subkeys {
	subkey := func(use string) []byte { return root.derive(string(env)+"\x00"+use, sha256.Size) }
	return &subkeys{
		keyID:     subkeyID(root, env),
		check:     newMACKey(subkey("token check")),
		hash:      newMACKey(subkey("token hash")),
		successor: newMACKey(subkey("token successor")),
		secret:    newMACKey(subkey("secret hash")),
		seal:      hide(newAEAD(subkey("seal"))),
	}
}

// subkeyID names the subkeys of one root key in one environment.
func subkeyID(root *RootKey, env store.Environment) string {
	id := appendBase62(nil, root.derive(string(env)+"\x00key id", sha256.Size)[:8], base62Width64)
	return string(id[len(id)-keyIDLen:]) // the low digits, which are spread evenly
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

// KeyID names the subkeys with which things are made now, in four base62
// characters. It is kept beside whatever was made with them.
func (k *Keyring) KeyID() string { return k.current().keyID }

func (k *Keyring) current() *subkeys { return (*k.sets.Load())[0] }

// find returns the subkeys of an id, nil if no root key of the file gives them.
func (k *Keyring) find(keyID string) *subkeys {
	for _, set := range *k.sets.Load() {
		if set.keyID == keyID {
			return set
		}
	}
	return nil
}

// madeWith is find for what we made ourselves: it fails if the root key is gone.
func (k *Keyring) madeWith(keyID string) (*subkeys, error) {
	if set := k.find(keyID); set != nil {
		return set, nil
	}
	return nil, fmt.Errorf("made with key %q, which no root key in use gives for %s (they give %s)",
		keyID, k.environment, strings.Join(k.keyIDs(), ", "))
}

func (k *Keyring) keyIDs() (ids []string) {
	for _, set := range *k.sets.Load() {
		ids = append(ids, set.keyID)
	}
	return ids
}

// String shows environment and key id alone.
func (k *Keyring) String() string { return "Keyring(" + string(k.environment) + " " + k.KeyID() + ")" }

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
