package sqlite

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Somebody tidies up, or copies a backup over the database. What would be written
// now is lost with the process, so nothing is acknowledged any more.
func TestFileRemovedOrReplacedWhileInUse(t *testing.T) {
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		t.Run("bearer.db"+suffix, func(t *testing.T) {
			path := inside(t)
			s := opened(t, Options{Path: path})
			if err := errors.Join(issue(s, "before"), redeem(s, "before", "token")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+suffix, path+".away"); err != nil {
				t.Fatal(err)
			}
			refused := func(what string) {
				t.Helper()
				for _, err := range []error{issue(s, "lost"), revokeGrant(s, "before"), renew(s, "token", "next")} {
					if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), path+suffix) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if _, st, err := s.TokenByHash(t.Context(), env, hash("token")); err != nil || st.Dead() {
					t.Errorf("%s: reading: dead %v, %v", what, st.Dead(), err)
				}
			}
			refused("removed")
			if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			refused("replaced")
			if err := os.Rename(path+".away", path+suffix); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(issue(s, "after"), renew(s, "token", "next"), revokeGrant(s, "before")); err != nil {
				t.Errorf("put back: %v", err)
			}
		})
	}
}
