package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// counted returns a Secrets with slots of its own whose computations are
// counted, and last for a while.
func counted(last time.Duration) (*Secrets, *atomic.Int64) {
	s, n := NewSecrets(fixedKeyring()), new(atomic.Int64)
	s.slots = make(chan struct{}, argonAtOnce)
	s.compute = func(h *argonHash, secret string) []byte {
		n.Add(1)
		time.Sleep(last)
		if h.memory > 64 {
			return make([]byte, 16) // the dummy: nothing fits it
		}
		return h.compute(secret)
	}
	return s, n
}

func mustVerify(t *testing.T, s *Secrets, encoded, presented string) bool {
	t.Helper()
	ok, err := s.Verify(t.Context(), encoded, presented)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestVerifyWithRealCosts(t *testing.T) {
	encoded, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSecrets(fixedKeyring())
	if !mustVerify(t, s, encoded, "correct horse") || mustVerify(t, s, encoded, "battery staple") || mustVerify(t, s, "", "correct horse") {
		t.Error("judged wrongly")
	}
}

func TestEveryFailureCostsOneComputation(t *testing.T) {
	encoded := chosen("right")
	generated := fixedKeyring().HashSecret("right")
	for name, tc := range map[string]struct{ encoded, presented string }{
		"unknown client":            {"", "right"},
		"unknown client, no secret": {"", ""},
		"client without a secret":   {NoSecret("client"), "right"},
		"chosen, wrong":             {encoded, "wrong"},
		"chosen, empty":             {encoded, ""},
		"chosen, longer":            {encoded, "right\x00"},
		"generated, wrong":          {generated, "wrong"},
		"generated, empty":          {generated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := counted(0)
			for round := range 3 {
				if mustVerify(t, s, tc.encoded, tc.presented) {
					t.Fatal("accepted")
				}
				if n.Load() != int64(round+1) {
					t.Fatalf("%d computations after %d failures", n.Load(), round+1)
				}
			}
		})
	}
}

// Who has two secrets fails at the same price as who has one, or as nobody: the time
// doesn't tell that a secret is being replaced.
func TestVerifyEitherCostsOneComputationWhateverFails(t *testing.T) {
	k := fixedKeyring()
	generated, old := k.HashSecret("right"), k.HashSecret("before")
	for name, encoded := range map[string]string{"generated": generated, "chosen": chosen("right"), "none": NoSecret("client")} {
		for _, second := range []string{"", old, chosen("before"), NoSecret("client")} {
			s, n := counted(0)
			for round := range 3 {
				fits, byOld, err := s.VerifyEither(t.Context(), encoded, second, "wrong")
				if fits || byOld || err != nil || n.Load() != int64(round+1) {
					t.Errorf("%s, old %q: %v, %v, %v after %d computations", name, second, fits, byOld, err, n.Load())
				}
			}
		}
	}
	s, _ := counted(0)
	for presented, want := range map[string][2]bool{"right": {true, false}, "before": {true, true}, "": {}, strings.Repeat("x", maxSecretLength+1): {}} {
		if fits, byOld, err := s.VerifyEither(t.Context(), generated, old, presented); [2]bool{fits, byOld} != want || err != nil {
			t.Errorf("%.10q: %v, %v, %v", presented, fits, byOld, err)
		}
	}
	for _, second := range []string{chosen("before"), "", NoSecret("client")} {
		if fits, _, err := s.VerifyEither(t.Context(), generated, second, "before"); fits || err != nil {
			t.Errorf("old %q: %v, %v", second, fits, err)
		}
	}
}

func TestDummyCostsAsMuchAsHashPassword(t *testing.T) {
	encoded, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseArgon(encoded)
	if err != nil {
		t.Fatal(err)
	}
	d := NewSecrets(fixedKeyring()).dummy
	if d.memory != h.memory || d.passes != h.passes || d.lanes != h.lanes || len(d.sum) != len(h.sum) || len(d.salt) != len(h.salt) {
		t.Errorf("dummy %s, real %s", d, h)
	}
}

func TestGeneratedSecretsCostNothing(t *testing.T) {
	s, n := counted(0)
	raw, _ := fixedKeyring().NewOpaque(ClassSecret)
	encoded := fixedKeyring().HashSecret(raw)
	if !mustVerify(t, s, encoded, raw) || n.Load() != 0 {
		t.Errorf("%d computations", n.Load())
	}
	if strings.Contains(encoded, raw) {
		t.Error("the hash holds the secret")
	}
}

func TestSuccessIsRemembered(t *testing.T) {
	s, n := counted(0)
	encoded := chosen("right")
	for range 3 {
		if !mustVerify(t, s, encoded, "right") {
			t.Fatal("refused")
		}
	}
	if n.Load() != 1 {
		t.Errorf("%d computations for the same secret", n.Load())
	}
	if mustVerify(t, s, encoded, "wrong") || n.Load() != 2 {
		t.Errorf("a wrong secret was answered from memory (%d)", n.Load())
	}
	if !mustVerify(t, s, encoded, "right") || n.Load() != 2 {
		t.Errorf("a wrong secret made it forget the right one (%d)", n.Load())
	}
}

func TestChangedHashIsNotAnsweredFromMemory(t *testing.T) {
	s, n := counted(0)
	if !mustVerify(t, s, chosen("old"), "old") {
		t.Fatal("refused")
	}
	if mustVerify(t, s, chosen("new"), "old") || n.Load() != 2 {
		t.Errorf("the old secret fits the new hash (%d computations)", n.Load())
	}
	if !mustVerify(t, s, chosen("new"), "new") || n.Load() != 3 {
		t.Errorf("the new secret does not (%d computations)", n.Load())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s, _ := counted(0)
	for i := range maxRemembered + 100 {
		encoded := fmt.Sprint("hash ", i)
		s.remember(encoded, s.proof(encoded, "x"))
		if !s.recalls(encoded, s.proof(encoded, "x")) {
			t.Fatal("the newest was forgotten")
		}
	}
	if len(s.remembered) != maxRemembered {
		t.Errorf("%d remembered", len(s.remembered))
	}
}

func TestProofsOfOtherPairsDiffer(t *testing.T) {
	s, _ := counted(0)
	if s.proof("ab", "c") == s.proof("a", "bc") || NewSecrets(fixedKeyring()).proof("a", "b") == s.proof("a", "b") {
		t.Error("two proofs are the same")
	}
}

func TestLongSecretsAreNotHashed(t *testing.T) {
	s, n := counted(0)
	for _, encoded := range []string{"", chosen("x"), fixedKeyring().HashSecret("x")} {
		if mustVerify(t, s, encoded, strings.Repeat("x", maxSecretLength+1)) || n.Load() != 0 {
			t.Errorf("%d computations", n.Load())
		}
	}
}

func TestUnreadableHashesAreErrors(t *testing.T) {
	s, _ := counted(0)
	for name, encoded := range map[string]string{
		"plain text":        "presented",
		"broken":            "$argon2id$v=19$m=64$presented",
		"too dear":          "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"broken, generated": "$hmac-sha256$presented",
	} {
		ok, err := s.Verify(t.Context(), encoded, "presented")
		if ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		} else if strings.Contains(err.Error(), "presented") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

// The secret is right, but the root key that hashed it was forgotten, or belongs to
// another environment: it is refused as a wrong one is, at the same price.
func TestSecretOfAnUnknownRootKeyIsWrong(t *testing.T) {
	for name, keyring := range map[string]*Keyring{
		"another root key":    NewKeyring(&RootKey{secret: hide([rootKeySize]byte{1})}, store.Production),
		"another environment": NewKeyring(fixedRoot(), store.Sandbox),
	} {
		s, n := counted(0)
		if mustVerify(t, s, keyring.HashSecret("presented"), "presented") || n.Load() != 1 {
			t.Errorf("%s: accepted, or %d computations", name, n.Load())
		}
	}
}

func TestSimultaneousChecksShareOneComputation(t *testing.T) {
	for presented, want := range map[string]bool{"right": true, "wrong": false} {
		synctest.Test(t, func(t *testing.T) {
			s, n := counted(10 * time.Millisecond)
			encoded := chosen("right")
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if ok, err := s.Verify(t.Context(), encoded, presented); ok != want || err != nil {
						t.Errorf("%s: %v, %v", presented, ok, err)
					}
				})
			}
			wg.Wait()
			if n.Load() != 1 {
				t.Errorf("%s: %d computations", presented, n.Load())
			}
		})
	}
}

func TestUnknownClientsShareAsKnownOnesDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := counted(10 * time.Millisecond)
		var wg sync.WaitGroup
		for _, encoded := range []string{NoSecret("a"), NoSecret("a"), NoSecret("b")} {
			wg.Go(func() {
				if ok, err := s.Verify(t.Context(), encoded, "guess"); ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
			})
		}
		wg.Wait()
		if n.Load() != 2 {
			t.Errorf("%d computations for two clients", n.Load())
		}
	})
}

func TestAtMostTwoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := counted(0)
		var running, most atomic.Int64
		s.compute = func(*argonHash, string) []byte {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(10 * time.Millisecond)
			running.Add(-1)
			return make([]byte, 16)
		}
		encoded := chosen("right")
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := s.Verify(t.Context(), encoded, fmt.Sprint("guess ", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != argonAtOnce {
			t.Errorf("%d at once", most.Load())
		}
	})
}

// occupy has every slot taken when it returns, and returns how to wait for them.
func occupy(t *testing.T, s *Secrets) (wait func()) {
	var wg sync.WaitGroup
	for i := range argonAtOnce {
		wg.Go(func() {
			if _, err := s.Verify(t.Context(), "", fmt.Sprint("guess ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
	return wg.Wait
}

func TestBusyAfterOneSecond(t *testing.T) {
	for name, encoded := range map[string]string{
		"chosen": chosen("right"), "generated": fixedKeyring().HashSecret("right"), "unknown": NoSecret("x"),
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := counted(1500 * time.Millisecond)
			defer occupy(t, s)()
			began := time.Now()
			ok, err := s.Verify(t.Context(), encoded, "three")
			if ok || !errors.Is(err, ErrBusy) || time.Since(began) != argonPatience {
				t.Errorf("%s: %v, %v after %v", name, ok, err, time.Since(began))
			}
		})
	}
}

func TestWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := counted(900 * time.Millisecond)
		defer occupy(t, s)()
		if !mustVerify(t, s, chosen("right"), "right") {
			t.Error("refused")
		}
	})
}

func TestCallerWhoGoesAwayDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := counted(100 * time.Millisecond)
		encoded := chosen("right")
		gone, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if ok, err := s.Verify(gone, encoded, "right"); ok || !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v, %v", ok, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if ok, err := s.Verify(t.Context(), encoded, "right"); !ok || err != nil {
				t.Errorf("who stayed got %v, %v", ok, err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("%d computations", n.Load())
		}
	})
}

func BenchmarkVerifySecret(b *testing.B) {
	s := NewSecrets(fixedKeyring())
	chosen, err := HashPassword("right")
	if err != nil {
		b.Fatal(err)
	}
	for name, tc := range map[string]struct{ encoded, presented string }{
		"generated": {fixedKeyring().HashSecret("right"), "right"},
		"chosen":    {chosen, "right"},
		"wrong":     {chosen, "wrong"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Verify(context.Background(), tc.encoded, tc.presented)
			}
		})
	}
}
