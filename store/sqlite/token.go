package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const selectToken = `SELECT ` + tokenColumns + ` FROM token t WHERE t.environment = ? AND t.hash = ?`

// TokenByHash implements store.Flows.
func (s *Store) TokenByHash(ctx context.Context, env store.Environment, hash store.Hash) (token store.Token, st store.Standing, err error) {
	err = s.snapshot(ctx, func(r *session) (err error) {
		if token, err = r.token(env, hash); err != nil {
			return err
		}
		st, err = r.standing(env, token.Grant)
		return err
	})
	if err != nil {
		return store.Token{}, store.Standing{}, err
	}
	return token, st, nil
}

func (s *session) token(env store.Environment, hash store.Hash) (store.Token, error) {
	var token store.Token
	if err := s.get(tokenInto(&token), selectToken, env, hash[:]); err != nil {
		return store.Token{}, fmt.Errorf("token: %w", err)
	}
	return token, nil
}

// insertToken records a token of a grant as new: neither revoked, rotated nor used.
func (t *tx) insertToken(env store.Environment, grant string, token *store.Token) error {
	token.Environment, token.Grant = env, grant
	token.Created, token.Expires = kept(token.Created), kept(token.Expires)
	_, err := t.exec(`INSERT INTO token (environment, id, hash, class, grant_id, key_id, nonce, created, expires,
		label, networks, rate_requests, rate_per, creator, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		env, token.ID, token.Hash[:], token.Class, grant, token.KeyID, token.Nonce,
		micros(token.Created), micros(token.Expires),
		token.Label, spelled(token.Networks), token.Rate.Requests, token.Rate.Per.Microseconds(), token.Creator, token.Sealed)
	return err
}

// rotateToken ends a personal token, and its grant, at an instant. The collector
// looks at the grant again: it may have taken it for one that never ends.
func (t *tx) rotateToken(env store.Environment, token string, at, ends time.Time) error {
	changed, err := t.exec(`UPDATE token SET rotated = ?1, expires = iif(expires = 0, ?2, min(expires, ?2))
		WHERE environment = ?3 AND id = ?4 AND class = ?5 AND rotated = 0`, micros(at), micros(ends), env, token, store.Personal)
	if err != nil {
		return err
	}
	if changed == 0 {
		var rotated int64
		if err := t.get([]any{&rotated}, `SELECT rotated FROM token WHERE environment = ? AND id = ? AND class = ?`, env, token, store.Personal); err != nil {
			return err
		}
		return store.ErrReused
	}
	_, err = t.exec(`UPDATE grants SET expires = iif(expires = 0, ?1, min(expires, ?1)), due = created
		WHERE environment = ?2 AND id = (SELECT grant_id FROM token WHERE environment = ?2 AND id = ?3)`, micros(ends), env, token)
	return err
}

// ended reports whether an instant that ends something has come. The zero
// instant never comes.
func ended(expires, now time.Time) bool { return !expires.IsZero() && !now.Before(expires) }

// apart is the time between two instants, whichever came first. Callers that
// race read their clocks in any order; and a clock that was set back must not
// hold a window open until it has caught up.
func apart(a, b time.Time) time.Duration { return b.Sub(a).Abs() }

var errNoInstant = errors.New("sqlite: a change needs its instant")
