package token

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// kid is the key that a token says it was signed with.
func kid(t testing.TB, raw string) string {
	t.Helper()
	parsed, err := parseJWS(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.header.KeyID
}

func (n *node) set(t testing.TB, change func(*Settings)) {
	t.Helper()
	next := n.Settings()
	change(&next)
	if err := n.Configure(next); err != nil {
		t.Fatal(err)
	}
}

// keep is one round of housekeeping.
func (n *node) keep(t testing.TB) {
	t.Helper()
	if err := n.KeepKeys(context.Background(), n.clock.now()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) rotate(t testing.TB, atOnce bool) string {
	t.Helper()
	next, err := n.RotateKey(context.Background(), atOnce, "operator:test")
	if err != nil {
		t.Fatal(err)
	}
	return next.ID
}

func (n *node) killKey(t testing.TB, id string) {
	t.Helper()
	if _, err := n.RevokeKey(context.Background(), id, "test", store.Event{}); err != nil {
		t.Fatal(err)
	}
}

// states are the ids of the keys in each state.
func (n *node) states(t testing.TB) map[KeyState][]string {
	t.Helper()
	_, lives, err := n.Keys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	states := map[KeyState][]string{}
	for _, id := range slices.Sorted(maps.Keys(lives)) {
		states[lives[id].State] = append(states[lives[id].State], id)
	}
	return states
}

func (n *node) published(id string) bool { return strings.Contains(string(n.JWKS()), `"`+id+`"`) }

// reopened is a new process on the same store, with the same clock.
func (n *node) reopened(t testing.TB) *node {
	t.Helper()
	a := NewAuthority(store.Sandbox, n.clock.now)
	if err := a.Configure(n.Settings()); err != nil {
		t.Fatal(err)
	}
	root, err := BindRootKey(context.Background(), n.store, n.root)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Open(context.Background(), n.store, root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return &node{a, n.store, n.clock, n.root}
}

func refusedAs(t testing.TB, n *node, raw string, want Reason) {
	t.Helper()
	var invalid *Invalid
	if lease, err := n.Check(raw); !errors.As(err, &invalid) || invalid.Reason != want {
		t.Errorf("%+v, %v; want it refused as %s", lease, err, want)
	}
}

// A long-lived node rotates by itself for a year.
func TestKeysRotateOnSchedule(t *testing.T) {
	n := openNode(t)
	n.set(t, func(s *Settings) { s.KeyRotation = 90 * 24 * time.Hour })
	signers := []string{kid(t, n.access(t).Raw)}
	start, longestGap := n.clock.now(), time.Duration(0)
	last := start
	for n.clock.now().Before(start.Add(365 * 24 * time.Hour)) {
		n.keep(t)
		states := n.states(t)
		if len(states[KeySigning]) != 1 || len(states[KeyFuture]) > 1 || len(states[KeyVerifying]) > 1 {
			t.Fatalf("after %v: %v", n.clock.now().Sub(start), states)
		}
		if now := states[KeySigning][0]; now != signers[len(signers)-1] {
			longestGap = max(longestGap, n.clock.now().Sub(last))
			signers, last = append(signers, now), n.clock.now()
		}
		n.clock.advance(5 * time.Minute)
		if len(states[KeyFuture]) == 0 && n.clock.now().Sub(last) < 80*24*time.Hour && len(states[KeyVerifying]) == 0 {
			n.clock.advance(20 * 24 * time.Hour) // nothing is to happen meanwhile
		}
	}
	if len(signers) != 5 || longestGap < 90*24*time.Hour || longestGap > 90*24*time.Hour+time.Hour {
		t.Errorf("%d keys signed, the longest for %v", len(signers), longestGap)
	}
	if states := n.states(t); len(states[KeyRetired]) != 4 {
		t.Errorf("at the end: %v", states)
	}
}

func TestNextKeyIsPublishedBeforeItSigns(t *testing.T) {
	n := openNode(t)
	old := kid(t, n.access(t).Raw)
	n.clock.advance(time.Hour)
	next := n.rotate(t, false)
	if !n.published(next) || !n.published(old) {
		t.Errorf("published: %s", n.JWKS())
	}
	n.clock.advance(PublishAhead - time.Second)
	n.keep(t)
	if got := kid(t, n.access(t).Raw); got != old {
		t.Errorf("%s signs before others can know it", got)
	}
	n.clock.advance(time.Second) // nobody does anything: the key's time has come
	if got := kid(t, n.access(t).Raw); got != next {
		t.Errorf("%s signs, want the next key %s", got, next)
	}
}

func TestKeyThatIsPublishedIsNotMadeTwice(t *testing.T) {
	n := openNode(t)
	n.clock.advance(time.Hour)
	next := n.rotate(t, false)
	if _, err := n.RotateKey(context.Background(), false, ""); !errors.Is(err, ErrKeyComing) || !strings.Contains(err.Error(), next) {
		t.Errorf("a second rotation: %v", err)
	}
	if got := n.rotate(t, true); got != next {
		t.Errorf("at once signs %s, want the published %s", got, next)
	}
	if got := kid(t, n.access(t).Raw); got != next {
		t.Errorf("%s signs", got)
	}
}

// Two operators see the same keys and rotate: the second must not rotate what the
// first has made.
func TestRotationsAtOnceMakeOneKey(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		n := openNode(t)
		n.clock.advance(time.Hour)
		seen := n.keys.Load().newestID()
		var all sync.WaitGroup
		failed := make(chan error, 4)
		for range cap(failed) {
			all.Go(func() {
				_, err := n.rotateFrom(context.Background(), seen, atOnce, "")
				failed <- err
			})
		}
		all.Wait()
		close(failed)
		well := 0
		for err := range failed {
			if err == nil {
				well++
			} else if !errors.Is(err, ErrKeysChanged) {
				t.Error(err)
			}
		}
		if records, _, err := n.Keys(context.Background()); err != nil || well != 1 || len(records) != 2 {
			t.Errorf("at once %v: %d rotations went well, %d keys, %v", atOnce, well, len(records), err)
		}
	}
}

// Two processes that start on one store both find that a key is missing.
func TestStartsAtOnceMakeOneKey(t *testing.T) {
	n := openNode(t)
	n.set(t, func(s *Settings) { s.Algorithm = EdDSA })
	n.clock.advance(time.Second)
	var all sync.WaitGroup
	for range 4 {
		twin := &Authority{environment: n.environment, clock: n.Authority.clock, store: n.store, keyring: n.keyring, revoked: n.revoked}
		twin.settings.Store(n.settings.Load())
		all.Go(func() {
			if err := twin.OpenKeys(context.Background()); err != nil && !errors.Is(err, ErrKeysChanged) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if records, _, err := n.Keys(context.Background()); err != nil || len(records) != 2 {
		t.Errorf("%d keys, %v; want the first and one more", len(records), err)
	}
}

// The process was down when the key was due: it publishes the next one first, and
// the old one signs meanwhile, however old it is.
func TestMissedRotationIsMadeUpFor(t *testing.T) {
	n := openNode(t)
	n.set(t, func(s *Settings) { s.KeyRotation = 90 * 24 * time.Hour })
	old := kid(t, n.access(t).Raw)
	n.clock.advance(400 * 24 * time.Hour)
	n = n.reopened(t)
	if got := kid(t, n.access(t).Raw); got != old {
		t.Errorf("after the start %s signs, want the old key", got)
	}
	n.keep(t)
	states := n.states(t)
	if len(states[KeyFuture]) != 1 || !slices.Equal(states[KeySigning], []string{old}) {
		t.Fatalf("after a minute: %v", states)
	}
	n = n.reopened(t) // the plan outlives a restart
	n.clock.advance(PublishAhead)
	if got := kid(t, n.access(t).Raw); got != states[KeyFuture][0] {
		t.Errorf("later %s signs, want %s", got, states[KeyFuture][0])
	}
}

func TestNoScheduleNoRotation(t *testing.T) {
	n := openNode(t)
	n.clock.advance(1000 * 24 * time.Hour)
	n.keep(t)
	if states := n.states(t); len(states) != 1 || len(states[KeySigning]) != 1 {
		t.Errorf("%v", states)
	}
}

// A wall clock that jumps ahead neither rotates nor retires.
func TestClockThatJumpsAheadRetiresNoKey(t *testing.T) {
	n := openNode(t)
	n.set(t, func(s *Settings) { s.KeyRotation = 90 * 24 * time.Hour })
	n.clock.advance(time.Second)
	n.rotate(t, true)
	steady := n.clock.now().Add(time.Minute)
	n.clock.advance(10 * 365 * 24 * time.Hour)
	if err := n.KeepKeys(context.Background(), steady); err != nil {
		t.Fatal(err)
	}
	if states := n.states(t); len(states[KeyRetired]) != 0 || len(states[KeyFuture]) != 0 {
		t.Errorf("%v", states)
	}
}

// What an old key signed must be able to live out, whatever the setting of the
// lifetime was at any time; then the key goes, and is known no more.
func TestKeyRetiresWhenNothingItSignedCanLive(t *testing.T) {
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		lifetimes []time.Duration // one after the other, before the rotation
		after     time.Duration   // the lifetime after it
		retires   time.Duration
	}{
		"unchanged":                       {[]time.Duration{time.Hour}, time.Hour, time.Hour},
		"shortened before":                {[]time.Duration{10 * day, time.Hour}, time.Hour, 10 * day},
		"shortened after":                 {[]time.Duration{10 * day}, time.Hour, 10 * day},
		"lengthened before":               {[]time.Duration{time.Hour, 10 * day}, 10 * day, 10 * day},
		"lengthened, shortened, restored": {[]time.Duration{10 * day, time.Hour}, 10 * day, 10 * day},
		"lengthened after":                {[]time.Duration{time.Hour}, 10 * day, 10 * day},
	} {
		t.Run(name, func(t *testing.T) {
			n := openNode(t)
			lifetime := func(d time.Duration) {
				n.set(t, func(s *Settings) { s.AccessLifetime = d })
				if err := n.OpenKeys(context.Background()); err != nil { // as a reload does
					t.Fatal(err)
				}
			}
			var raw string
			for _, d := range test.lifetimes {
				lifetime(d)
				raw = n.access(t).Raw
				n.clock.advance(time.Second)
			}
			old := kid(t, raw)
			n.rotate(t, true)
			lifetime(test.after)
			n.clock.advance(test.retires + retentionMargin - time.Second)
			n.keep(t)
			if !n.published(old) {
				t.Fatal("retired too early")
			}
			n = n.reopened(t)
			n.clock.advance(time.Second)
			n.keep(t)
			if n.published(old) || !slices.Equal(n.states(t)[KeyRetired], []string{old}) {
				t.Errorf("not retired: %v", n.states(t))
			}
			refusedAs(t, n, raw, ReasonUnknownKey)
		})
	}
}

func TestRetiredKeyLosesItsPrivateHalf(t *testing.T) {
	n := openNode(t)
	old := kid(t, n.access(t).Raw)
	n.clock.advance(time.Second)
	n.rotate(t, true)
	n.clock.advance(30 * 24 * time.Hour)
	n.keep(t)
	n.keep(t)
	records, _, err := n.Keys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if (r.ID == old) != (len(r.Sealed) == 0) {
			t.Errorf("key %s: %d bytes are sealed", r.ID, len(r.Sealed))
		}
	}
}

// An algorithm that changes while the next key is published: that one must not
// take over later.
func TestChangeOfAlgorithmWithdrawsTheNextKey(t *testing.T) {
	n := openNode(t)
	n.clock.advance(time.Hour)
	next := n.rotate(t, false)
	n.set(t, func(s *Settings) { s.Algorithm = EdDSA })
	n.clock.advance(time.Second)
	for range 3 {
		if err := n.OpenKeys(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	signer := kid(t, n.access(t).Raw)
	n.clock.advance(time.Hour)
	n.keep(t)
	if got := kid(t, n.access(t).Raw); got != signer || got == next {
		t.Errorf("%s signs, want %s", got, signer)
	}
	if states := n.states(t); len(states[KeySigning])+len(states[KeyVerifying]) != 3 {
		t.Errorf("%v", states)
	}
}

func TestRevokedKeyIsReplacedAtOnce(t *testing.T) {
	n := openNode(t)
	before := n.access(t)
	n.judge(t, before.Raw) // cached
	lease, err := n.Check(before.Raw)
	if err != nil {
		t.Fatal(err)
	}
	stolen := kid(t, before.Raw)
	n.clock.advance(time.Second)
	n.killKey(t, stolen)

	if got := n.Judge(lease, n.clock.now()); got != Revoked {
		t.Errorf("a lease from before: %s", got)
	}
	if n.published(stolen) {
		t.Error("the key is still published")
	}
	after := n.access(t).Raw
	if got := n.judge(t, after); got != Live || kid(t, after) == stolen {
		t.Errorf("a token from after: %s by %s", got, kid(t, after))
	}
	n = n.reopened(t)
	refusedAs(t, n, before.Raw, ReasonUnknownKey)
	if got := n.judge(t, after); got != Live {
		t.Errorf("after a restart: %s", got)
	}
	if states := n.states(t); !slices.Equal(states[KeyRevoked], []string{stolen}) || len(states[KeySigning]) != 1 {
		t.Errorf("%v", states)
	}
	n.killKey(t, stolen) // again
	if got := n.judge(t, after); got != Live {
		t.Errorf("after a second revocation: %s", got)
	}
}

// Who has stolen a key writes the epoch that he likes into his tokens: no number
// saves what a killed key signed.
func TestForgedEpochDoesNotOutliveItsKey(t *testing.T) {
	n := openNode(t)
	claims := Claims{
		Issuer: n.Settings().Issuer, Audience: []string{n.Settings().Audience}, Subject: "alice", ClientID: "bot",
		IssuedAt: n.clock.now(), Expires: n.clock.now().Add(time.Hour), ID: "forged", Grant: "forged", Epoch: 1<<63 - 1, Rights: 1<<63 - 1,
	}
	raw, id, err := n.keys.Load().Sign(claims, n.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := n.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	n.clock.advance(time.Second)
	n.killKey(t, id)
	if got := n.Judge(lease, n.clock.now()); got != Revoked {
		t.Errorf("judged %s", got)
	}
}

// A key that is killed while others wait: who signs afterwards.
func TestWhoSignsAfterAKeyWasRevoked(t *testing.T) {
	for name, test := range map[string]struct {
		kill KeyState
		want string // old: as before; next: the published one; fresh: a third
	}{
		"the one that verifies":                 {KeyVerifying, "old"},
		"the next one":                          {KeyFuture, "old"},
		"the one that signs, the next is known": {KeySigning, "next"},
	} {
		t.Run(name, func(t *testing.T) {
			n := openNode(t)
			n.clock.advance(time.Second)
			n.rotate(t, true)
			n.clock.advance(time.Second)
			next := n.rotate(t, false)
			old := kid(t, n.access(t).Raw)
			n.clock.advance(time.Second)
			n.killKey(t, n.states(t)[test.kill][0])
			want := map[string]string{"old": old, "next": next}[test.want]
			if got := kid(t, n.access(t).Raw); got != want {
				t.Errorf("%s signs, want %s", got, want)
			}
			if test.kill == KeyFuture {
				n.clock.advance(1000 * time.Hour) // long after the dead key would have taken over
				n.keep(t)
				if got := kid(t, n.access(t).Raw); got != old {
					t.Errorf("later %s signs", got)
				}
			}
		})
	}
}

// The older key is still there, but it must not come back to sign.
func TestOldKeySignsNoMoreWhenItsSuccessorIsRevoked(t *testing.T) {
	n := openNode(t)
	old := kid(t, n.access(t).Raw)
	n.clock.advance(time.Second)
	successor := n.rotate(t, true)
	n.clock.advance(time.Second)
	n.killKey(t, successor)
	for range 2 {
		if got := kid(t, n.access(t).Raw); got == old || got == successor {
			t.Errorf("%s signs", got)
		}
		n = n.reopened(t)
	}
}

func TestRevokingAKeyThatIsUnknown(t *testing.T) {
	n := openNode(t)
	if _, err := n.RevokeKey(context.Background(), "x", "", store.Event{}); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
