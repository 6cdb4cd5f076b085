package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Renew implements store.Flows. What a refresh token meets, in this order:
//
//  1. Unknown, or of another class: ErrNotFound.
//  2. Presented by another client: ErrOtherClient, and nothing changes.
//  3. Revoked by itself, or its grant is dead: ErrRevoked.
//  4. Rotated before, and no retry by the rule: its grant dies; ErrReused. Old
//     tokens that come back are reuse as well, hence before:
//  5. Past its time, or its grant is; for a retry also the family's head:
//     ErrExpired.
func (s *Store) Renew(ctx context.Context, req store.Renew) (store.Renewed, error) {
	if req.Now.IsZero() {
		return store.Renewed{}, errNoInstant
	}
	if req.Successor.Hash == (store.Hash{}) {
		return store.Renewed{}, errors.New("sqlite: a renewal needs a successor")
	}
	return do(ctx, s, func(t *tx) (store.Renewed, error) { return t.renew(&req) })
}

func (t *tx) renew(req *store.Renew) (store.Renewed, error) {
	token, err := t.token(req.Environment, req.Token)
	if err != nil {
		return store.Renewed{}, err
	}
	st, err := t.standing(req.Environment, token.Grant)
	if err != nil {
		return store.Renewed{}, err
	}
	switch {
	case token.Class != store.Refresh:
		return store.Renewed{}, fmt.Errorf("refresh token: %w", store.ErrNotFound)
	case st.Client.ID != req.Client:
		return store.Renewed{}, fmt.Errorf("refresh token: %w", store.ErrOtherClient)
	case !token.Revoked.IsZero() || st.Dead():
		return store.Renewed{}, fmt.Errorf("refresh token: %w", store.ErrRevoked)
	}
	r := store.Renewed{Standing: st, Chain: []store.Token{token}}
	if token.Head() {
		return r, t.rotate(req, &r)
	}
	return r, t.retry(req, &r)
}

// rotate puts the successor at the head of the family.
func (t *tx) rotate(req *store.Renew, r *store.Renewed) error {
	token, successor := &r.Chain[0], req.Successor
	if ended(token.Expires, req.Now) || ended(r.Standing.Grant.Expires, req.Now) {
		return fmt.Errorf("refresh token: %w", store.ErrExpired)
	}
	if err := t.insertToken(req.Environment, token.Grant, &successor); err != nil {
		return fmt.Errorf("successor: %w", err)
	}
	token.Successor, token.Rotated = successor.Hash, kept(req.Now)
	if _, err := t.exec(`UPDATE token SET successor = ?, rotated = ? WHERE environment = ? AND id = ?`,
		successor.Hash[:], micros(req.Now), req.Environment, token.ID); err != nil {
		return err
	}
	r.Chain = append(r.Chain, successor)
	return t.renewEvent(req, token.Grant, outcomeOK, "")
}

// retry answers a token that was rotated before with the family's head, if the
// rule takes it for a retry, and kills the family if not.
func (t *tx) retry(req *store.Renew, r *store.Renewed) error {
	r.Retried = true
	age := apart(r.Chain[0].Rotated, req.Now)
	inWindow := req.Retry.Window > 0 && age <= req.Retry.Window
	inUnusedWindow := age <= req.Retry.UnusedWindow && r.Chain[0].Retries < req.Retry.UnusedMax
	if !inWindow && !inUnusedWindow {
		// Before the chain is followed: links of an old one may have been collected.
		return t.reuse(req, r)
	}
	if err := t.follow(r); err != nil {
		return err
	}
	token, head := &r.Chain[0], r.Head()
	switch {
	case !inWindow && len(r.Chain) != 2: // its successor has been used
		return t.reuse(req, r)
	case !head.Revoked.IsZero():
		return fmt.Errorf("head of the family: %w", store.ErrRevoked)
	case ended(token.Expires, req.Now), ended(head.Expires, req.Now), ended(r.Standing.Grant.Expires, req.Now):
		return fmt.Errorf("refresh token: %w", store.ErrExpired)
	}
	if !inWindow {
		token.Retries++
		if _, err := t.exec(`UPDATE token SET retries = ? WHERE environment = ? AND id = ?`,
			token.Retries, req.Environment, token.ID); err != nil {
			return err
		}
	}
	return t.renewEvent(req, token.Grant, outcomeRetried, "")
}

// reuse kills the family of a token that came back.
func (t *tx) reuse(req *store.Renew, r *store.Renewed) error {
	grant := r.Chain[0].Grant
	if err := t.killGrant(req.Environment, grant, req.Now, req.Retain, store.ReasonRefreshReused); err != nil {
		return err
	}
	return t.settle(t.renewEvent(req, grant, outcomeReused, subjectOf(&r.Standing.Principal)), store.ErrReused)
}

// follow extends the chain from its first token to the family's head. A loop is
// impossible: a successor is recorded when it is made, under a hash of its own.
func (t *tx) follow(r *store.Renewed) error {
	for !r.Head().Head() {
		next, err := t.token(r.Head().Environment, r.Head().Successor)
		if err != nil {
			return fmt.Errorf("successor: %w", err)
		}
		r.Chain = append(r.Chain, next)
	}
	return nil
}

func (t *tx) renewEvent(req *store.Renew, grant, outcome, subject string) error {
	event := flow(req.Environment, req.Now, "client:"+req.Client, "token.renew", grant, outcome)
	event.Subject = subject
	return t.record(completed(req.Event, event))
}
