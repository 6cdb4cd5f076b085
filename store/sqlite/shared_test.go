package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// own asks for a grant to share, by the name that it gets if it is new.
func own(id string, change ...func(*store.Issue)) store.Issue {
	req := store.Issue{Share: day, Grant: store.Grant{
		Environment: env, ID: id, Principal: "ann", Client: "app", Scopes: []string{"read"},
		Accounts: []string{"1001"}, Created: now, Expires: now.Add(time.Hour),
	}}
	for _, c := range change {
		c(&req)
	}
	return req
}

// shares returns the name of the grant that the caller of that name got.
func shares(s *Store, id string, change ...func(*store.Issue)) (string, error) {
	st, err := s.Issue(context.Background(), own(id, change...))
	if err == nil && st.Dead() {
		err = fmt.Errorf("grant %s is dead", st.Grant.ID)
	}
	return st.Grant.ID, err
}

func wantShared(t *testing.T, s *Store, id, want string, change ...func(*store.Issue)) {
	t.Helper()
	if got, err := shares(s, id, change...); err != nil || got != want {
		t.Errorf("%s got %q, %v; want %q", id, got, err, want)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func revoke(t *testing.T, s *Store, kind store.Kind, target string) {
	t.Helper()
	if _, err := s.Revoke(t.Context(), store.Revocation{Environment: env, Kind: kind, Target: target, At: now}, store.Event{}); err != nil {
		t.Fatal(err)
	}
}

func TestOwnTokensShareAGrant(t *testing.T) {
	s := opened(t, Options{})
	first, err := s.Issue(t.Context(), own("first"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Issue(t.Context(), own("again", func(req *store.Issue) { req.Grant.Created = now.Add(time.Minute) }))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", first); got != want {
		t.Errorf("the second stands on\n%s\nand the first on\n%s", got, want)
	}
	if want := now.Add(time.Hour + day); !again.Grant.Expires.Equal(want) {
		t.Errorf("it ends at %s, want %s", again.Grant.Expires, want)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		filed, err := r.Grant(env, "first")
		if got, want := fmt.Sprintf("%+v", again.Grant), fmt.Sprintf("%+v", filed); got != want {
			t.Errorf("the caller got\n%s\nand on file is\n%s", got, want)
		}
		rows, auditErr := r.Audit(env, store.AuditFilter{Target: "grant:first"})
		if len(rows) != 2 {
			t.Errorf("%d lines in the audit trail, want one for each call", len(rows))
		}
		return errors.Join(err, auditErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, `SELECT count(*) FROM grants`); n != 1 {
		t.Errorf("%d grants", n)
	}
}

func TestOnlyWhatIsAlikeIsShared(t *testing.T) {
	s := opened(t, Options{})
	err := s.Update(t.Context(), func(w store.Writer) error {
		return errors.Join(
			w.PutPrincipal(store.Principal{Environment: env, ID: "bob", Kind: store.User, Status: store.Active}),
			w.PutClient(store.Client{Environment: env, ID: "other", Status: store.Active}),
			w.PutAccount(store.Account{Environment: env, ID: "1002", Kind: store.Trading, Status: store.Active}),
			w.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "ann", Kind: store.User, Status: store.Active}),
			w.PutClient(store.Client{Environment: store.Sandbox, ID: "app", Status: store.Active}),
			w.PutAccount(store.Account{Environment: store.Sandbox, ID: "1001", Kind: store.Trading, Status: store.Active}))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantShared(t, s, "first", "first")
	for name, change := range map[string]func(*store.Issue){
		"another environment":     func(r *store.Issue) { r.Grant.Environment = store.Sandbox },
		"another principal":       func(r *store.Issue) { r.Grant.Principal = "bob" },
		"another client":          func(r *store.Issue) { r.Grant.Client = "other" },
		"more scopes":             func(r *store.Issue) { r.Grant.Scopes = []string{"read", "trade"} },
		"scopes in another order": func(r *store.Issue) { r.Grant.Scopes = []string{"trade", "read"} },
		"scopes as one word":      func(r *store.Issue) { r.Grant.Scopes = []string{"read trade"} },
		"no scopes":               func(r *store.Issue) { r.Grant.Scopes = nil },
		"no accounts":             func(r *store.Issue) { r.Grant.Accounts = nil },
		"more accounts":           func(r *store.Issue) { r.Grant.Accounts = []string{"1001", "1002"} },
	} {
		t.Run(name, func(t *testing.T) { wantShared(t, s, name, name, change) })
	}
	wantShared(t, s, "second", "first")
	wantShared(t, s, "alone", "alone", func(r *store.Issue) { r.Share = 0 })
	wantShared(t, s, "third", "first")
	// Who needs a later end gets it, and others with him.
	wantShared(t, s, "longer", "longer", func(r *store.Issue) { r.Grant.Expires = now.Add(time.Hour + day + time.Microsecond) })
	wantShared(t, s, "last", "longer")
}

// What is not shared any more, and what is.
func TestSharedGrantAfterAChange(t *testing.T) {
	put := func(change func(store.Writer) error) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) {
			t.Helper()
			if err := s.Update(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*testing.T, *Store)
		want   string
	}{
		"nothing":                  {func(*testing.T, *Store) {}, "first"},
		"the grant was revoked":    {func(t *testing.T, s *Store) { revoke(t, s, store.KindGrant, "first") }, "next"},
		"another grant was":        {func(t *testing.T, s *Store) { revoke(t, s, store.KindGrant, "other") }, "first"},
		"one token was":            {func(t *testing.T, s *Store) { revoke(t, s, store.KindToken, "jti") }, "first"},
		"the principal was killed": {func(t *testing.T, s *Store) { revoke(t, s, store.KindPrincipal, "ann") }, "next"},
		"the client was killed":    {func(t *testing.T, s *Store) { revoke(t, s, store.KindClient, "app") }, "next"},
		"the account was killed":   {func(t *testing.T, s *Store) { revoke(t, s, store.KindAccount, "1001") }, "next"},
		"rights were taken":        {func(t *testing.T, s *Store) { revoke(t, s, store.KindClientRights, "app") }, "first"},
		"the grant was revoked in a transaction": {put(func(w store.Writer) error {
			_, err := w.Revoke(store.Revocation{Environment: env, Kind: store.KindGrant, Target: "first", At: now})
			return err
		}), "next"},
		"the account was unbound": {put(func(w store.Writer) error { return w.DeleteBinding(env, "ann", "1001") }), "first"},
		"the client was disabled and enabled": {put(func(w store.Writer) error {
			return errors.Join(w.PutClient(store.Client{Environment: env, ID: "app", Status: store.Disabled}),
				w.PutClient(store.Client{Environment: env, ID: "app", Status: store.Active}))
		}), "first"},
		"the grant was collected": {func(t *testing.T, s *Store) { traffic{s, 3}.collect(t) }, "next"},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, Options{})
			wantShared(t, s, "first", "first")
			wantShared(t, s, "second", "first")
			wantShared(t, s, "other", "other", func(r *store.Issue) { r.Grant.Scopes = nil })
			test.change(t, s)
			wantShared(t, s, "next", test.want)
			wantShared(t, s, "last", test.want)
		})
	}
}

// A call carries what its parties may do now, not what they could when the grant
// was made.
func TestSharedGrantStandsOnThePresent(t *testing.T) {
	s := opened(t, Options{})
	wantShared(t, s, "first", "first")
	wantShared(t, s, "second", "first")
	revoke(t, s, store.KindClientRights, "app")
	err := s.Update(t.Context(), func(w store.Writer) error {
		return errors.Join(w.DeleteBinding(env, "ann", "1001"),
			w.PutClient(store.Client{Environment: env, ID: "app", MaxScopes: []string{"less"}, Status: store.Active}))
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Issue(t.Context(), own("next"))
	if err != nil || st.Grant.ID != "first" || st.Rights() == 0 || len(st.Accounts) != 0 || !slices.Equal(st.Client.MaxScopes, []string{"less"}) {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestDisabledPartyGetsNoSharedGrant(t *testing.T) {
	s := opened(t, Options{})
	wantShared(t, s, "first", "first")
	wantShared(t, s, "second", "first")
	for _, status := range []store.Status{store.Disabled, store.Active} {
		if err := s.Update(t.Context(), func(w store.Writer) error {
			return w.PutClient(store.Client{Environment: env, ID: "app", Status: status})
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := shares(s, "next"); (status == store.Disabled) != errors.Is(err, store.ErrRevoked) {
			t.Errorf("%s: %v", status, err)
		}
	}
}

// A job is rolled back after it made a grant: nobody may share what is not there.
func TestGrantThatWasRolledBackIsNotShared(t *testing.T) {
	for name, fail := range map[string]func(*tx) error{
		"failed":             func(*tx) error { return errors.New("second thoughts") },
		"panicked":           func(*tx) error { panic("at the disco") },
		"broken transaction": func(t *tx) error { t.broken = errors.New("the disk is gone"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, Options{})
			var after string
			errs := together(t, s,
				func() error {
					return s.submit(context.Background(), func(t *tx) error {
						req := own("rolled back")
						_, err := t.issue(&req)
						return cmp.Or(err, fail(t))
					})
				},
				func() (err error) { after, err = shares(s, "after"); return err })
			if errs[0] == nil || after == "rolled back" {
				t.Errorf("%v; the next in the batch got %q", errs, after)
			}
			if got, err := shares(s, "last"); err != nil || got == "rolled back" || after != "" && got != after {
				t.Errorf("after it: %q, %v", got, err)
			}
			wantWhole(t, s)
		})
	}
}

// wantWhole asserts that each grant of the audit trail is there.
func wantWhole(t *testing.T, s *Store) {
	t.Helper()
	if n := count(t, s, `SELECT count(*) FROM audit a WHERE a.action = 'grant.issue'
		AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.environment = a.environment AND g.id = substr(a.target, 7))`); n != 0 {
		t.Errorf("%d calls were given a grant that is not there", n)
	}
}

// A revocation that is rolled back leaves the grant alive; a new one is made
// nevertheless, and that one is shared.
func TestRevocationThatWasRolledBack(t *testing.T) {
	s := opened(t, Options{})
	wantShared(t, s, "first", "first")
	errs := together(t, s, func() error {
		return s.Update(context.Background(), func(w store.Writer) error {
			_, err := w.Revoke(store.Revocation{Environment: env, Kind: store.KindGrant, Target: "first", At: now})
			return cmp.Or(err, errors.New("second thoughts"))
		})
	})
	if errs[0] == nil {
		t.Fatal("it did not fail")
	}
	wantShared(t, s, "second", "second")
	wantShared(t, s, "third", "second")
}

// COMMIT itself fails, after the grant was made and shared: a reference that
// leads nowhere is found there if it was deferred.
func TestGrantOfACommitThatFailedIsNotShared(t *testing.T) {
	s := opened(t, Options{})
	errs := together(t, s,
		func() error { _, err := shares(s, "first"); return err },
		func() error { _, err := shares(s, "second"); return err },
		func() error {
			return s.submit(context.Background(), func(t *tx) error {
				if _, err := t.exec(`PRAGMA defer_foreign_keys = ON`); err != nil {
					return err
				}
				return t.insertGrant(&store.Grant{Environment: env, ID: "dangling", Principal: "nobody", Client: "app"})
			})
		})
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "FOREIGN KEY") {
			t.Errorf("call %d: %v, want that COMMIT failed", i, err)
		}
	}
	wantShared(t, s, "last", "last")
	wantWhole(t, s)
}

// The names of the database's files are looked at before COMMIT; what is undone
// there was whole until then.
func TestGrantOfABatchThatWasAbandonedIsNotShared(t *testing.T) {
	path := inside(t)
	s := opened(t, Options{Path: path})
	move(t, path, path+".away")
	if _, err := shares(s, "lost"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while the file is away: %v", err)
	}
	move(t, path+".away", path)
	wantShared(t, s, "next", "next")
	wantWhole(t, s)
}

func TestRestartSharesNothingFromBefore(t *testing.T) {
	path := inside(t)
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := populate(s); err != nil {
		t.Fatal(err)
	}
	wantShared(t, s, "first", "first")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantShared(t, opened(t, Options{Path: path}), "second", "second")
}

func TestMemoryOfSharedGrantsIsBounded(t *testing.T) {
	var s shared
	for i := range 3 * maxShared {
		g := store.Grant{Environment: env, ID: fmt.Sprint(i), Scopes: []string{fmt.Sprint(i % (2 * maxShared))}}
		s.remember(likenessOf(&g), &g)
		if len(s.grants) > maxShared || len(s.of) != len(s.grants) {
			t.Fatalf("%d grants and %d names after %d", len(s.grants), len(s.of), i+1)
		}
	}
	var p parties
	for i := range 3 * maxShared {
		g := store.Grant{Environment: env, Scopes: []string{fmt.Sprint(i)}}
		few := func() (store.Standing, error) {
			return store.Standing{Grant: store.Grant{Accounts: make([]string, i%7)}, Accounts: make([]store.Standpoint, i%7)}, nil
		}
		if _, err := p.standing(likenessOf(&g), few); err != nil {
			t.Fatal(err)
		}
		accounts := 0
		if i%1000 == 0 {
			for _, st := range p.standings {
				accounts += len(st.Accounts)
			}
		}
		if len(p.standings) > maxParties || accounts > maxParties {
			t.Fatalf("%d standings with %d accounts after %d", len(p.standings), accounts, i+1)
		}
	}
	// One that takes another's place takes its name away too.
	for i := range 5 {
		g := store.Grant{Environment: env, ID: fmt.Sprint("again ", i)}
		s.remember(likenessOf(&g), &g)
	}
	if len(s.of) != len(s.grants) {
		t.Errorf("%d grants have %d names", len(s.grants), len(s.of))
	}
}

// Every hour a client asks for tokens that live for an hour, and the collector
// looks in. A token's grant is there, and alive, until the token ends; and a
// season leaves few grants.
func TestSharedGrantOutlivesItsTokens(t *testing.T) {
	s := opened(t, Options{})
	made := map[string]bool{}
	for hour := range 24 * 10 {
		at := now.Add(time.Duration(hour) * time.Hour)
		st, err := s.Issue(t.Context(), own(fmt.Sprint("hour ", hour), func(r *store.Issue) {
			r.Grant.Created, r.Grant.Expires = at, at.Add(time.Hour+10*time.Second)
		}))
		if err != nil {
			t.Fatal(err)
		}
		made[st.Grant.ID] = true
		if ends := at.Add(time.Hour); st.Grant.Expires.Before(ends) {
			t.Fatalf("hour %d: the grant ends at %s, its token at %s", hour, st.Grant.Expires, ends)
		}
		// The worst collector remembers nothing and comes in the token's last moment.
		for more := true; more; {
			done, err := s.Collect(t.Context(), store.Collect{Environment: env, Now: at.Add(time.Hour - time.Microsecond), Limit: 5})
			if err != nil {
				t.Fatal(err)
			}
			more = done.More
		}
		if n := count(t, s, `SELECT count(*) FROM grants WHERE id = ? AND revoked = 0`, st.Grant.ID); n != 1 {
			t.Fatalf("hour %d: the grant of a token that lives is gone", hour)
		}
	}
	if len(made) > 11 {
		t.Errorf("%d grants in ten days", len(made))
	}
	if n := count(t, s, `SELECT count(*) FROM grants`); n > 2 {
		t.Errorf("%d grants are left", n)
	}
}
