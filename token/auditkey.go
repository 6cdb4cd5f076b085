package token

import "crypto/ed25519"

// AuditKey is the key that seals of the audit trail are signed with. It is one
// for all environments, as the trail is.
func (k *RootKey) AuditKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(k.derive("audit seal", ed25519.SeedSize))
}

// AuditKeys are the public halves of all keys that seals may be signed with, that
// of the current root key first.
func (k *RootKey) AuditKeys() (keys []ed25519.PublicKey) {
	for _, one := range k.All() {
		keys = append(keys, one.AuditKey().Public().(ed25519.PublicKey)) //nolint:errcheck // of what type else
	}
	return keys
}
