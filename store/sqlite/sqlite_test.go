package sqlite_test

import (
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite/sqlitetest"
	"github.com/caddy-bearer/caddy-bearer/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, committed func([]store.Revocation)) store.Store {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlitetest.Path(t), Committed: committed})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
