package token

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// present proves tokens from one address, many at once, and returns how many
// were refused because there were too many. None may be good.
func (n *node) present(t testing.TB, address func(i int) string, tokens []string) (shed int) {
	t.Helper()
	n.failures.sleep = func(time.Duration) {} // its turn is what counts
	var mu sync.Mutex
	var wg sync.WaitGroup
	const callers = 128
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < len(tokens); i += callers {
				_, err := n.Prove(tokens[i], address(i))
				if _, ok := errors.AsType[*Overloaded](err); ok {
					mu.Lock()
					shed++
					mu.Unlock()
				} else if _, ok := errors.AsType[*Invalid](err); !ok {
					t.Errorf("made-up token: %v", err)
				}
			}
		})
	}
	wg.Wait()
	return shed
}

func at(address string) func(int) string { return func(int) string { return address } }

const attacker, bystander = "198.51.100.7", "203.0.113.9"

// forged are tokens with the header of a good one and signatures of nobody.
func (n *node) forged(t testing.TB, count int) (tokens []string) {
	t.Helper()
	good := n.access(t).Raw
	head := good[:strings.LastIndexByte(good, '.')+1]
	for i := range count {
		tokens = append(tokens, fmt.Sprintf("%s%085dA", head, i))
	}
	return tokens
}

// unissued are opaque tokens with the right check that no store knows, as those
// of a database that was lost.
func (n *node) unissued(count int) (tokens []string) {
	for range count {
		raw, _ := n.Keyring().NewOpaque(store.Personal)
		tokens = append(tokens, raw)
	}
	return tokens
}

// lane is how many turns of the slow lane there are at one instant: the first at
// once, the others until it takes too long.
const lane = int(suspectsPatience*suspectsPerSecond/time.Second) + 1

// The clock stands still, so that what is counted is all that there is room for.
func TestFloodFromOneAddressIsBounded(t *testing.T) {
	for _, kind := range []string{WorkVerify, WorkLookup} {
		t.Run(kind, func(t *testing.T) {
			n := openNode(t)
			const flood = 5000
			tokens, atATime := n.forged(t, flood), verifyAtATime()
			if kind == WorkLookup {
				tokens, atATime = n.unissued(flood), lookupAtATime()
			}
			known, late, unrelated := n.access(t).Raw, n.access(t).Raw, n.access(t).Raw
			if got := n.judge(t, known); got != Live {
				t.Fatal(got)
			}
			before := n.works(kind)
			shed := n.present(t, at(attacker), tokens)
			after := n.works(kind)
			done := int(after.Done - before.Done)
			if most := failuresPerAddress + lane + atATime; done < failuresPerAddress || done > most {
				t.Errorf("%d tokens were worked on; want between %d and %d", done, failuresPerAddress, most)
			}
			if shed != flood-done || int(after.Shed-before.Shed) != shed {
				t.Errorf("%d of %d were refused, %d counted", shed, flood-done, after.Shed-before.Shed)
			}

			if n.Cached(known) == nil {
				t.Error("the flood cost a good token its place in the cache")
			}
			if _, err := n.Prove(unrelated, bystander); err != nil {
				t.Errorf("a new token from elsewhere: %v", err)
			}
			overloaded, _ := errors.AsType[*Overloaded](last(n.Prove(late, attacker)))
			if overloaded == nil || !overloaded.Address || !errors.Is(overloaded, store.ErrUnavailable) {
				t.Errorf("a good token from the attacker's address at once: %v", overloaded)
			}
			n.clock.advance(suspectsPatience)
			if _, err := n.Prove(late, attacker); err != nil {
				t.Errorf("a good token from the attacker's address, after a moment: %v", err)
			}
			n.clock.advance(time.Minute)
			if n.failures.suspects(n.failures.at(attacker), n.Now()) {
				t.Error("the address is remembered for more than a minute")
			}
		})
	}
}

func last[T any](_ T, err error) error { return err }

func (n *node) works(kind string) WorkCount {
	verify, lookup := n.Work()
	if kind == WorkVerify {
		return verify
	}
	return lookup
}

// What is free comes back evenly, and not as soon as anything has.
func TestFloodThatGoesOnStaysBounded(t *testing.T) {
	n := openNode(t)
	const seconds, flood = 10, 1000
	tokens := n.unissued(seconds * flood)
	n.present(t, at(attacker), tokens[:flood])
	before := n.works(WorkLookup).Done
	for second := range seconds - 1 {
		// Each step would do for one failure, if an almost full bucket had room.
		n.clock.advance(time.Second)
		n.present(t, at(attacker), tokens[(second+1)*flood:][:flood])
	}
	done := int(n.works(WorkLookup).Done - before)
	if most := (seconds - 1) * (1 + lane + lookupAtATime()); done > most {
		t.Errorf("%d tokens were looked up in %d s; want %d at most", done, seconds-1, most)
	}
}

// From as many addresses as one likes the work is bounded as well, and who never
// failed is the last to notice.
func TestFloodFromManyAddressesIsBounded(t *testing.T) {
	n := openNode(t)
	const flood = 5000
	tokens, newcomer := n.unissued(flood), n.access(t).Raw
	before := n.works(WorkLookup)
	n.present(t, func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, tokens)
	done := int(n.works(WorkLookup).Done - before.Done)
	least := failuresOverall - failuresOverall/failuresPerAddress // then a newcomer's share has no room
	if most := failuresOverall + lane + lookupAtATime(); done < least || done > most {
		t.Errorf("%d tokens were looked up; want between %d and %d", done, least, most)
	}
	overloaded, _ := errors.AsType[*Overloaded](last(n.Prove(newcomer, bystander)))
	if overloaded == nil || overloaded.Address {
		t.Errorf("a newcomer in that instant: %v; want him refused for what others do", overloaded)
	}
	n.clock.advance(10 * time.Millisecond)
	if _, err := n.Prove(newcomer, bystander); err != nil {
		t.Errorf("a newcomer 10 ms later: %v", err)
	}
}

// What is refused by its form takes no work, and is not counted.
func TestTokensRefusedByTheirFormAreNoWork(t *testing.T) {
	n, other := openNode(t), openNode(t)
	wrongCheck := n.unissued(1)[0]
	wrongCheck = wrongCheck[:len(wrongCheck)-base62Width48] + strings.Repeat("0", base62Width48)
	shortSignature := n.forged(t, 1)[0][:100]
	unknownKey := other.access(t).Raw
	before, beside := n.Work()
	for _, raw := range []string{
		"garbage", wrongCheck, unknownKey, other.unissued(1)[0], shortSignature,
		strings.Repeat("A", 1<<20), "cb_test_personal_", "cb_live_personal_0000",
	} {
		for range 2 * failuresPerAddress {
			if _, err := n.Prove(raw, attacker); errors.Is(err, store.ErrUnavailable) || err == nil {
				t.Fatalf("%.60s: %v", raw, err)
			}
		}
	}
	if verify, lookup := n.Work(); verify != before || lookup != beside {
		t.Errorf("signatures: %+v, before %+v; look-ups: %+v, before %+v", verify, before, lookup, beside)
	}
	if n.failures.suspects(n.failures.at(attacker), n.Now()) {
		t.Error("they were counted")
	}
}

// A dead token that somebody goes on presenting costs one look-up in a minute.
func TestReplayOfADeadTokenIsCheap(t *testing.T) {
	n := openNode(t)
	n.failures.sleep = func(time.Duration) {}
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	standing := n.grant(t, store.Token{
		Environment: store.Sandbox, ID: NewID(), Hash: hash, Class: store.Personal, KeyID: n.Keyring().KeyID(), Created: n.Now(),
	})
	n.revoke(t, store.KindGrant, standing.Grant.ID)
	for kind, dead := range map[Reason]string{ReasonRevoked: raw, ReasonUnknown: n.unissued(1)[0], ReasonSignature: n.forged(t, 1)[0]} {
		replay := func() uint64 {
			verify, lookup := n.Work()
			for range 500 {
				_, err := n.Prove(dead, attacker)
				if invalid, _ := errors.AsType[*Invalid](err); invalid == nil || invalid.Reason != kind {
					t.Fatalf("%s: %v", kind, err)
				}
			}
			verified, lookedUp := n.Work()
			return verified.Done - verify.Done + lookedUp.Done - lookup.Done
		}
		if got := replay(); got != 1 {
			t.Errorf("%s: worked on %d times", kind, got)
		}
		n.clock.advance(refusedLife)
		if got := replay(); got != 1 {
			t.Errorf("%s, a minute later: worked on %d times", kind, got)
		}
	}
}

// What was refused for a reason that may go away is good as soon as it has.
func TestRefusalsThatAreNotForGoodAreNotRemembered(t *testing.T) {
	n := openNode(t)
	alice := store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: []string{"all:a"}, Status: store.Disabled}
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	n.grant(t, store.Token{
		Environment: store.Sandbox, ID: NewID(), Hash: hash, Class: store.Personal, KeyID: n.Keyring().KeyID(), Created: n.Now(),
	})
	n.update(t, func(tx store.Writer) error { return tx.PutPrincipal(alice) })
	refusedAs(t, n, raw, ReasonRevoked)
	alice.Status = store.Active
	n.update(t, func(tx store.Writer) error { return tx.PutPrincipal(alice) })
	if _, err := n.Check(raw); err != nil {
		t.Errorf("its owner was enabled again: %v", err)
	}

	early := n.Now().Add(time.Minute)
	c := Claims{
		Issuer: "https://as.test", Audience: []string{"https://gw.test"}, Subject: "alice", ClientID: "bot", Grant: "g", ID: NewID(),
		IssuedAt: early, Expires: early.Add(time.Minute),
	}
	ahead, _, err := n.keys.Load().Sign(c, n.Now())
	if err != nil {
		t.Fatal(err)
	}
	refusedAs(t, n, ahead, ReasonNotYetValid)
	n.clock.advance(time.Minute)
	if _, err := n.Check(ahead); err != nil {
		t.Errorf("its time has come: %v", err)
	}
}

// A fleet whose tokens have all expired, or were revoked at once, is not slowed:
// its next tokens come from the same address.
func TestTokensThatWereOursAreNotCounted(t *testing.T) {
	n := openNode(t)
	var tokens []string
	for range 2 * failuresPerAddress {
		tokens = append(tokens, n.access(t).Raw)
	}
	n.clock.advance(2 * time.Hour)
	if shed := n.present(t, at(attacker), tokens); shed != 0 {
		t.Errorf("%d were refused unseen", shed)
	}
	if n.failures.suspects(n.failures.at(attacker), n.Now()) {
		t.Error("the fleet's address is slowed")
	}
}

func TestFailuresAreCountedByCustomer(t *testing.T) {
	f := newFailures(noon)
	for _, same := range [][2]string{
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"},
		{"fe80::1", "fe80::2%eth0"},
	} {
		if f.at(same[0]) != f.at(same[1]) {
			t.Errorf("%s and %s are counted apart", same[0], same[1])
		}
	}
	apart := []string{"192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1", "", "@"}
	buckets := map[*bucket]bool{}
	for _, address := range apart {
		buckets[f.at(address)] = true
	}
	if len(buckets) < len(apart)-1 { // two may share a bucket, once in 4,000 runs
		t.Errorf("%d addresses have %d buckets", len(apart), len(buckets))
	}
}

// Who waits for a turn waits in the order of arrival, and not for ever.
func TestTurnsAreTakenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(WorkVerify, 1)
		if err := w.enter(); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				if w.enter() == nil {
					order <- i
					time.Sleep(10 * time.Millisecond)
					w.leave()
				}
			}()
			synctest.Wait()
		}
		begin := time.Now()
		w.leave()
		for i := range 3 {
			if got := <-order; got != i {
				t.Errorf("turn %d went to %d", i, got)
			}
		}
		time.Sleep(10 * time.Millisecond)
		if got := time.Since(begin); got != 30*time.Millisecond {
			t.Errorf("three turns took %s", got)
		}

		if err := w.enter(); err != nil {
			t.Fatal(err)
		}
		begin = time.Now()
		if err := w.enter(); !errors.Is(err, store.ErrUnavailable) || time.Since(begin) != turnPatience {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if got := w.count(); got != (WorkCount{Shed: 1}) {
			t.Errorf("counted %+v", got)
		}
	})
}
