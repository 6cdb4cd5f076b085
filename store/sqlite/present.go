package sqlite

import (
	"context"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Present implements store.Flows.
func (s *Store) Present(ctx context.Context, req store.Present) (store.Token, store.Standing, error) {
	if req.Now.IsZero() {
		return store.Token{}, store.Standing{}, errNoInstant
	}
	var token store.Token
	standing, err := do(ctx, s, func(t *tx) (st store.Standing, err error) {
		token, st, err = t.present(&req)
		return st, err
	})
	if err != nil {
		return store.Token{}, store.Standing{}, err
	}
	return token, standing, nil
}

func (t *tx) present(req *store.Present) (store.Token, store.Standing, error) {
	token, err := t.token(req.Environment, req.Token)
	if err != nil {
		return token, store.Standing{}, err
	}
	st, err := t.standing(req.Environment, token.Grant)
	if err != nil {
		return token, st, err
	}
	switch {
	case token.Class != store.SharedRefresh:
		return token, st, fmt.Errorf("refresh token: %w", store.ErrNotFound)
	case !token.Revoked.IsZero() || st.Dead():
		return token, st, fmt.Errorf("refresh token: %w", store.ErrRevoked)
	case ended(token.Expires, req.Now), ended(st.Grant.Expires, req.Now):
		return token, st, fmt.Errorf("refresh token: %w", store.ErrExpired)
	}
	event := flow(req.Environment, req.Now, "account:"+st.Principal.ID, "token.present", token.Grant, outcomeOK)
	return token, st, t.record(completed(req.Event, event))
}
