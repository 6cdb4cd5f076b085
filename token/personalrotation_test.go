package token

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// openPersonalNode is a node whose personal tokens are as they are made.
func openPersonalNode(t testing.TB) *node {
	t.Helper()
	n := openNode(t)
	n.update(t, func(tx store.Writer) error {
		return tx.PutClient(store.Client{Environment: store.Sandbox, ID: store.PersonalClient, Status: store.Active, Source: store.BuiltIn})
	})
	return n
}

// rotate issues the successor of a token that is presented.
func (n *node) rotatePersonal(t testing.TB, raw string, overlap time.Duration) (Rotated, error) {
	t.Helper()
	return n.RotatePersonal(t.Context(), Rotation{
		Token: n.check(t, raw).ID, Owner: "alice", Successor: NewID(), Overlap: overlap,
		Event: func(action, target string) store.Event {
			return store.Event{Actor: "user:alice", Action: action, Target: target, Outcome: "ok"}
		},
	})
}

func TestRotatedTokenAndSuccessorOverlap(t *testing.T) {
	n := openPersonalNode(t)
	limits := store.Token{
		Label: "bot", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Rate: store.Rate{Requests: 9, Per: time.Minute},
		Expires: n.clock.now().Add(30 * 24 * time.Hour),
	}
	raw, _ := n.personal(t, store.PersonalClient, limits)
	old := n.check(t, raw)
	n.clock.advance(10 * 24 * time.Hour)
	got, err := n.rotatePersonal(t, raw, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	next := n.check(t, got.Value)
	if next.ID == old.ID || fmt.Sprint(next.Scopes, next.Accounts) != fmt.Sprint(old.Scopes, old.Accounts) ||
		next.Personal.Label != "bot" || fmt.Sprint(next.Personal.Networks) != "[192.0.2.0/24]" || next.Personal.Rate != limits.Rate {
		t.Errorf("the successor is %+v %+v", next.Facts, next.Personal)
	}
	if life := next.Expires.Sub(n.clock.now()); life > 30*24*time.Hour || life < 30*24*time.Hour-time.Second {
		t.Errorf("it lives for %s", life)
	}
	if want := n.clock.now().Add(24 * time.Hour); got.Ends.Sub(want).Abs() > time.Second {
		t.Errorf("the old one ends at %s, want %s", got.Ends, want)
	}
	again, err := n.Recheck(old)
	if err != nil || n.Judge(again, n.clock.now()) != Live || again.Expires.Sub(got.Ends).Abs() > time.Second {
		t.Errorf("the old one: %v, %v", again, err)
	}
	if _, err := n.rotatePersonal(t, raw, time.Hour); !errors.Is(err, ErrRotated) {
		t.Errorf("rotated twice: %v", err)
	}
	n.clock.advance(24 * time.Hour)
	if verdict := n.Judge(again, n.clock.now()); verdict != Expired {
		t.Errorf("after the overlap: %s", verdict)
	}
	if fresh, err := n.Recheck(next); err != nil || n.Judge(fresh, n.clock.now()) != Live {
		t.Errorf("the successor ended too: %v", err)
	}
}

func TestOverlapOfARotationIsNeverLongerThanTheTokenLives(t *testing.T) {
	n := openPersonalNode(t)
	ends := n.clock.now().Add(time.Hour).Truncate(time.Second)
	raw, _ := n.personal(t, store.PersonalClient, store.Token{Expires: ends})
	got, err := n.rotatePersonal(t, raw, 7*24*time.Hour)
	if err != nil || !got.Ends.Equal(ends) {
		t.Errorf("ends at %s, %v; want %s", got.Ends, err, ends)
	}
	for _, overlap := range []time.Duration{-1, MaxOverlap + 1} {
		if _, err := n.rotatePersonal(t, got.Value, overlap); err == nil {
			t.Errorf("an overlap of %s", overlap)
		}
	}
}

func TestRotationWithoutOverlapEndsAtOnce(t *testing.T) {
	n := openPersonalNode(t)
	raw, _ := n.personal(t, store.PersonalClient, store.Token{})
	lease := n.check(t, raw)
	got, err := n.rotatePersonal(t, raw, 0)
	if err != nil {
		t.Fatal(err)
	}
	if verdict := n.Judge(lease, n.clock.now()); verdict != Revoked {
		t.Errorf("the old one is %s", verdict)
	}
	if fresh := n.check(t, got.Value); !fresh.Expires.IsZero() || n.Judge(fresh, n.clock.now()) != Live {
		t.Errorf("the successor: %+v", fresh.Facts)
	}
}

// A rotation must not be the way to more than its owner has.
func TestRotationOfWhatItsOwnerMayNotHaveIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(store.Writer) error
		flaw   Flaw
		err    error
	}{
		"scope taken away": {change: func(tx store.Writer) error {
			return tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: []string{"read:a"}, Status: store.Active})
		}, flaw: FlawScopeAbove},
		"account taken away": {change: func(tx store.Writer) error { return tx.DeleteBinding(store.Sandbox, "alice", "1") }, flaw: FlawAccount},
		"account in part": {change: func(tx store.Writer) error {
			return tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "alice", Account: "1", Access: store.Partial, Scopes: []string{"read:a"}})
		}, flaw: FlawAccountInPart},
		"owner disabled": {change: func(tx store.Writer) error {
			return tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: []string{"all:a"}, Status: store.Disabled})
		}, err: ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			n := openPersonalNode(t)
			raw, _ := n.personal(t, store.PersonalClient, store.Token{})
			lease := n.check(t, raw)
			n.update(t, test.change)
			_, err := n.rotatePersonal(t, raw, time.Hour)
			var why *Unfit
			if test.err != nil && !errors.Is(err, test.err) || test.err == nil && (!errors.As(err, &why) || why.Flaw != test.flaw) {
				t.Errorf("%v", err)
			}
			n.update(t, func(tx store.Writer) error {
				one, err := PersonalByID(tx, store.Sandbox, lease.ID, "alice", n.Now())
				if !one.Rotated.IsZero() || !one.Expires.IsZero() {
					t.Errorf("the old one was changed: %+v", one.Token)
				}
				return err
			})
		})
	}
}

func TestRotationOfATokenOfSomebodyElse(t *testing.T) {
	n := openPersonalNode(t)
	raw, _ := n.personal(t, store.PersonalClient, store.Token{})
	ofClient, _ := n.personal(t, "bot", store.Token{})
	for name, r := range map[string]Rotation{
		"other owner": {Token: n.check(t, raw).ID, Owner: "bob"}, "of a client": {Token: n.check(t, ofClient).ID, Owner: "alice"}, "unknown": {Token: "nothing"},
	} {
		if _, err := n.RotatePersonal(t.Context(), r); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
