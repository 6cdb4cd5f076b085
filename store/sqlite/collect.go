package sqlite

import (
	"context"
	"errors"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Collect implements store.Collector. It is a job like any other: what waits
// beside it shares its transaction, and what comes later waits for one batch.
//
// A grant can't be found by an index: it ends with the last of its tokens, and
// those come and go. So each has an instant at which to look at it (due): first
// when it was made, afterwards the end that the look before found. A family that
// is renewed all day is looked at once in the life of a refresh token, and
// renewing writes nothing for it.
//
// Pages that become free are used again before the file grows; it doesn't
// shrink. Giving pages back (auto_vacuum) would move others in every commit, for
// room that the next day's traffic asks for again.
func (s *Store) Collect(ctx context.Context, req store.Collect) (store.Collected, error) {
	if req.Now.IsZero() {
		return store.Collected{}, errNoInstant
	}
	if req.Limit < 1 {
		return store.Collected{}, errors.New("sqlite: collecting needs a limit")
	}
	return do(ctx, s, func(t *tx) (store.Collected, error) { return t.collect(&req) })
}

// The last parameter of the first six is a limit.
const (
	collectRevocations = `DELETE FROM revocation WHERE sequence IN (SELECT sequence FROM revocation
		WHERE environment = ? AND expires > 0 AND expires <= ? ORDER BY expires LIMIT ?)`

	collectTokens = `DELETE FROM token WHERE environment = ? AND id IN (SELECT id FROM token
		WHERE environment = ? AND expires > 0 AND expires <= ? ORDER BY expires LIMIT ?)`

	collectSessions = `DELETE FROM session WHERE environment = ? AND hash IN (SELECT hash FROM session
		WHERE environment = ? AND expires <= ? ORDER BY expires LIMIT ?)`

	collectDeliveries = `DELETE FROM delivery WHERE sequence IN (SELECT sequence FROM delivery
		WHERE environment = ? AND done > 0 AND done <= ? ORDER BY done LIMIT ?)`

	collectCopies = `UPDATE token SET sealed = NULL WHERE environment = ? AND id IN (SELECT id FROM token
		WHERE environment = ? AND sealed IS NOT NULL AND expires > 0 AND expires <= ? ORDER BY expires LIMIT ?)`

	selectDueGrants = `SELECT id FROM grants WHERE environment = ? AND due <= ? ORDER BY due LIMIT ?`

	// When nothing more can come of a grant, as it stands now, and whether that
	// is never. Only a use of its code or of a refresh token moves the end on, and
	// that needs a living one.
	selectGrantEnd = `SELECT
		max(g.created, g.revoked, iif(g.revoked = 0, g.expires, 0),
			coalesce((SELECT max(t.expires) FROM token t WHERE t.environment = g.environment AND t.grant_id = g.id), 0),
			coalesce((SELECT max(o.expires) FROM code o WHERE o.environment = g.environment AND o.grant_id = g.id), 0)),
		coalesce((SELECT min(t.expires) FROM token t WHERE t.environment = g.environment AND t.grant_id = g.id), 1) = 0
		FROM grants g WHERE g.environment = ? AND g.id = ?`

	postponeGrant    = `UPDATE grants SET due = ? WHERE environment = ? AND id = ?`
	deleteCodesOf    = `DELETE FROM code WHERE environment = ? AND grant_id = ?`
	deleteAccountsOf = `DELETE FROM grant_account WHERE environment = ? AND grant_id = ?`
	deleteGrant      = `DELETE FROM grants WHERE environment = ? AND id = ?`
)

// collect spends the limit on one kind of row after the other. Tokens come
// before the grants that they refer to: a grant is looked at only when none is
// left that has been expired for long enough, and so one that has ended has no
// tokens.
func (t *tx) collect(req *store.Collect) (done store.Collected, err error) {
	left, end := req.Limit, micros(req.Now.Add(-req.Keep))
	if done.Revocations, err = t.collectRows(&left, collectRevocations, req.Environment, micros(req.Now)); err != nil {
		return done, err
	}
	if done.Sessions, err = t.collectRows(&left, collectSessions, req.Environment, req.Environment, micros(req.Now)); err != nil {
		return done, err
	}
	if done.Deliveries, err = t.collectRows(&left, collectDeliveries, req.Environment, micros(req.Now.Add(-store.DeliveryKeep))); err != nil {
		return done, err
	}
	if done.Copies, err = t.collectRows(&left, collectCopies, req.Environment, req.Environment, micros(req.Now)); err != nil {
		return done, err
	}
	if done.Tokens, err = t.collectRows(&left, collectTokens, req.Environment, req.Environment, end); err != nil {
		return done, err
	}
	done.Grants, err = t.collectGrants(&left, req.Environment, end)
	done.More = left == 0
	return done, err
}

func (t *tx) collectRows(left *int, query string, args ...any) (int, error) {
	n, err := t.exec(query, append(args, *left)...)
	*left -= int(n)
	return int(n), err
}

// collectGrants looks at the grants that are due and deletes those that have
// ended.
func (t *tx) collectGrants(left *int, env store.Environment, end int64) (deleted int, err error) {
	due, err := list(t.session, func(id *string) []any { return []any{id} }, selectDueGrants, env, end, *left)
	if err != nil {
		return 0, err
	}
	*left -= len(due)
	for _, id := range due {
		var ends int64
		var never bool
		err := t.get([]any{&ends, &never}, selectGrantEnd, env, id)
		switch {
		case err != nil:
		case never:
			_, err = t.exec(postponeGrant, nil, env, id)
		case ends > end:
			_, err = t.exec(postponeGrant, ends, env, id)
		default:
			deleted++
			err = t.deleteGrant(env, id)
		}
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// deleteGrant deletes what refers to the grant first, for the foreign keys.
func (t *tx) deleteGrant(env store.Environment, id string) error {
	t.shared.drop(env, id)
	for _, query := range []string{deleteCodesOf, deleteAccountsOf, deleteGrant} {
		if _, err := t.exec(query, env, id); err != nil {
			return err
		}
	}
	return nil
}
