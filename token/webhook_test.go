package token

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The secret of a webhook follows the root key, and belongs to its user alone.
func TestWebhookSecretFollowsTheRootKey(t *testing.T) {
	n := openNode(t)
	user := store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.User, Status: store.Active, Source: store.FromCommand}
	hook := store.Webhook{Environment: store.Sandbox, Principal: "alice", URL: "https://hooks.example.com"}
	raw := n.Keyring().NewWebhookSecret(&hook)
	before, err := n.Keyring().WebhookSecret(&hook)
	if err != nil || !strings.HasPrefix(raw, "whsec_") || len(before) != 32 {
		t.Fatalf("%d bytes, %v", len(before), err)
	}
	err = n.store.Update(context.Background(), func(tx store.Writer) error {
		return errors.Join(tx.PutPrincipal(user), tx.PutWebhook(hook))
	})
	if err != nil {
		t.Fatal(err)
	}
	old := hook.KeyID
	n.rotateRoot(t, 3)
	err = n.store.View(context.Background(), func(tx store.Reader) (err error) {
		hook, err = tx.Webhook(store.Sandbox, "alice")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := n.Keyring().WebhookSecret(&hook)
	if err != nil || !bytes.Equal(before, after) || hook.KeyID == old {
		t.Errorf("key id %s after %s, %v", hook.KeyID, old, err)
	}
	hook.Principal = "bob"
	if _, err := n.Keyring().WebhookSecret(&hook); err == nil {
		t.Error("it opens in the row of another user")
	}
}
