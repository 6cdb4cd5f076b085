package caddymodule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// oldSecret is what is kept of a client's secret before.
func (w *adminWorld) oldSecret(id string) (hash string, until time.Time) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		c, err := tx.Client(store.Sandbox, id)
		hash, until = c.OldSecretHash, c.OldSecretUntil
		return err
	}))
	return hash, until
}

func TestRotateSecretWithAnOverlap(t *testing.T) {
	w := newAdminWorld(t)
	secrets := w.app.runtime.worlds[store.Sandbox].secrets
	w.ok("POST", "/apps", `{"id":"budget","redirect_uris":["https://app.test/cb"]}`)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	for _, path := range []string{"/clients/bot", "/apps/budget"} {
		id := path[strings.LastIndex(path, "/")+1:]
		first := w.ok("POST", path+"/secret", "").record(t)
		if !first.OldSecretUntil.IsZero() {
			t.Errorf("%s: without an overlap the old secret is good until %s", id, first.OldSecretUntil)
		}
		before := time.Now()
		second := w.ok("POST", path+"/secret", `{"overlap":"24h"}`).record(t)
		if left := second.OldSecretUntil.Sub(before); left < 24*time.Hour-time.Minute || left > 24*time.Hour+time.Minute {
			t.Errorf("%s: the old secret is good for %s", id, left)
		}
		hash, until := w.oldSecret(id)
		fits, err := secrets.Verify(t.Context(), hash, first.Secret)
		if !fits || err != nil || !until.Equal(second.OldSecretUntil.Truncate(time.Microsecond)) {
			t.Errorf("%s: kept is another secret, until %s, %v", id, until, err)
		}
		if shown := w.ok("GET", path, "").record(t); !shown.OldSecretUntil.Equal(until) || shown.Secret != "" {
			t.Errorf("%s: shown is %+v", id, shown)
		}
		third := w.ok("POST", path+"/secret", `{"overlap":"1h"}`).record(t)
		hash, _ = w.oldSecret(id)
		if fits, err := secrets.Verify(t.Context(), hash, first.Secret); fits || err != nil || third.OldSecretUntil.After(second.OldSecretUntil) {
			t.Errorf("%s: the oldest secret is still there, %v", id, err)
		}
		if event := w.audited("client.rotate_secret"); id == "bot" && event.Reason != "the secret before stays good for 1h0m0s" {
			t.Errorf("the audit trail has %+v", event)
		}
		w.ok("POST", path+"/disable", "")
		w.ok("POST", path+"/enable", "")
		if hash, until := w.oldSecret(id); hash != "" || !until.IsZero() {
			t.Errorf("%s: being disabled leaves the old secret good until %s", id, until)
		}
		if again := w.ok("POST", path+"/secret", `{"overlap":"0"}`).record(t); !again.OldSecretUntil.IsZero() {
			t.Errorf("%s: %+v", id, again)
		}
	}
}

func TestRotateSecretRefusesOverlaps(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	for _, bad := range []string{"-1h", "169h", "a day", "24", "9999999h"} {
		status, body := w.call("POST", "/environments/sandbox/clients/bot/secret", fmt.Sprintf(`{"overlap":%q}`, bad))
		if status != 400 || !strings.Contains(body, "expected a duration from 0 to 168h") {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, body := w.call("POST", "/environments/sandbox/clients/bot/secret", `{"overlaps":"1h"}`); status != 400 {
		t.Errorf("a misspelt member: %d %s", status, body)
	}
	if hash, _ := w.oldSecret("bot"); hash != "" {
		t.Error("a refused call left an old secret")
	}
}
