package sqlite

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestWhatWasRolledBackOfAPartyIsForgotten(t *testing.T) {
	s := opened(t, Options{})
	errs := together(t, s,
		func() error {
			rev := store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: "ann", At: now}
			_, err := s.Revoke(context.Background(), rev, store.Event{})
			return err
		},
		func() error { return issue(s, "remembers her new epoch") },
		func() error {
			return s.submit(context.Background(), func(t *tx) error {
				t.broken = errors.New("the disk is gone")
				return nil
			})
		})
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("call %d: %v, want that nothing was committed", i, err)
		}
	}
	grant := store.Grant{Environment: env, ID: "g", Principal: "ann", Client: "app", Created: now}
	st, err := s.Issue(t.Context(), store.Issue{Grant: grant})
	if err != nil || st.Principal.Epoch != 0 {
		t.Errorf("epoch %d, %v; want 0, as it is in the database", st.Principal.Epoch, err)
	}
}
