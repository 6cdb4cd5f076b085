package token

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// personal issues a personal token of alice.
func (n *node) personal(t testing.TB, client string, limits store.Token) (raw string, grant string) {
	t.Helper()
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	limits.ID, limits.Hash, limits.Class, limits.Created = NewID(), hash, store.Personal, n.clock.now()
	standing, err := n.store.Issue(context.Background(), store.Issue{
		Grant: store.Grant{
			Environment: store.Sandbox, ID: NewID(), Principal: "alice", Client: client,
			Scopes: []string{"all:a"}, Accounts: []string{"1"}, Created: n.clock.now(),
		},
		Tokens: []store.Token{limits},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw, standing.Grant.ID
}

func (n *node) check(t testing.TB, raw string) *Lease {
	t.Helper()
	lease, err := n.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// The built-in client cuts nothing; one that only has its id is cut by what it
// has, which is nothing.
func TestBuiltInClientHasNoCeiling(t *testing.T) {
	n := openNode(t)
	for source, want := range map[store.Source]int{store.BuiltIn: 1, store.FromCommand: 0, store.FromConfig: 0} {
		n.update(t, func(tx store.Writer) error {
			return tx.PutClient(store.Client{Environment: store.Sandbox, ID: store.PersonalClient, Status: store.Active, Source: source})
		})
		raw, _ := n.personal(t, store.PersonalClient, store.Token{})
		if got := n.check(t, raw).Scopes; len(got) != want {
			t.Errorf("client of source %s: scopes %v", source, got)
		}
	}
}

func TestRateOfARowThatMakesNoSenseIsNoPass(t *testing.T) {
	n := openNode(t)
	for _, rate := range []store.Rate{{Requests: 1}, {Per: time.Second}, {Requests: -1, Per: time.Second}, {Requests: 2, Per: -time.Second}} {
		raw, _ := n.personal(t, "bot", store.Token{Rate: rate})
		var invalid *Invalid
		if lease, err := n.Check(raw); err == nil || errors.As(err, &invalid) {
			t.Errorf("%+v: %v, %v", rate, lease, err)
		}
	}
}

func TestLimiter(t *testing.T) {
	const s = time.Second
	type step struct {
		at    time.Duration
		ok    bool
		left  int
		reset time.Duration
	}
	for name, tt := range map[string]struct {
		rate  store.Rate
		steps []step
	}{
		"one by one": {store.Rate{Requests: 1, Per: s}, []step{
			{0, true, 0, s}, {s / 2, false, 0, s / 2}, {s - 1, false, 0, 1}, {s, true, 0, s}, {s, false, 0, s},
		}},
		"a burst, then the pace": {store.Rate{Requests: 4, Per: 4 * s}, []step{
			{0, true, 3, s}, {0, true, 2, s}, {0, true, 1, s}, {0, true, 0, s}, {0, false, 0, s},
			{s, true, 0, s}, {s, false, 0, s}, {3 * s, true, 1, s}, {100 * s, true, 3, s},
		}},
		"a third is rounded up": {store.Rate{Requests: 3, Per: 10}, []step{
			{0, true, 2, 4}, {0, true, 1, 4}, {0, true, 0, 4}, {0, false, 0, 4}, {3, false, 0, 1}, {4, true, 0, 4},
		}},
	} {
		l := newLimiter(tt.rate)
		for i, want := range tt.steps {
			q, ok := l.take(want.at)
			if ok != want.ok || q.Remaining != want.left || q.Reset != want.reset || q.Rate != tt.rate {
				t.Errorf("%s, step %d: %v %+v, want %+v", name, i, ok, q, want)
			}
		}
	}
}

// Limiters are forgotten only when nobody can hold them and nothing is owed.
func TestLimitersArePruned(t *testing.T) {
	start := time.Now()
	r := newLimiters(start)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	idle := r.of("idle", store.Rate{Requests: 1, Per: time.Second}, start)
	idle.take(0)
	r.of("owing", store.Rate{Requests: 1, Per: time.Hour}, start).take(0)
	held := r.of("held", store.Rate{Requests: 1, Per: time.Second}, start)
	for _, tt := range []struct {
		at   time.Duration
		left int
	}{
		{time.Minute, 3}, {limiterLife - time.Second, 3}, {limiterLife + time.Minute, 2}, {time.Hour + 2*time.Minute, 1},
	} {
		if r.of("held", held.rate, after(tt.at)) != held {
			t.Errorf("after %s the limiter is another one", tt.at)
		}
		r.prune(after(tt.at))
		if len(r.byToken) != tt.left {
			t.Errorf("after %s: %d limiters, want %d", tt.at, len(r.byToken), tt.left)
		}
	}
	if limiterLife <= opaqueFactsLife {
		t.Error("a lease may outlive its limiter")
	}
}

// failing is a store that refuses changes while told to.
type failing struct {
	store.Store
	err     error
	updates int
}

func (f *failing) Update(ctx context.Context, change func(store.Writer) error) error {
	f.updates++
	if f.err != nil {
		return f.err
	}
	return f.Store.Update(ctx, change)
}

func TestUsesSurviveAStoreThatIsAway(t *testing.T) {
	n := openNode(t)
	away := &failing{Store: n.store, err: store.ErrUnavailable}
	n.Authority.store = away
	raw, grant := n.personal(t, "bot", store.Token{})
	lease := n.check(t, raw)
	at := n.clock.now()
	if !n.UseIsNews(lease, at) || n.UseIsNews(lease, at) {
		t.Error("a use is news once in a minute")
	}
	n.NoteUse(lease, at, "::ffff:192.0.2.1")
	if err := n.RecordUses(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("%v", err)
	}
	away.err, away.updates = nil, 0
	for range 2 {
		if err := n.RecordUses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if away.updates != 1 {
		t.Errorf("%d transactions for one use", away.updates)
	}
	if err := n.store.View(t.Context(), func(tx store.Reader) error {
		rows, err := tx.TokensOf(store.Sandbox, grant)
		if !rows[0].Used.Equal(at.Truncate(time.Microsecond)) || rows[0].UsedFrom != "192.0.2.1" {
			t.Errorf("used at %s from %q, want %s from 192.0.2.1", rows[0].Used, rows[0].UsedFrom, at)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestUsesAreTakenInBatches(t *testing.T) {
	var u uses
	at := time.Now()
	for _, id := range []string{"a", "b", "c"} {
		u.add(id, use{at, "192.0.2.1"})
	}
	u.add("a", use{at.Add(-time.Second), "192.0.2.2"}) // an older use says nothing new
	seen := map[string]use{}
	for _, want := range []int{2, 1, 0} {
		some := u.take(2)
		if len(some) != want {
			t.Fatalf("%d taken, want %d", len(some), want)
		}
		for id, when := range some {
			seen[id] = when
		}
	}
	if len(seen) != 3 || seen["a"] != (use{at, "192.0.2.1"}) {
		t.Errorf("%v", seen)
	}
}
