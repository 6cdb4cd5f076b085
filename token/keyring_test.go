package token

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// instant is the present of most tests.
var instant = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fixedKeyring() *Keyring { return NewKeyring(fixedRoot(), store.Production) }

// What was derived years ago must come out the same today: another value here
// means that every token and secret in every database is lost.
func TestDerivationNeverChanges(t *testing.T) {
	production, sandbox := fixedKeyring(), NewKeyring(fixedRoot(), store.Sandbox)
	successor, _, err := production.Successor("cb_live_refresh_predecessor", production.KeyID(), []byte("0123456789abcdef"), store.Refresh, production.KeyID())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ got, want string }{
		"root key id":       {fixedRoot().ID(), "7uitVE6JTCX"},
		"production key id": {production.KeyID(), "kUVH"},
		"sandbox key id":    {sandbox.KeyID(), "wBCQ"},
		"secret":            {production.HashSecret("secret"), "$hmac-sha256$kUVH$M8wkKcVBjpGW3vIO6r_1op6r9Z0eojvBzvyhnCbUjYc"},
		"sandbox secret":    {sandbox.HashSecret("secret"), "$hmac-sha256$wBCQ$CesRDKlP251z7DMumEDbJ5NU_wUxyRqXKLdkj7FJEeQ"},
		"successor":         {successor, "cb_live_refresh_kUVH8Xv2uC84I5FXOpy62v8SVW2PSQ30rGxC5Vxj"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %s, want %s", name, tc.got, tc.want)
		}
	}
}

func TestSubkeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, env := range []store.Environment{store.Production, store.Sandbox} {
		k := NewKeyring(fixedRoot(), env)
		for use, key := range map[string]*macKey{"check": k.current().check, "hash": k.current().hash, "successor": k.current().successor, "secret": k.current().secret} {
			sum := key.sum("message")
			name := string(env) + " " + use
			if other, ok := seen[string(sum[:])]; ok {
				t.Errorf("%s and %s are the same key", name, other)
			}
			seen[string(sum[:])] = name
		}
	}
}

func TestKeyringOfNoEnvironment(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made")
		}
	}()
	NewKeyring(fixedRoot(), "staging")
}

func TestKeyIDIsPartOfTokens(t *testing.T) {
	k := fixedKeyring()
	if len(k.KeyID()) != keyIDLen || !isBase62(k.KeyID()) {
		t.Errorf("key id %q", k.KeyID())
	}
	if raw, _ := k.NewOpaque(store.Refresh); !strings.HasPrefix(raw, "cb_live_refresh_"+k.KeyID()) {
		t.Errorf("%q", raw)
	}
}
