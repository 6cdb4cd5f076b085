package token

import (
	"fmt"
	"hash/maphash"
	"testing"
)

// Tokens share only what is equal in all that is shared.
func TestCommonPartOfTokens(t *testing.T) {
	s := &shared{seed: maphash.MakeSeed()}
	facts := func() Facts {
		return Facts{Subject: "alice", Client: "bot", Scopes: []string{"a", "b"}, Accounts: []string{"1"}}
	}
	first, second := facts(), facts()
	c := s.of(&first)
	if s.of(&second) != c || &second.Scopes[0] != &first.Scopes[0] {
		t.Error("equal facts share nothing")
	}
	for name, change := range map[string]func(*Facts){
		"subject":  func(f *Facts) { f.Subject = "mallory" },
		"client":   func(f *Facts) { f.Client = "tob" },
		"swapped":  func(f *Facts) { f.Subject, f.Client = f.Client, f.Subject },
		"scopes":   func(f *Facts) { f.Scopes = []string{"a"} },
		"order":    func(f *Facts) { f.Scopes = []string{"b", "a"} },
		"accounts": func(f *Facts) { f.Accounts = nil },
		"moved":    func(f *Facts) { f.Scopes, f.Accounts = []string{"a"}, []string{"b", "1"} },
	} {
		other := facts()
		change(&other)
		want := fmt.Sprint(other)
		if got := s.of(&other); got == c || fmt.Sprint(other) != want {
			t.Errorf("%s: %v became %v", name, want, other)
		}
	}
}

// In a place that is taken the newer one stays, and the older leases keep theirs.
func TestCommonPartInATakenPlace(t *testing.T) {
	s := &shared{seed: maphash.MakeSeed()}
	var leases []*Lease
	for i := range 3 * len(s.places) {
		f := Facts{Subject: fmt.Sprint("user", i)}
		leases = append(leases, newLease("raw", f, s.of(&f), noon))
	}
	for i, l := range leases {
		spelled := l.Spelled(func(f *Facts) *Spelling { return &Spelling{Subject: f.Subject} })
		if want := fmt.Sprint("user", i); l.Subject != want || spelled.Subject != want {
			t.Fatalf("%s is %s, spelled %s", want, l.Subject, spelled.Subject)
		}
	}
}
