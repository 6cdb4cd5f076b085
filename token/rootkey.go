package token

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// ErrNoRootKey is for a file of a root key that does not exist.
var ErrNoRootKey = errors.New("no root key")

const (
	rootKeySize = 32                                        // bytes
	rootKeyText = (rootKeySize + 2) / 3 * 4                 // characters of base64
	rootKeyLine = rootKeyText + len("\r\n")                 // the longest line that is accepted
	maxRootKeys = 16                                        // in one file
	rootIDSize  = 8                                         // bytes that the fingerprint shows
	hkdfContext = "github.com/caddy-bearer/caddy-bearer v1" // keeps our subkeys apart from anybody else's
)

// RootKey is the 256-bit secret that all other keys are derived from or sealed
// under. It lives in a file of its own and never in the database, so that the
// database alone opens nothing. However it is printed, only ID is shown.
//
// The file may hold older keys below it. New things are made with the first
// alone; the older ones go on opening what was made with them.
type RootKey struct {
	secret hidden[[rootKeySize]byte]
	older  []*RootKey // which have none themselves
}

// hidden keeps a value from everything that prints. Package fmt and its like
// read unexported fields without asking their methods, and sometimes follow
// pointers; of a function they see the address.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

// LoadRootKey reads the root key, and the older ones below it, from a file that
// its owner alone may touch. ErrNoRootKey: there is no such file. No error tells
// what the file holds.
func LoadRootKey(path string) (*RootKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoRootKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(maxRootKeys*rootKeyLine)+1))
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	key, err := parseRootKeys(string(content))
	if err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	return key, nil
}

// checkPrivate refuses a file that others than its owner may touch. It asks the
// open file and not the path, which could be exchanged in between. Windows has
// no such bits.
func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("has mode %04o, so that others than its owner may use it: want 0600", mode)
	}
	return nil
}

// parseRootKeys reads one key per line, the current one first.
func parseRootKeys(content string) (*RootKey, error) {
	lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	if len(lines) > maxRootKeys {
		return nil, fmt.Errorf("has more than %d lines", maxRootKeys)
	}
	var keys []*RootKey
	for i, line := range lines {
		key, err := parseRootKey(strings.TrimSuffix(line, "\r"))
		if err != nil {
			return nil, fmt.Errorf("line %d %w", i+1, err)
		}
		for _, other := range keys {
			if key.rivals(other) {
				return nil, fmt.Errorf("line %d holds key %s again, or one that tokens could not tell from it", i+1, other.ID())
			}
		}
		keys = append(keys, key)
	}
	keys[0].older = keys[1:]
	return keys[0], nil
}

func parseRootKey(text string) (*RootKey, error) {
	if len(text) != rootKeyText {
		return nil, fmt.Errorf("has not the length of a root key, %d characters", rootKeyText)
	}
	// The decoder's own errors quote a position and are left out.
	secret, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != rootKeySize {
		return nil, fmt.Errorf("is not base64 of %d bytes", rootKeySize)
	}
	return &RootKey{secret: hide([rootKeySize]byte(secret))}, nil
}

// text is how the key stands in its file.
func (k *RootKey) text() string {
	secret := k.secret()
	return base64.StdEncoding.EncodeToString(secret[:]) + "\n"
}

// generateRootKey makes a key that no part of a token confuses with others.
func generateRootKey(others ...*RootKey) *RootKey {
	for {
		var secret [rootKeySize]byte
		rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
		key := &RootKey{secret: hide(secret)}
		if !slices.ContainsFunc(others, key.rivals) {
			return key
		}
	}
}

// rivals reports whether what one of the keys made could be taken for the
// other's: their subkeys have the same short id in some environment.
func (k *RootKey) rivals(other *RootKey) bool {
	return slices.ContainsFunc(environments[:], func(env store.Environment) bool {
		return subkeyID(k, env) == subkeyID(other, env)
	})
}

// All returns the key and, behind it, the older ones of its file.
func (k *RootKey) All() []*RootKey { return append([]*RootKey{k}, k.older...) }

// CreateRootKey makes a root key and writes it to a new file of mode 0600, in a
// folder that is made (0700) if need be. When it returns without error the file
// is on the disk. It fails with an error that is os.ErrExist if the file
// exists, and never touches that.
func CreateRootKey(path string) (*RootKey, error) {
	key := generateRootKey()
	err := durable.MakeFolder(filepath.Dir(path))
	if err == nil {
		err = durable.Create(path, key.text())
	}
	if err != nil {
		return nil, fmt.Errorf("create root key: %w", err)
	}
	return key, nil
}

// ID is a fingerprint by which the key can be told from others. It is safe to
// store and to show.
func (k *RootKey) ID() string {
	return string(appendBase62(nil, k.derive("root key id", rootIDSize), base62Width64))
}

// derive returns size bytes for one use (HKDF-SHA-256, RFC 5869). Labels are
// constants: two uses never share one.
func (k *RootKey) derive(label string, size int) []byte {
	secret := k.secret()
	key, err := hkdf.Key(sha256.New, secret[:], nil, hkdfContext+"\x00"+label, size)
	if err != nil {
		panic("token: subkey " + label + ": " + err.Error()) // only for a size beyond 255 hashes
	}
	return key
}

// String shows the fingerprint alone.
func (k *RootKey) String() string { return "RootKey(" + k.ID() + ")" }

// GoString shows the fingerprint alone.
func (k *RootKey) GoString() string { return k.String() }

// Format shows the fingerprint alone, whatever the verb.
func (k *RootKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalText gives the fingerprint alone.
func (k *RootKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
