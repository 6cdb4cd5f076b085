package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// lostPeople is a database of people that was backed up. What happens between
// the backup and the loss is the caller's; it returns what was revoked meanwhile.
func lostPeople(t *testing.T, since func(s *Store) error) (path, backup string, revoked []store.Revocation) {
	t.Helper()
	path = inside(t)
	s := opened(t, Options{Path: path})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Update(t.Context(), func(w store.Writer) error {
		var errs []error
		for _, id := range []string{"2002", "3003"} {
			errs = append(errs, w.PutAccount(store.Account{Environment: env, ID: id, Kind: store.Trading, Status: store.Active, Source: store.FromCommand}))
		}
		for _, id := range []string{"bob", "carol"} {
			errs = append(errs, w.PutPrincipal(store.Principal{Environment: env, ID: id, Kind: store.User, Status: store.Active, Source: store.FromCommand}))
		}
		errs = append(errs,
			w.PutPrincipal(store.Principal{Environment: env, ID: "robot", Kind: store.Service, Status: store.Active, Source: store.FromCommand}),
			w.PutBinding(store.Binding{Environment: env, Principal: "bob", Account: "1001", Access: store.Full, Source: store.FromCommand}),
			w.PutBinding(store.Binding{Environment: env, Principal: "robot", Account: "1001", Access: store.Full, Source: store.FromCommand}))
		return errors.Join(errs...)
	}))
	// A kill from before is in the journal too: what was made after it lives.
	must(revokeOf(s, store.KindAccount, "3003"))
	for _, secret := range []string{"lives", "by grant", "by token"} {
		must(issueTrading(s, secret))
	}
	must(tradeOn(s, "2002", "by account"))
	must(tradeOn(s, "3003", "made after a kill"))
	must(linkApp(s, "connection"))
	must(errors.Join(signIn(s, "stays"), signIn(s, "signs out")))
	copied, err := s.Backup(t.Context(), now)
	must(err)
	must(since(s))
	revoked, _, err = s.Snapshot(t.Context())
	must(err)
	must(s.Close())
	return path, copied, revoked
}

func tradeOn(s *Store, account, secret string) error {
	req := tradingRequest(secret)
	req.Grant.Accounts = []string{account}
	_, err := s.Issue(context.Background(), req)
	return err
}

// linkApp makes a connection that was completed.
func linkApp(s *Store, id string) error {
	access := store.Token{ID: "access of " + id, Hash: hash("access of " + id), Class: store.ExchangeAccess, KeyID: "k", Created: now}
	_, err := s.Issue(context.Background(), store.Issue{
		Grant:      store.Grant{Environment: env, ID: id, Principal: "ann", Client: "app", Accounts: []string{"1001"}, Created: now},
		Tokens:     []store.Token{access},
		Connection: &store.Connection{Token: access.ID, UserSecret: "hash"},
	})
	return err
}

func revokeOf(s *Store, kind store.Kind, target string) error {
	_, err := s.Revoke(context.Background(), store.Revocation{Environment: env, Kind: kind, Target: target, At: now, Reason: "since"}, store.Event{})
	return err
}

// texts are the values of a query's only column.
func texts(t *testing.T, s *Store, query string) (all []string) {
	t.Helper()
	err := s.snapshot(t.Context(), func(r *session) (err error) {
		all, err = list(r, func(text *string) []any { return []any{text} }, query)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const sealedTokens = `SELECT id FROM token WHERE sealed IS NOT NULL ORDER BY id`

func TestReplayDestroysTheCopiesOfWhatItKills(t *testing.T) {
	path, backup, since := lostPeople(t, func(s *Store) error {
		return errors.Join(revokeOf(s, store.KindGrant, "grant of by grant"), revokeOf(s, store.KindToken, "by token"),
			revokeOf(s, store.KindAccount, "2002"))
	})
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since})
	if done.Replayed != 3 || done.Shared != 0 {
		t.Errorf("%+v", done)
	}
	if left := fmt.Sprintf("%q", texts(t, s, sealedTokens)); left != `["lives" "made after a kill"]` {
		t.Errorf("copies are left of %s", left)
	}
	for secret, want := range map[string]error{
		"lives": nil, "made after a kill": nil,
		"by grant": store.ErrRevoked, "by token": store.ErrRevoked, "by account": store.ErrRevoked,
	} {
		if err := present(s, secret); !errors.Is(err, want) {
			t.Errorf("%s: %v", secret, err)
		}
	}
	if _, st, err := s.TokenByHash(t.Context(), env, hash("access of connection")); err != nil || st.Dead() {
		t.Errorf("the connection: %+v, %v", st.Grant, err)
	}
}

func TestReplayDestroysAllCopiesOfAPartyThatItKills(t *testing.T) {
	for kind, target := range map[store.Kind]string{store.KindPrincipal: "ann", store.KindClient: "app"} {
		path, backup, since := lostPeople(t, func(s *Store) error { return revokeOf(s, kind, target) })
		s, _ := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since})
		if left := texts(t, s, sealedTokens); len(left) != 0 {
			t.Errorf("%s: copies are left of %q", kind, left)
		}
		if err := present(s, "lives"); !errors.Is(err, store.ErrRevoked) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Nobody knows who has signed out since.
func TestReplayEndsAllSessions(t *testing.T) {
	path, backup, since := lostPeople(t, func(s *Store) error {
		return s.Update(t.Context(), func(w store.Writer) error { return w.DeleteSession(env, hash("signs out")) })
	})
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since, KeepRefresh: true})
	if n := count(t, s, `SELECT count(*) FROM session`); n != 0 || done.Sessions != 2 {
		t.Errorf("%d sessions are left: %+v", n, done)
	}
	if err := signIn(s, "again"); err != nil {
		t.Error(err)
	}
}

// Nor whom a token was shown to: whoever could have seen it is taken to have,
// and so it ends with his binding.
func TestReplayPresumesThatPeopleHaveSeenWhatTheyCould(t *testing.T) {
	path, backup, since := lostPeople(t, func(s *Store) error {
		return s.Update(t.Context(), func(w store.Writer) error { return w.MarkShown(env, "lives", "bob", now) })
	})
	s, _ := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since})
	err := s.View(t.Context(), func(r store.Reader) error {
		for id, want := range map[string]string{"lives": "[bob]", "by account": "[]"} {
			shown, err := r.ShownTo(env, id)
			if fmt.Sprint(shown) != want {
				t.Errorf("%s was shown to %v, want %s", id, shown, want)
			}
			if err != nil {
				return err
			}
		}
		known, err := r.KnownTokens(env, "bob")
		if len(known) != 3 {
			t.Errorf("bob knows %d tokens", len(known))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Who was bound, or was bound since, may have seen the account's tokens.
func TestReplayEndsTheSharedTokensOfAccountsThatItUnbinds(t *testing.T) {
	for changed, ends := range map[string]bool{
		"binding:bob/1001":   true,
		"binding:carol/1001": true,  // bound since: the copy doesn't know
		"binding:ann/1001":   false, // the configuration says it
		"binding:carol/2002": false, // another account
	} {
		path, backup, since := lostPeople(t, func(*Store) error { return nil })
		s, done := restored(t, Restoration{From: backup, Path: path, Choice: Replay, Revocations: since, Changed: []Changed{{env, changed}}})
		want, shared := error(nil), 0
		if ends {
			want, shared = store.ErrRevoked, 3
		}
		if changed == "binding:carol/2002" {
			shared = 1
		}
		if err := present(s, "lives"); !errors.Is(err, want) || done.Shared != shared {
			t.Errorf("%s: %v, %+v", changed, err, done)
		}
		if err := present(s, "made after a kill"); err != nil {
			t.Errorf("%s: a token of another account: %v", changed, err)
		}
		if !ends {
			continue
		}
		log, _, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := log[len(log)-1]
		if last.Kind != store.KindGrant || last.Reason != restoredReason || !last.Expires.Equal(now.AddDate(1, 0, 0)) {
			t.Errorf("%s: logged %+v", changed, last)
		}
		if _, st, err := s.TokenByHash(t.Context(), env, hash("access of connection")); err != nil || st.Dead() {
			t.Errorf("%s: the connection: %+v, %v", changed, st.Grant, err)
		}
	}
}

func TestEverythingOfPeopleEnded(t *testing.T) {
	path, backup, _ := lostPeople(t, func(*Store) error { return nil })
	s, done := restored(t, Restoration{From: backup, Path: path, Choice: EndAll})
	if n := count(t, s, `SELECT count(*) FROM session`); n != 0 || done.Sessions != 2 {
		t.Errorf("%d sessions are left: %+v", n, done)
	}
	if left := texts(t, s, sealedTokens); len(left) != 0 {
		t.Errorf("copies are left of %q", left)
	}
	for _, secret := range []string{"lives", "by account", "made after a kill"} {
		if err := present(s, secret); !errors.Is(err, store.ErrRevoked) {
			t.Errorf("%s: %v", secret, err)
		}
	}
	if _, st, err := s.TokenByHash(t.Context(), env, hash("access of connection")); err != nil || !st.Dead() {
		t.Errorf("the connection: %+v, %v", st.Grant, err)
	}
	if err := errors.Join(issueTrading(s, "new"), present(s, "new"), signIn(s, "new")); err != nil {
		t.Errorf("what is made now: %v", err)
	}
}

// The newest state is taken as it is.
func TestPeopleOfACopyThatIsTheNewestState(t *testing.T) {
	path, backup, _ := lostPeople(t, func(*Store) error { return nil })
	s, _ := restored(t, Restoration{From: backup, Path: path, Choice: AsIs})
	if n := count(t, s, `SELECT count(*) FROM session`); n != 2 {
		t.Errorf("%d sessions", n)
	}
	if left := texts(t, s, sealedTokens); len(left) != 5 {
		t.Errorf("copies are left of %q", left)
	}
	if err := present(s, "lives"); err != nil {
		t.Error(err)
	}
}

// A copy may have a secret as replaced that was ended since: it must not be good again.
func TestRestoreEndsOldSecretsThatMayHaveBeenEnded(t *testing.T) {
	for _, test := range []struct {
		choice  Choice
		changed []Changed
		left    string
	}{
		{Replay, []Changed{{env, "client:ended"}}, "same"}, // the journal knows that nothing became of it
		{EndAll, nil, ""},
	} {
		path := inside(t)
		s := opened(t, Options{Path: path})
		put := func(id string, ended bool) {
			t.Helper()
			c := store.Client{Environment: env, ID: id, SecretHash: "first", Status: store.Active, Source: store.FromCommand, Created: now}
			c.ReplaceSecret("second", now, time.Hour)
			if ended {
				c.EndOldSecret()
			}
			if err := s.Update(t.Context(), func(w store.Writer) error { return w.PutClient(c) }); err != nil {
				t.Fatal(err)
			}
		}
		put("ended", false)
		put("same", false)
		backup, err := s.Backup(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		put("ended", true)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, _ = restored(t, Restoration{From: backup, Path: path, Choice: test.choice, Changed: test.changed})
		if got := texts(t, s, `SELECT id FROM client WHERE old_secret_hash <> '' OR old_secret_until <> 0`); strings.Join(got, " ") != test.left {
			t.Errorf("%s: old secrets of %q, want %q", test.choice, got, test.left)
		}
	}
}
