package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const env = store.Production

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func hash(secret string) store.Hash { return sha256.Sum256([]byte(secret)) }

func inside(t testing.TB) string { return filepath.Join(t.TempDir(), "bearer.db") }

// opened is a store with one principal, client and account in it.
func opened(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Path == "" {
		o.Path = inside(t)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := populate(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func populate(s *Store) error {
	return s.Update(context.Background(), func(w store.Writer) error {
		return errors.Join(
			w.PutPrincipal(store.Principal{Environment: env, ID: "ann", Kind: store.User, Status: store.Active, Source: store.FromConfig}),
			w.PutClient(store.Client{Environment: env, ID: "app", Status: store.Active, Source: store.FromConfig}),
			w.PutAccount(store.Account{Environment: env, ID: "1001", Kind: store.Trading, Status: store.Active, Source: store.FromConfig}),
			w.PutBinding(store.Binding{Environment: env, Principal: "ann", Account: "1001", Access: store.Full, Source: store.FromConfig}))
	})
}

// The records of a grant are named after it: its code is the hash of "code ID",
// its tokens are what refresh makes.
func issue(s *Store, id string) error {
	_, err := s.Issue(context.Background(), store.Issue{
		Grant: store.Grant{
			Environment: env, ID: id, Principal: "ann", Client: "app", Scopes: []string{"read"},
			Accounts: []string{"1001"}, Created: now,
		},
		Code: &store.Code{Hash: hash("code " + id), KeyID: "k", Expires: now.Add(time.Hour)},
	})
	return err
}

func refresh(secret string) store.Token {
	return store.Token{
		ID: secret, Hash: hash(secret), Class: store.Refresh, KeyID: "k",
		Nonce: []byte("nonce"), Created: now, Expires: now.Add(time.Hour),
	}
}

func redeem(s *Store, id, token string) error {
	_, err := s.RedeemCode(context.Background(), store.Redeem{
		Environment: env, Code: hash("code " + id), Client: "app", Now: now, Token: refresh(token),
	})
	return err
}

func renew(s *Store, token, successor string) error {
	_, err := s.Renew(context.Background(), store.Renew{
		Environment: env, Token: hash(token), Client: "app", Successor: refresh(successor), Now: now,
	})
	return err
}

func revokeGrant(s *Store, id string) error {
	rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: id, At: now}
	_, err := s.Revoke(context.Background(), rev, store.Event{Actor: "operator:admin"})
	return err
}

// count runs a query that returns one number.
func count(t testing.TB, s *Store, query string, args ...any) (n int64) {
	t.Helper()
	err := s.snapshot(context.Background(), func(r *session) error { return r.get([]any{&n}, query, args...) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
