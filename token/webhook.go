package token

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// How such a secret is written, and how many bytes it has (Standard Webhooks 1.0: from
// 24 to 64).
const (
	webhookSecret     = "whsec_"
	webhookSecretSize = 32
)

// NewWebhookSecret makes the secret that a webhook's messages are signed with, puts
// it sealed into the record, and returns it as it is given to the receiver. It is in
// nobody's hands afterwards but the receiver's.
func (k *Keyring) NewWebhookSecret(h *store.Webhook) string {
	var secret [webhookSecretSize]byte
	rand.Read(secret[:])
	set := k.current() // once: id and seal must be of the same subkeys
	h.Sealed, h.KeyID = set.sealed(secret[:], sealedFor(h)), set.keyID
	return webhookSecret + base64.StdEncoding.EncodeToString(secret[:])
}

// WebhookSecret returns the key that a webhook's messages are signed with. The
// errors are those of Unseal.
func (k *Keyring) WebhookSecret(h *store.Webhook) ([]byte, error) {
	return k.Unseal(h.KeyID, h.Sealed, sealedFor(h))
}

// sealedFor ties the secret to its user.
func sealedFor(h *store.Webhook) []byte { return []byte("webhook\x00" + h.Principal) }

// resealWebhooks seals the secrets of webhooks under the current subkeys.
func (k *Keyring) resealWebhooks(tx store.Writer) error {
	hooks, err := tx.Webhooks(k.environment)
	if err != nil {
		return err
	}
	current := k.current()
	for _, h := range hooks {
		if h.KeyID == current.keyID {
			continue
		}
		secret, err := k.WebhookSecret(&h)
		if err != nil {
			return fmt.Errorf("webhook of %q in %s: %w; put the line of the older root key back into the file", h.Principal, k.environment, err)
		}
		h.Sealed, h.KeyID = current.sealed(secret, sealedFor(&h)), current.keyID
		if err := tx.PutWebhook(h); err != nil {
			return err
		}
	}
	return nil
}
