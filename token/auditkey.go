package token

import "crypto/ed25519"

// AuditKey is the key that seals of the audit trail are signed with. It is one
// for all environments, as the trail is.
func (k *RootKey) AuditKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(k.derive("audit seal", ed25519.SeedSize))
}
