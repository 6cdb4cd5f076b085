package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// trading is a shared refresh token of the account 1001, for one year.
func trading(secret string) store.Token {
	return store.Token{
		ID: secret, Hash: hash(secret), Class: store.SharedRefresh, KeyID: "k", Created: now, Expires: now.AddDate(1, 0, 0),
		Creator: "ann", Sealed: []byte("sealed copy of " + secret),
	}
}

func tradingRequest(secret string) store.Issue {
	token := trading(secret)
	return store.Issue{
		Grant: store.Grant{
			Environment: env, ID: "grant of " + secret, Principal: "ann", Client: "app", Accounts: []string{"1001"},
			Created: now, Expires: token.Expires,
		},
		Tokens: []store.Token{token},
	}
}

func issueTrading(s *Store, secret string) error {
	_, err := s.Issue(context.Background(), tradingRequest(secret))
	return err
}

func present(s *Store, secret string) error {
	_, _, err := s.Present(context.Background(), store.Present{Environment: env, Token: hash(secret), Now: now})
	return err
}

func signIn(s *Store, cookie string) error { return signInAt(s, cookie, now) }

func signInAt(s *Store, cookie string, at time.Time) error {
	return s.Update(context.Background(), func(w store.Writer) error {
		p, err := w.Principal(env, "ann")
		return errors.Join(err, w.PutSession(store.Session{
			Environment: env, Hash: hash(cookie), KeyID: "k", ID: cookie, Principal: "ann", Epoch: p.Epoch,
			Created: at, Authenticated: at, Seen: at, Expires: at.Add(12 * time.Hour),
		}))
	})
}

// manyTokens fills the database with n shared refresh tokens of one account, each
// with its grant and sealed copy, and with a fifth as many of others.
func manyTokens(t testing.TB, s *Store, n int) {
	t.Helper()
	err := s.submit(context.Background(), func(tx *tx) error {
		for _, query := range []string{
			`INSERT INTO account (environment, id, kind, name, status, source, created)
				WITH RECURSIVE n(i) AS (SELECT 2000 UNION ALL SELECT i + 1 FROM n WHERE i < 2099)
				SELECT ?1, iif(i < 2099, i, 'none'), 'trading', '', 'active', 'config', 0 FROM n WHERE ?2 > 0`,
			`INSERT INTO grants (environment, id, principal, client, scopes, epoch, created, expires, due)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 * 6 / 5)
				SELECT ?1, 'g' || i, 'ann', 'app', 'trade', 0, i, 2000000000000000, NULL FROM n`,
			`INSERT INTO grant_account (environment, grant_id, account, position)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 * 6 / 5)
				SELECT ?1, 'g' || i, iif(i <= ?2, '1001', 2000 + i % 99), 0 FROM n`,
			`INSERT INTO token (environment, id, hash, class, grant_id, key_id, created, expires, creator, sealed)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 * 6 / 5)
				SELECT ?1, 't' || i, randomblob(32), 'trading', 'g' || i, 'k', i, 2000000000000000, 'ann', randomblob(120) FROM n`,
		} {
			if _, err := tx.exec(query, env, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The list of an account has no pages: all are read in one go, without a look at
// those of other accounts (see TestPeoplesQueriesUseIndexes). How long it takes
// for 10,000 is said by BenchmarkTenThousandTokens.
func TestS2_8_TokensOfAnAccountAreListedInOneGo(t *testing.T) {
	const many = 1000
	s := opened(t, Options{})
	manyTokens(t, s, many)
	err := s.View(t.Context(), func(r store.Reader) error {
		tokens, err := r.AccountTokens(env, "1001", store.SharedRefresh)
		for i := range tokens {
			if i > 0 && !tokens[i].Created.Before(tokens[i-1].Created) {
				t.Fatalf("token %d is not newest first", i)
			}
		}
		if len(tokens) != many {
			t.Errorf("%d tokens", len(tokens))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkTenThousandTokens shows what such an account costs: those who list it,
// and those who wait for the revocation that ends all of it.
func BenchmarkTenThousandTokens(b *testing.B) {
	s := opened(b, Options{})
	manyTokens(b, s, 10_000)
	view := func(read func(store.Reader) error) {
		if err := s.View(b.Context(), read); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			view(func(r store.Reader) error { _, err := r.AccountTokens(env, "1001", store.SharedRefresh); return err })
		}
	})
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			view(func(r store.Reader) error { _, err := r.KnownTokens(env, "ann"); return err })
		}
	})
	kill := func(b *testing.B, kind store.Kind, target string) {
		for b.Loop() {
			rev := store.Revocation{Environment: env, Kind: kind, Target: target, At: now}
			if _, err := s.Revoke(b.Context(), rev, store.Event{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("kill who has none", func(b *testing.B) { kill(b, store.KindAccount, "none") })
	b.Run("kill all", func(b *testing.B) {
		b.ReportMetric(float64(count(b, s, `SELECT count(*) FROM token WHERE sealed IS NOT NULL`)), "copies")
		kill(b, store.KindAccount, "1001") // the first one does it
	})
}

// A revocation keeps all writers waiting: however many grants a party has and
// however many tokens there are, it must find those with sealed copies at once.
func TestDestroyingCopiesLooksAtNothingElse(t *testing.T) {
	s := opened(t, Options{})
	for kind, query := range destroyBelow {
		for _, step := range plan(t, s, strings.NewReplacer("?1", "?", "?2", "?").Replace(query)) {
			if strings.HasPrefix(step, "SCAN") || strings.HasSuffix(step, "(environment=?)") && !strings.Contains(step, "INDEX token_sealed") {
				t.Errorf("%s\nof: %s", step, query)
			}
			if kind == store.KindToken || kind == store.KindGrant {
				if strings.Contains(step, "token_sealed") {
					t.Errorf("%s goes through all copies: %s", kind, step)
				}
			}
		}
	}
}

func TestPeoplesQueriesUseIndexes(t *testing.T) {
	s := opened(t, Options{})
	for _, query := range []string{
		selectAccountTokens, strings.NewReplacer("?1", "?", "?2", "?").Replace(selectKnownTokens),
		selectSession, selectSessions, selectShownTo, selectConnection,
	} {
		for _, step := range plan(t, s, query) {
			if strings.HasPrefix(step, "SCAN") || strings.HasSuffix(step, "(environment=?)") {
				t.Errorf("%s\nof: %s", step, query)
			}
		}
	}
}

// What is destroyed is not in the file either, once the log has been taken into it.
func TestDestroyedCopyIsGoneFromTheFile(t *testing.T) {
	const tokens, kept = 200, 7
	path := inside(t)
	s := opened(t, Options{Path: path})
	secret := func(i int) string { return fmt.Sprintf("%d.", i) }
	inOneGo := func(each func(tx *tx, i int) error) {
		t.Helper()
		err := s.submit(t.Context(), func(tx *tx) error {
			for i := range tokens {
				if err := each(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	inOneGo(func(tx *tx, i int) error {
		req := tradingRequest(secret(i))
		_, err := tx.issue(&req)
		return err
	})
	inOneGo(func(tx *tx, i int) error {
		if i == kept {
			return nil
		}
		_, _, err := tx.revoke(store.Revocation{Environment: env, Kind: store.KindGrant, Target: "grant of " + secret(i), At: now})
		return err
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		if there := bytes.Contains(content, trading(secret(i)).Sealed); there != (i == kept) {
			t.Errorf("copy %d is in the file: %v", i, there)
		}
	}
}
