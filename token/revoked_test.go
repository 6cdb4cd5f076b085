package token

import (
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func factsOf(epoch, rights int64) Facts {
	return Facts{
		ID: "jti-1", Grant: "grant-1", Subject: "alice", Client: "bot", Accounts: []string{"1", "2"},
		KeyID: "key-1", Epoch: epoch, Rights: rights, Expires: noon.Add(time.Hour),
	}
}

func accessFacts(epoch, rights int64) Facts {
	facts := factsOf(epoch, rights)
	facts.Class = ClassAccess
	return facts
}

func TestWhatARevocationKills(t *testing.T) {
	for name, test := range map[string]struct {
		rev  store.Revocation
		want Verdict
	}{
		"this token":                    {store.Revocation{Kind: store.KindToken, Target: "jti-1"}, Revoked},
		"another token":                 {store.Revocation{Kind: store.KindToken, Target: "jti-2"}, Live},
		"its grant":                     {store.Revocation{Kind: store.KindGrant, Target: "grant-1"}, Revoked},
		"a token named like its grant":  {store.Revocation{Kind: store.KindToken, Target: "grant-1"}, Live},
		"its principal, later":          {store.Revocation{Kind: store.KindPrincipal, Target: "alice", Number: 8}, Revoked},
		"its principal, before it":      {store.Revocation{Kind: store.KindPrincipal, Target: "alice", Number: 7}, Live},
		"its client, later":             {store.Revocation{Kind: store.KindClient, Target: "bot", Number: 8}, Revoked},
		"its second account, later":     {store.Revocation{Kind: store.KindAccount, Target: "2", Number: 8}, Revoked},
		"an account that it lacks":      {store.Revocation{Kind: store.KindAccount, Target: "3", Number: 8}, Live},
		"its signing key":               {store.Revocation{Kind: store.KindKey, Target: "key-1", Number: 8}, Revoked},
		"a client named like the owner": {store.Revocation{Kind: store.KindClient, Target: "alice", Number: 8}, Live},
		"its principal's rights, later": {store.Revocation{Kind: store.KindRights, Target: "alice", Number: 4}, RightsChanged},
		"its principal's rights, old":   {store.Revocation{Kind: store.KindRights, Target: "alice", Number: 3}, Live},
		"its client's rights, later":    {store.Revocation{Kind: store.KindClientRights, Target: "bot", Number: 4}, RightsChanged},
		"more rights of its principal":  {store.Revocation{Kind: store.KindRightsGiven, Target: "alice", Number: 4}, Live},
		"more rights of its client":     {store.Revocation{Kind: store.KindClientRightsGiven, Target: "bot", Number: 4}, Live},
	} {
		t.Run(name, func(t *testing.T) {
			set := newRevocations(noon)
			lease := leaseOf("raw", accessFacts(7, 3), noon)
			if got := set.judge(lease); got != Live {
				t.Fatalf("before the revocation: %s", got)
			}
			set.add(noon, []store.Revocation{test.rev})
			if got := set.judge(lease); got != test.want {
				t.Errorf("after the revocation: %s, want %s", got, test.want)
			}
		})
	}
}

// What is known of an opaque token is too little once more is given, and is
// looked up again; a stream on it goes on.
func TestGivenRightsHaveOpaqueTokensLookedUpAgain(t *testing.T) {
	for _, rev := range []store.Revocation{
		{Kind: store.KindRightsGiven, Target: "alice", Number: 4}, {Kind: store.KindClientRightsGiven, Target: "bot", Number: 4},
	} {
		facts := factsOf(7, 3)
		facts.Class = string(store.Personal)
		set := newRevocations(noon)
		set.add(noon, []store.Revocation{rev})
		if got := set.judge(leaseOf("raw", facts, noon)); got != Stale {
			t.Errorf("%s: known from before, %s, want stale", rev.Kind, got)
		}
		facts.Rights = 4
		if got := set.judge(leaseOf("raw", facts, noon)); got != Live {
			t.Errorf("%s: looked up since, %s", rev.Kind, got)
		}
		set.add(noon, []store.Revocation{{Kind: store.KindRights, Target: "alice", Number: 5}})
		if got := set.judge(leaseOf("raw", facts, noon)); got != RightsChanged {
			t.Errorf("%s: something was taken after it, %s", rev.Kind, got)
		}
	}
}

// A lower number that arrives late must not lift a higher one.
func TestNumbersOnlyRise(t *testing.T) {
	set := newRevocations(noon)
	set.add(noon, []store.Revocation{{Kind: store.KindPrincipal, Target: "alice", Number: 9}})
	set.add(noon, []store.Revocation{{Kind: store.KindPrincipal, Target: "alice", Number: 5}})
	if got := set.judge(leaseOf("raw", factsOf(7, 0), noon)); got != Revoked {
		t.Errorf("epoch 7 under numbers 9 and 5: %s", got)
	}
}

func TestRevocationIsForgottenOnlyWhenNothingBelowItLives(t *testing.T) {
	set := newRevocations(noon)
	set.add(noon, []store.Revocation{
		{Kind: store.KindToken, Target: "short", Expires: noon.Add(10 * time.Minute)},
		{Kind: store.KindGrant, Target: "ever"},
		{Kind: store.KindToken, Target: "past", Expires: noon.Add(-time.Second)},
	})
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {10 * time.Minute, 2}, {12 * time.Minute, 1}, {1000 * time.Hour, 1}} {
		set.prune(noon.Add(step.after))
		if got := set.len(); got != step.want {
			t.Errorf("after %s: %d entries, want %d", step.after, got, step.want)
		}
	}
}

// The wall clock jumps a day ahead (and perhaps back again): no revocation is
// forgotten, because pruning goes by the monotonic clock.
func TestClockJumpsAheadForgetsNothing(t *testing.T) {
	now := time.Now()
	set := newRevocations(now)
	set.add(now, []store.Revocation{{Kind: store.KindToken, Target: "jti-1", Expires: now.Add(time.Hour).Round(0)}})
	set.prune(now.Add(time.Minute)) // a minute later by the monotonic clock
	if set.len() != 1 {
		t.Error("forgotten after a minute")
	}
}

func TestExpiryTakesTheOlderOfTwoClocks(t *testing.T) {
	for name, test := range map[string]struct {
		wall, elapsed time.Duration // since the lease was made
		want          bool
	}{
		"both clocks young":                          {59 * time.Second, 59 * time.Second, false},
		"both clocks old":                            {61 * time.Second, 61 * time.Second, true},
		"suspended: only the wall clock went on":     {time.Hour, 0, true},
		"set back: only the monotonic clock went on": {-time.Hour, 61 * time.Second, true},
	} {
		var wall, elapsed time.Duration
		clock := newSteadyClock(func() (time.Time, time.Duration) { return noon.Add(wall), elapsed })
		facts := factsOf(0, 0)
		facts.Expires = noon.Add(time.Minute)
		lease, permanent := leaseOf("raw", facts, clock.now()), leaseOf("raw", Facts{}, clock.now())
		wall, elapsed = test.wall, test.elapsed
		if got := lease.expired(clock.now().UnixMicro()); got != test.want {
			t.Errorf("%s: expired = %v", name, got)
		}
		if permanent.expired(clock.now().UnixMicro()) {
			t.Errorf("%s: a token without an end expired", name)
		}
	}
}

// A hot judgement is one comparison: no lock, no allocation.
func BenchmarkJudge(b *testing.B) {
	set := newRevocations(noon)
	lease := leaseOf("raw", factsOf(7, 3), noon)
	for range 100_000 {
		set.add(noon, []store.Revocation{{Kind: store.KindGrant, Target: NewID()}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if lease.expired(noon.UnixMicro()) || set.judge(lease) != Live {
			b.Fatal("dead")
		}
	}
}
