package sqlite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	day = 24 * time.Hour

	// pace is how many days lie between two in which there is traffic.
	pace = 3
)

// A year of traffic leaves what a season leaves: the database grows with what
// is alive. Every family that is renewed lives through it.
func TestYearOfTrafficLeavesWhatIsAlive(t *testing.T) {
	s := opened(t, Options{})
	const families = 3
	spreadDay(t, families, func(i int) error { return traffic{s, 0}.begin(fmt.Sprintf("lasting %d", i)) })

	var season map[string]int64
	for d := pace; d <= 365; d += pace {
		today := traffic{s, d}
		spreadDay(t, families+6, func(i int) error {
			switch i {
			case families: // never exchanged
				return today.issue(fmt.Sprintf("idle %d", d))
			case families + 1: // exchanged and left alone
				return today.begin(fmt.Sprintf("short %d", d))
			case families + 2:
				return today.revoked(fmt.Sprintf("revoked %d", d))
			case families + 3: // shown to somebody and left alone
				return today.trade(fmt.Sprintf("trading %d", d))
			case families + 4:
				return today.connect(fmt.Sprintf("connection %d", d))
			case families + 5:
				return signInAt(today.s, fmt.Sprintf("session %d", d), today.now())
			}
			return today.renew(fmt.Sprintf("lasting %d", i))
		})
		today.collect(t)
		if d == 33*pace {
			season = rows(t, s)
		}
	}

	year := rows(t, s)
	for table, n := range season {
		if year[table] != n {
			t.Errorf("%s: %d rows after a season, %d after a year", table, n, year[table])
		}
	}
	// A token has 31 days of life and one of memory; each day of traffic makes
	// one for either grant that is exchanged, one for each family and a shared one.
	if most := int64((32/pace + 1) * (3 + families)); year["token"] > most {
		t.Errorf("%d tokens, want at most %d", year["token"], most)
	}
	if most := int64(31/pace + 1); year["token WHERE sealed IS NOT NULL"] > most {
		t.Errorf("%d sealed copies, want at most %d", year["token WHERE sealed IS NOT NULL"], most)
	}
	if year["session"] > 1 || year["connection"] > 1 {
		t.Errorf("%d sessions and %d connections are kept", year["session"], year["connection"])
	}
	if year["revocation"] > 2 {
		t.Errorf("%d revocations are kept", year["revocation"])
	}
	if lost := count(t, s, `SELECT count(*) FROM pragma_foreign_key_check`); lost != 0 {
		t.Errorf("%d rows refer to what was collected", lost)
	}
}

// spreadDay runs the callers of one day side by side, so that they share fsyncs.
func spreadDay(t *testing.T, callers int, call func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if err := call(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// traffic is what callers do on one day. Secrets end in the day.
type traffic struct {
	s   *Store
	day int
}

func (d traffic) now() time.Time { return now.Add(time.Duration(d.day) * day) }

func (d traffic) refresh(grant string) store.Token {
	token := refresh(fmt.Sprintf("%s on %d", grant, d.day))
	token.Created, token.Expires = d.now(), d.now().Add(31*day)
	return token
}

func (d traffic) issue(id string) error {
	_, err := d.s.Issue(context.Background(), store.Issue{
		Grant: store.Grant{Environment: env, ID: id, Principal: "ann", Client: "app", Accounts: []string{"1001"}, Created: d.now()},
		Code:  &store.Code{Hash: hash("code " + id), KeyID: "k", Expires: d.now().Add(time.Minute)},
	})
	return err
}

func (d traffic) begin(id string) error {
	if err := d.issue(id); err != nil {
		return err
	}
	_, err := d.s.RedeemCode(context.Background(), store.Redeem{
		Environment: env, Code: hash("code " + id), Client: "app", Now: d.now(), Token: d.refresh(id),
	})
	return err
}

func (d traffic) renew(id string) error {
	_, err := d.s.Renew(context.Background(), store.Renew{
		Environment: env, Token: hash(fmt.Sprintf("%s on %d", id, d.day-pace)), Client: "app",
		Successor: d.refresh(id), Now: d.now(),
	})
	return err
}

func (d traffic) revoked(id string) error {
	if err := d.begin(id); err != nil {
		return err
	}
	_, err := d.s.Revoke(context.Background(), store.Revocation{
		Environment: env, Kind: store.KindGrant, Target: id, At: d.now(), Expires: d.now().Add(day),
	}, store.Event{})
	return err
}

// trade makes a shared refresh token for a month and shows it to somebody.
func (d traffic) trade(id string) error {
	req := tradingRequest(id)
	req.Grant.Created, req.Grant.Expires = d.now(), d.now().Add(31*day)
	req.Tokens[0].Created, req.Tokens[0].Expires = req.Grant.Created, req.Grant.Expires
	if _, err := d.s.Issue(context.Background(), req); err != nil {
		return err
	}
	return d.s.Update(context.Background(), func(w store.Writer) error { return w.MarkShown(env, id, "ann", d.now()) })
}

// connect begins a connection that nobody completes.
func (d traffic) connect(id string) error {
	_, err := d.s.Issue(context.Background(), store.Issue{
		Grant:      store.Grant{Environment: env, ID: id, Principal: "ann", Client: "app", Accounts: []string{"1001"}, Created: d.now()},
		Code:       &store.Code{Hash: hash("code " + id), KeyID: "k", Expires: d.now().Add(30 * time.Minute)},
		Connection: &store.Connection{Token: id, UserSecret: "hash"},
	})
	return err
}

func (d traffic) collect(t *testing.T) {
	t.Helper()
	for more := true; more; {
		done, err := d.s.Collect(context.Background(), store.Collect{
			Environment: env, Now: d.now(), Keep: day, Limit: 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		more = done.More
	}
}

// rows counts what traffic leaves. (The audit trail is meant to grow.)
func rows(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	n := map[string]int64{}
	for _, table := range []string{
		"grants", "grant_account", "code", "token", "revocation", "token WHERE sealed IS NOT NULL", "token_shown", "connection", "session",
	} {
		n[table] = count(t, s, "SELECT count(*) FROM "+table)
	}
	return n
}

// Who waits for the collector waits for what is deleted, not for what is alive:
// every step finds its rows by more than their environment. The last ones are how
// the foreign keys of a grant and a token are checked.
func TestCollectingLooksAtNothingThatLives(t *testing.T) {
	s := opened(t, Options{})
	for _, query := range []string{
		collectRevocations, collectTokens, collectSessions, collectCopies, selectDueGrants, selectGrantEnd,
		postponeGrant, deleteCodesOf, deleteAccountsOf, deleteGrant,
		`SELECT * FROM token WHERE environment = ? AND grant_id = ?`,
		`SELECT * FROM grant_account WHERE environment = ? AND grant_id = ?`,
		`SELECT * FROM connection WHERE environment = ? AND grant_id = ?`,
		`SELECT * FROM token_shown WHERE environment = ? AND token = ?`,
	} {
		for _, step := range plan(t, s, query) {
			if strings.HasPrefix(step, "SCAN") || strings.HasSuffix(step, "(environment=?)") {
				t.Errorf("%s\nof: %s", step, query)
			}
		}
	}
}

// plan is how SQLite goes about a query.
func plan(t *testing.T, s *Store, query string) (steps []string) {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	err := s.snapshot(context.Background(), func(r *session) error {
		return r.each(func(scan func(...any) error) error {
			var id, parent, unused int
			var step string
			err := scan(&id, &parent, &unused, &step)
			steps = append(steps, step)
			return err
		}, "EXPLAIN QUERY PLAN "+query, args...)
	})
	if err != nil || len(steps) == 0 {
		t.Fatalf("%d steps, %v: %s", len(steps), err, query)
	}
	return steps
}
