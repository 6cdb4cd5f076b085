package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// History records what concurrent callers asked and were answered, so that
// porcupine can say whether some order of one call after the other explains it.
type History struct {
	clock atomic.Int64
	mu    sync.Mutex
	calls []porcupine.Operation
}

// Call records one call with its answer. Safe for concurrent use.
func (h *History) Call(input any, call func() (output any)) {
	begin := h.clock.Add(1)
	output := call()
	end := h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{Input: input, Call: begin, Output: output, Return: end})
}

// Count returns how many answers say err; nil counts the successes.
func (h *History) Count(err error) (n int) {
	for _, call := range h.calls {
		if answer, ok := call.Output.(Answer); ok && errors.Is(answer.Err, err) {
			n++
		}
	}
	return n
}

// Check fails the test unless the model explains the history.
func (h *History) Check(t testing.TB, model porcupine.Model) {
	t.Helper()
	if h.explained(model) {
		return
	}
	for _, part := range model.Partition(h.calls) {
		if porcupine.CheckOperations(model, part) {
			continue
		}
		for _, call := range part {
			t.Logf("%3d–%3d %s", call.Call, call.Return, model.DescribeOperation(call.Input, call.Output))
		}
		t.Error("no order of these calls explains their answers")
	}
}

func (h *History) explained(model porcupine.Model) bool {
	return porcupine.CheckOperations(model, h.calls)
}

// Verb is what a call of a history does.
type Verb string

// The verbs of histories. Judge asks whether an access token lives.
const (
	Redeem Verb = "redeem"
	Renew  Verb = "renew"
	Judge  Verb = "judge"
)

// Asked is a call in the history of one grant, whose name parts the histories.
type Asked struct {
	Grant  string
	Verb   Verb
	Client string
	Token  string // presented at Renew
	Wrong  bool   // presented at Redeem with what the code was not issued for
	Now    time.Time
}

// Answer is what came of it. Token is the refresh token that was handed out.
type Answer struct {
	Token string
	Err   error
}

// describe is for the reader of a history that has no explanation.
func describe(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) }

// byGrant parts a history: grants do not meet.
func byGrant(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	index := map[string]int{}
	for _, call := range history {
		grant := call.Input.(Asked).Grant //nolint:errcheck // a test's own history: a panic says enough
		at, known := index[grant]
		if !known {
			at = len(parts)
			index[grant] = at
			parts = append(parts, nil)
		}
		parts[at] = append(parts[at], call)
	}
	return parts
}

// codeState is a code as the model of codes sees it.
type codeState struct {
	used   time.Time
	usedBy string
	token  string // that the winner got
	dead   bool   // its grant
}

// CodeModel says that a code is redeemed at most once, that whoever presents it
// with what it was not issued for burns it, that its replay outside of the grace
// kills its grant, and that its refresh and access tokens are
// refused afterwards. The client that a code belongs to is owner.
func CodeModel(owner string, grace time.Duration) porcupine.Model {
	return porcupine.Model{
		Partition: byGrant,
		Init:      func() any { return codeState{} },
		Step: func(state, input, output any) (bool, any) {
			s, asked, got := state.(codeState), input.(Asked), output.(Answer) //nolint:errcheck // as in byGrant
			want := s.step(&asked, got.Token, owner, grace)
			return errors.Is(got.Err, want) && (got.Err == nil) == (want == nil), s
		},
		DescribeOperation: describe,
	}
}

// step returns the answer that must come, and makes s what it is afterwards.
// Token is what a winner got: the model takes note of it.
func (s *codeState) step(asked *Asked, token, owner string, grace time.Duration) error {
	switch {
	case asked.Verb == Renew && asked.Token != s.token:
		return store.ErrNotFound
	case asked.Verb != Redeem && s.dead:
		return store.ErrRevoked
	case asked.Verb != Redeem:
		return nil
	case s.used.IsZero():
		s.used, s.usedBy = asked.Now, asked.Client
		if asked.Client != owner {
			return store.ErrOtherClient
		}
		if asked.Wrong {
			s.usedBy = "" // burnt: nobody redeemed it
			return store.ErrMismatch
		}
		s.token = token
		return nil
	case asked.Client != owner:
		return store.ErrOtherClient
	case s.usedBy == owner && asked.Now.Sub(s.used).Abs() <= grace:
		return store.ErrResent
	}
	s.dead = true
	return store.ErrReplayed
}

// familyState is a family of refresh tokens. The last link is the head.
type familyState struct {
	links   []string
	rotated []time.Time // of all links but the head
	dead    bool
}

// FamilyModel says that a family has one head at a time, which everybody gets
// who presents a token of it within the window after its rotation, and that a
// token that comes back later kills the family. First is the token that each
// grant's family begins with.
func FamilyModel(first func(grant string) string, window time.Duration) porcupine.Model {
	return porcupine.Model{
		Partition: byGrant,
		Init:      func() any { return familyState{} },
		Step: func(state, input, output any) (bool, any) {
			s, asked, got := state.(familyState), input.(Asked), output.(Answer) //nolint:errcheck // as in byGrant
			if s.links == nil {
				s.links = []string{first(asked.Grant)}
			}
			next, want := s.step(&asked, &got, window)
			return errors.Is(got.Err, want.Err) && (got.Err == nil) == (want.Err == nil) && got.Token == want.Token, next
		},
		Equal: func(a, b any) bool {
			s, o := a.(familyState), b.(familyState) //nolint:errcheck // as in byGrant
			return s.dead == o.dead && slices.Equal(s.links, o.links) && slices.Equal(s.rotated, o.rotated)
		},
		DescribeOperation: describe,
	}
}

// step returns the family afterwards, and the answer that must come. A rotation
// puts there what its caller was told, unless somebody has it already.
func (s familyState) step(asked *Asked, got *Answer, window time.Duration) (familyState, Answer) {
	at := slices.Index(s.links, asked.Token)
	head := len(s.links) - 1
	switch {
	case at < 0:
		return s, Answer{Err: store.ErrNotFound}
	case s.dead:
		return s, Answer{Err: store.ErrRevoked}
	case at < head && asked.Now.Sub(s.rotated[at]).Abs() <= window:
		return s, Answer{Token: s.links[head]}
	case at < head:
		s.dead = true
		return s, Answer{Err: store.ErrReused}
	case got.Token == "" || slices.Contains(s.links, got.Token):
		return s, Answer{Token: "a new one"}
	}
	s.links, s.rotated = append(slices.Clone(s.links), got.Token), append(slices.Clone(s.rotated), asked.Now)
	return s, Answer{Token: got.Token}
}

// known reduces an error to the one of the contract, for a history to be read.
func known(err error) error {
	for _, fact := range []error{
		store.ErrNotFound, store.ErrExpired, store.ErrRevoked, store.ErrReplayed, store.ErrResent, store.ErrOtherClient,
		store.ErrMismatch, store.ErrReused,
	} {
		if errors.Is(err, fact) {
			return fact
		}
	}
	return err
}

var historyCases = []testCase{
	{"codes that many redeem at once", func(w *world) {
		const grants, callers, grace = 15, 8, 5 * time.Second
		h := new(History)
		for g := range grants {
			w.issue(fmt.Sprint("g", g))
		}
		race(grants*callers, func(i int) error {
			grant, caller := fmt.Sprint("g", i%grants), i/grants
			asked := Asked{Grant: grant, Verb: Redeem, Client: app, Now: now.Add(time.Duration(caller%3) * 4 * time.Second)}
			if caller == callers-1 && i%3 == 0 && i%grants != 0 {
				asked.Client = thief
			}
			asked.Wrong = i%grants == 0 || caller == 0 && i%2 == 0 // whoever asks for the first code
			secret := fmt.Sprint("refresh ", i)
			w.recordRedeem(h, asked, secret, grace)
			w.recordRenew(h, Asked{Grant: grant, Verb: Renew, Client: app, Token: secret, Now: now}, "next "+secret)
			asked.Now = now.Add(time.Duration(i%4) * 4 * time.Second)
			w.recordRedeem(h, asked, secret+" again", grace)
			w.recordRenew(h, Asked{Grant: grant, Verb: Renew, Client: app, Token: secret, Now: now}, "after "+secret)
			return nil
		})
		h.Check(w.T, CodeModel(app, grace))
		for _, err := range []error{nil, store.ErrReplayed, store.ErrMismatch} {
			if h.Count(err) == 0 {
				w.Errorf("the history has no answer %v: it proves little", err)
			}
		}
	}},
	{"families that many renew at once", func(w *world) {
		const grants, callers = 15, 6
		h := new(History)
		for g := range grants {
			w.issue(fmt.Sprint("g", g))
		}
		race(grants*callers, func(i int) error {
			grant, caller := fmt.Sprint("g", i%grants), i/grants
			first := "token " + grant
			token := first
			for step := range 4 {
				asked := Asked{Grant: grant, Verb: Renew, Client: app, Token: token, Now: now.Add(time.Duration(step) * time.Second)}
				token = w.recordRenew(h, asked, fmt.Sprintf("%d.%d", i, step))
			}
			if caller == 0 && i%2 == 0 { // a thief's copy
				w.recordRenew(h, Asked{Grant: grant, Verb: Renew, Client: app, Token: first, Now: now.Add(time.Minute)}, fmt.Sprint("stolen ", i))
			}
			return nil
		})
		h.Check(w.T, FamilyModel(func(grant string) string { return "token " + grant }, 30*time.Second))
		for _, err := range []error{nil, store.ErrReused} {
			if h.Count(err) == 0 {
				w.Errorf("the history has no answer %v: it proves little", err)
			}
		}
	}},
}

// recordRedeem redeems for a refresh token of that secret.
func (w *world) recordRedeem(h *History, asked Asked, secret string, grace time.Duration) {
	h.Call(asked, func() any {
		_, err := w.redeem(asked.Grant, func(r *store.Redeem) {
			r.Client, r.Now, r.ResendGrace, r.Token = asked.Client, asked.Now, grace, refresh(secret)
			if asked.Wrong {
				r.Challenge = "of another verifier"
			}
		})
		if err != nil {
			return Answer{Err: known(err)}
		}
		return Answer{Token: secret}
	})
}

// recordRenew renews and returns the head that it got.
func (w *world) recordRenew(h *History, asked Asked, successor string) (head string) {
	h.Call(asked, func() any {
		r, err := w.renew(asked.Token, successor, func(r *store.Renew) {
			r.Client, r.Now, r.Retry = asked.Client, asked.Now, store.RetryRule{Window: 30 * time.Second}
		})
		if err != nil {
			return Answer{Err: known(err)}
		}
		head = secretOf(r.Head())
		return Answer{Token: head}
	})
	return head
}
