package token

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"testing"
)

func TestAuditKeyIsOneForARootKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	made, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := CreateRootKey(path + ".other")
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("head")
	signature := ed25519.Sign(made.AuditKey(), message)
	if !ed25519.Verify(loaded.AuditKeys()[0], message, signature) {
		t.Error("the same root key gives another audit key after it was loaded")
	}
	if ed25519.Verify(other.AuditKeys()[0], message, signature) {
		t.Error("another root key gives the same audit key")
	}
	if bytes.Equal(made.AuditKey().Seed(), made.derive("root key id", ed25519.SeedSize)) {
		t.Error("the label counts for nothing")
	}
}
