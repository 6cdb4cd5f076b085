package sqlite

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// RedeemCode implements store.Flows. What a code meets, in this order:
//
//  1. Unknown: ErrNotFound.
//  2. Presented by another client: burnt, if it was not used yet; ErrOtherClient.
//  3. Used before: ErrResent within the grace, else its grant dies; ErrReplayed.
//     That a code is old does not excuse its second use (RFC 6749 §4.1.2 sets
//     no limit), hence before:
//  4. Issued with another challenge, redirect URI or grant: burnt; ErrMismatch.
//     Whoever brings a burnt one afterwards brings what somebody else has tried to
//     use (RFC 9700 §4.5): that is 3, and there is no grace for it, because nobody
//     has redeemed it.
//  5. Past its time, or its grant is: ErrExpired.
//  6. Its grant is dead: ErrRevoked. The code is left as it was: it can become
//     good again only with the party whose disabling made it useless.
//
// The winner is who makes the conditional update; it meets 4 to 6 afterwards,
// and an error in 5 and 6 takes the update back.
func (s *Store) RedeemCode(ctx context.Context, req store.Redeem) (store.Standing, error) {
	if req.Now.IsZero() {
		return store.Standing{}, errNoInstant
	}
	return do(ctx, s, func(t *tx) (store.Standing, error) { return t.redeem(&req) })
}

func (t *tx) redeem(req *store.Redeem) (store.Standing, error) {
	var grant, challenge, redirectURI string
	var expires time.Time
	err := t.get([]any{&grant, instant{&expires}, &challenge, &redirectURI},
		`UPDATE code SET used = ?, used_by = ? WHERE environment = ? AND hash = ? AND used = 0
		RETURNING grant_id, expires, challenge, redirect_uri`,
		micros(req.Now), req.Client, req.Environment, req.Code[:])
	if errors.Is(err, store.ErrNotFound) {
		return store.Standing{}, t.redeemUsed(req)
	}
	if err != nil {
		return store.Standing{}, err
	}
	st, err := t.standing(req.Environment, grant)
	if err != nil {
		return store.Standing{}, err
	}
	switch {
	case st.Client.ID != req.Client:
		return store.Standing{}, t.settle(t.redeemEvent(req, grant, outcomeOtherClient, &st.Principal), store.ErrOtherClient)
	case !same(challenge, req.Challenge), redirectURI != req.RedirectURI, req.Grant != "" && grant != req.Grant:
		return store.Standing{}, t.settle(t.burn(req, &st), store.ErrMismatch)
	case !req.Now.Before(expires), ended(st.Grant.Expires, req.Now):
		return store.Standing{}, fmt.Errorf("code: %w", store.ErrExpired)
	case st.Dead():
		return store.Standing{}, fmt.Errorf("grant of the code: %w", store.ErrRevoked)
	}
	if req.Token.Hash != (store.Hash{}) {
		if err := t.insertToken(req.Environment, grant, &req.Token); err != nil {
			return store.Standing{}, fmt.Errorf("token: %w", err)
		}
	}
	return st, t.redeemEvent(req, grant, outcomeOK, nil)
}

// same compares in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// burn makes a code that was just taken one that nobody has redeemed and nobody can.
func (t *tx) burn(req *store.Redeem, st *store.Standing) error {
	_, err := t.exec(`UPDATE code SET used_by = '' WHERE environment = ? AND hash = ?`, req.Environment, req.Code[:])
	if err != nil {
		return err
	}
	return t.redeemEvent(req, st.Grant.ID, outcomeMismatch, &st.Principal)
}

// redeemUsed says what a code is that nobody can win any more.
func (t *tx) redeemUsed(req *store.Redeem) error {
	var grant, client, usedBy string
	var used time.Time
	var whose store.Principal
	err := t.get([]any{&grant, &client, instant{&used}, &usedBy, (*string)(&whose.Kind), &whose.ID},
		`SELECT o.grant_id, g.client, o.used, o.used_by, p.kind, p.id
		FROM code o JOIN grants g ON g.environment = o.environment AND g.id = o.grant_id
		JOIN principal p ON p.environment = g.environment AND p.id = g.principal
		WHERE o.environment = ? AND o.hash = ?`, req.Environment, req.Code[:])
	switch {
	case err != nil:
		return fmt.Errorf("code: %w", err)
	case req.Client != client:
		return fmt.Errorf("code: %w", store.ErrOtherClient)
	case req.Client == usedBy && req.ResendGrace > 0 && apart(used, req.Now) <= req.ResendGrace:
		return fmt.Errorf("code: %w", store.ErrResent)
	}
	if err := t.killGrant(req.Environment, grant, req.Now, req.Retain, store.ReasonCodeReplayed); err != nil {
		return err
	}
	return t.settle(t.redeemEvent(req, grant, outcomeReplayed, &whose), store.ErrReplayed)
}

// redeemEvent is told whose the code was, if that is to be said: nobody looks at
// codes that were redeemed as they should be.
func (t *tx) redeemEvent(req *store.Redeem, grant, outcome string, whose *store.Principal) error {
	event := flow(req.Environment, req.Now, "client:"+req.Client, "code.redeem", grant, outcome)
	if whose != nil {
		event.Subject = subjectOf(whose)
	}
	return t.record(completed(req.Event, event))
}

// settle makes a fact of an error, unless the last step before it failed.
func (t *tx) settle(failed, fact error) error {
	if failed != nil {
		return failed
	}
	return settled{fact}
}
