package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// numbered says where the number of a kind is kept. It only rises: a journal that
// is replayed holds numbers that were overtaken.
var numbered = map[store.Kind]string{
	store.KindPrincipal:         `UPDATE principal SET epoch = max(epoch, ?) WHERE environment = ? AND id = ?`,
	store.KindClient:            `UPDATE client SET epoch = max(epoch, ?) WHERE environment = ? AND id = ?`,
	store.KindAccount:           `UPDATE account SET epoch = max(epoch, ?) WHERE environment = ? AND id = ?`,
	store.KindKey:               `UPDATE signing_key SET epoch = max(epoch, ?) WHERE environment = ? AND id = ?`,
	store.KindRights:            `UPDATE principal SET rights = max(rights, ?) WHERE environment = ? AND id = ?`,
	store.KindClientRights:      `UPDATE client SET rights = max(rights, ?) WHERE environment = ? AND id = ?`,
	store.KindRightsGiven:       `UPDATE principal SET rights = max(rights, ?) WHERE environment = ? AND id = ?`,
	store.KindClientRightsGiven: `UPDATE client SET rights = max(rights, ?) WHERE environment = ? AND id = ?`,
}

// Revoke implements store.Flows. Revoking what is dead already leaves no second
// line in the audit trail either: the first says who did it.
func (s *Store) Revoke(ctx context.Context, rev store.Revocation, event store.Event) (store.Revocation, error) {
	return do(ctx, s, func(t *tx) (store.Revocation, error) {
		done, fresh, err := t.revoke(rev)
		if err != nil || !fresh {
			return done, err
		}
		whose, err := t.concerned(done)
		if err != nil {
			return done, err
		}
		return done, t.record(completed(event, store.Event{
			Environment: done.Environment, At: done.At, Action: string(done.Kind) + ".revoke",
			Target: string(done.Kind) + ":" + done.Target, Subject: whose, Outcome: outcomeOK, Reason: done.Reason,
		}))
	})
}

// revoke returns the revocation that holds, and whether it is a fresh one.
func (t *tx) revoke(rev store.Revocation) (store.Revocation, bool, error) {
	if rev.At.IsZero() {
		return store.Revocation{}, false, errNoInstant
	}
	rev.At, rev.Expires = kept(rev.At), kept(rev.Expires)
	var fresh bool
	var err error
	switch {
	case rev.Kind == store.KindGrant:
		rev.Number = 0
		rev, fresh, err = t.revokeGrant(rev)
	case rev.Kind == store.KindToken:
		rev.Number = 0
		rev, fresh, err = t.revokeToken(rev)
	case numbered[rev.Kind] != "":
		rev, err = t.raise(rev)
		fresh = true
	default:
		err = errors.New("no such kind of revocation")
	}
	if err != nil {
		return store.Revocation{}, false, fmt.Errorf("revoke %s: %w", rev.Kind, err)
	}
	return rev, fresh, nil
}

// revokeGrant marks a grant as dead and says so in the log, once.
func (t *tx) revokeGrant(rev store.Revocation) (store.Revocation, bool, error) {
	changed, err := t.exec(`UPDATE grants SET revoked = ?, reason = ? WHERE environment = ? AND id = ? AND revoked = 0`,
		micros(rev.At), rev.Reason, rev.Environment, rev.Target)
	if err != nil {
		return rev, false, err
	}
	t.shared.drop(rev.Environment, rev.Target)
	if changed != 0 {
		if err := t.destroyCopies(rev); err != nil {
			return rev, false, err
		}
		return rev, true, t.log(rev)
	}
	dead := store.Revocation{Environment: rev.Environment, Kind: rev.Kind, Target: rev.Target}
	err = t.get([]any{instant{&dead.At}, &dead.Reason},
		`SELECT revoked, reason FROM grants WHERE environment = ? AND id = ?`, rev.Environment, rev.Target)
	if err != nil {
		return rev, false, err
	}
	// The row in the log has its expiry too; it may have been collected.
	if logged, err := t.logged(rev); !errors.Is(err, store.ErrNotFound) {
		return logged, false, err
	}
	return dead, false, nil
}

// revokeToken works for tokens with and without a row.
func (t *tx) revokeToken(rev store.Revocation) (store.Revocation, bool, error) {
	if logged, err := t.logged(rev); !errors.Is(err, store.ErrNotFound) {
		return logged, false, err
	}
	changed, err := t.exec(`UPDATE token SET revoked = ? WHERE environment = ? AND id = ? AND revoked = 0`,
		micros(rev.At), rev.Environment, rev.Target)
	if err != nil {
		return rev, false, err
	}
	if changed == 0 {
		// Its row outlives the one in the log.
		dead := store.Revocation{Environment: rev.Environment, Kind: rev.Kind, Target: rev.Target}
		err := t.get([]any{instant{&dead.At}}, `SELECT revoked FROM token WHERE environment = ? AND id = ?`,
			rev.Environment, rev.Target)
		if !errors.Is(err, store.ErrNotFound) {
			return dead, false, err
		}
	}
	if err := t.destroyCopies(rev); err != nil {
		return rev, false, err
	}
	return rev, true, t.log(rev)
}

// raise gives the target a number above all that were ever handed out.
func (t *tx) raise(rev store.Revocation) (store.Revocation, error) {
	err := t.get([]any{&rev.Number}, `UPDATE counter SET value = value + 1 WHERE name = 'number' RETURNING value`)
	if err != nil {
		return rev, err
	}
	t.parties.forget()
	changed, err := t.exec(numbered[rev.Kind], rev.Number, rev.Environment, rev.Target)
	if err != nil {
		return rev, err
	}
	if changed == 0 {
		return rev, store.ErrNotFound
	}
	if err := t.destroyCopies(rev); err != nil {
		return rev, err
	}
	return rev, t.log(rev)
}

// killGrant revokes a grant because of what happened to one of its secrets.
func (t *tx) killGrant(env store.Environment, grant string, now time.Time, retain time.Duration, reason string) error {
	rev := store.Revocation{Environment: env, Kind: store.KindGrant, Target: grant, At: now, Reason: reason}
	if retain > 0 {
		rev.Expires = now.Add(retain)
	}
	_, _, err := t.revoke(rev)
	return err
}

// log adds a row to the record of what is revoked, and to what the hook is told.
func (t *tx) log(rev store.Revocation) error {
	_, err := t.exec(`INSERT INTO revocation (environment, kind, target, number, at, expires, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?)`,
		rev.Environment, rev.Kind, rev.Target, rev.Number, micros(rev.At), micros(rev.Expires), rev.Reason)
	if err == nil {
		t.revoked = append(t.revoked, rev)
	}
	return err
}

// logged finds the row that says the same already.
func (t *tx) logged(rev store.Revocation) (store.Revocation, error) {
	var found store.Revocation
	err := t.get(revocationInto(&found), `SELECT `+revocationColumns+` FROM revocation r
		WHERE r.environment = ? AND r.kind = ? AND r.target = ? ORDER BY r.sequence LIMIT 1`,
		rev.Environment, rev.Kind, rev.Target)
	return found, err
}
