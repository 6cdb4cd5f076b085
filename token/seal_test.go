package token

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestSealOpensAgain(t *testing.T) {
	k := fixedKeyring()
	plaintext, row := []byte("private"), []byte("row 1")
	sealed := k.Seal(plaintext, row)
	if bytes.Contains(sealed, plaintext) {
		t.Error("the plaintext is in there")
	}
	if got, err := k.Unseal(k.KeyID(), sealed, row); err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("%q, %v", got, err)
	}
	if bytes.Equal(sealed, k.Seal(plaintext, row)) {
		t.Error("sealing twice gives the same: the nonce is not random")
	}
}

func TestUnsealRefuses(t *testing.T) {
	k := fixedKeyring()
	row := []byte("row 1")
	sealed := k.Seal([]byte("private"), row)
	sandbox := NewKeyring(fixedRoot(), store.Sandbox)
	for name, try := range map[string]func() ([]byte, error){
		"another row":         func() ([]byte, error) { return k.Unseal(k.KeyID(), sealed, []byte("row 2")) },
		"no row":              func() ([]byte, error) { return k.Unseal(k.KeyID(), sealed, nil) },
		"another key id":      func() ([]byte, error) { return k.Unseal("0000", sealed, row) },
		"no key id":           func() ([]byte, error) { return k.Unseal("", sealed, row) },
		"another environment": func() ([]byte, error) { return sandbox.Unseal(sandbox.KeyID(), sealed, row) },
		"empty":               func() ([]byte, error) { return k.Unseal(k.KeyID(), nil, row) },
		"too short":           func() ([]byte, error) { return k.Unseal(k.KeyID(), sealed[:27], row) },
		"truncated":           func() ([]byte, error) { return k.Unseal(k.KeyID(), sealed[:len(sealed)-1], row) },
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s: opened to %q", name, got)
		} else if strings.Contains(err.Error(), "private") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Unseal(k.KeyID(), changed, row); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
}
