package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, committed func([]store.Revocation)) store.Store {
		s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "bearer.db"), Committed: committed})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
