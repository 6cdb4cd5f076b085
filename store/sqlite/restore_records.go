package sqlite

import (
	"errors"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// disable disables a record that was changed after the copy was made. The copy
// has it as it was before: perhaps with a secret that leaked, with scopes that
// were taken away, or active although it was disabled. Records that the
// configuration declares need none of that: the next start makes them what it
// says.
func (c *Changed) disable(t *tx, done *Restored, at time.Time) error {
	kind, id, _ := strings.Cut(c.Target, ":")
	switch kind {
	case "binding":
		return c.unbind(t, done, id, at)
	case string(store.KindToken):
		return c.endRotated(t, done, id, at)
	case "webhook":
		return c.switchOff(t, done, id, at)
	}
	table, found := recordTables[store.Kind(kind)]
	if !found {
		done.Unknown = append(done.Unknown, string(c.Environment)+" "+c.Target)
		return nil
	}
	var status, source string
	err := t.get([]any{&status, &source}, `SELECT status, source FROM `+table+` WHERE environment = ? AND id = ?`, c.Environment, id)
	name := string(c.Environment) + " " + kind + ":" + id
	switch {
	case errors.Is(err, store.ErrNotFound):
		done.Unknown = append(done.Unknown, name)
		return nil
	case err != nil || store.Source(source) == store.FromConfig || store.Status(status) == store.Disabled:
		return err
	}
	if _, err := t.exec(`UPDATE `+table+` SET status = 'disabled' WHERE environment = ? AND id = ?`, c.Environment, id); err != nil {
		return err
	}
	done.Disabled = append(done.Disabled, name)
	if kind != string(store.KindClient) {
		return nil
	}
	// Whoever enables it again must not bring back a secret that was ended since.
	if _, err := t.exec(endOldSecrets+` AND environment = ? AND id = ?`, c.Environment, id); err != nil {
		return err
	}
	// A client that acts for itself is a principal too, and changes with it.
	_, err = t.exec(`UPDATE principal SET status = 'disabled' WHERE environment = ? AND id = ? AND kind = ?`,
		c.Environment, id, store.ClientPrincipal)
	return err
}

// unbind takes an account away that the copy has bound: perhaps it was taken
// away since, or opened in part only. Whoever was bound may have been shown the
// account's shared tokens since, and nobody knows which: they end.
func (c *Changed) unbind(t *tx, done *Restored, binding string, at time.Time) error {
	principal, account, _ := strings.Cut(binding, "/")
	var source string
	err := t.get([]any{&source}, `SELECT source FROM binding WHERE environment = ? AND principal = ? AND account = ?`,
		c.Environment, principal, account)
	name := string(c.Environment) + " " + c.Target
	switch {
	case errors.Is(err, store.ErrNotFound):
		done.Unknown = append(done.Unknown, name)
	case err != nil || store.Source(source) == store.FromConfig:
		return err
	default:
		done.Unbound = append(done.Unbound, name)
		_, err := t.exec(`DELETE FROM binding WHERE environment = ? AND principal = ? AND account = ?`, c.Environment, principal, account)
		if err != nil {
			return err
		}
	}
	ended, err := t.endShared(c.Environment, account, at)
	done.Shared += ended
	return err
}

// endRotated ends a personal token that has got a successor, which the copy
// doesn't know: there the old one has the end that it had before, or none.
func (c *Changed) endRotated(t *tx, done *Restored, id string, at time.Time) error {
	var expires time.Time
	err := t.get([]any{instant{&expires}}, `SELECT expires FROM token WHERE environment = ? AND id = ? AND rotated = 0 AND revoked = 0`, c.Environment, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // made after the copy, ended, or known to be rotated
	case err != nil:
		return err
	}
	done.Rotated++
	_, _, err = t.revoke(store.Revocation{
		Environment: c.Environment, Kind: store.KindToken, Target: id, At: at, Expires: expires, Reason: restoredReason,
	})
	return err
}

// switchOff switches a webhook off that was set, changed or removed since: the copy
// has it as it was, and perhaps it leads to somebody who must not be told any more.
func (c *Changed) switchOff(t *tx, done *Restored, user string, at time.Time) error {
	name := string(c.Environment) + " " + c.Target
	h, err := reader{t.session}.Webhook(c.Environment, user)
	switch {
	case errors.Is(err, store.ErrNotFound):
		done.Unknown = append(done.Unknown, name)
		return nil
	case err != nil || h.Off != "":
		return err
	}
	done.Disabled = append(done.Disabled, name)
	h.Off = store.WebhookRestored
	w := writer{reader{t.session}, t}
	return errors.Join(w.PutWebhook(h), w.EndDeliveries(c.Environment, user, restoredReason, at))
}

// switchAllOff is switchOff where nobody knows what was changed.
func switchAllOff(t *tx, at time.Time) error {
	if _, err := t.exec(`UPDATE webhook SET off = ? WHERE off = ''`, store.WebhookRestored); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE delivery SET outcome = ?, done = ? WHERE done = 0`, restoredReason, micros(at))
	return err
}

// endShared ends the shared refresh tokens of an account.
func (t *tx) endShared(env store.Environment, account string, at time.Time) (ended int, err error) {
	tokens, err := reader{t.session}.AccountTokens(env, account, store.SharedRefresh)
	for i := range tokens {
		if !tokens[i].Revoked.IsZero() || !tokens[i].Ended.IsZero() {
			continue
		}
		_, _, err := t.revoke(store.Revocation{
			Environment: env, Kind: store.KindGrant, Target: tokens[i].Grant,
			At: at, Expires: tokens[i].Expires, Reason: restoredReason,
		})
		if err != nil {
			return ended, err
		}
		ended++
	}
	return ended, err
}

// presumeShown takes it that everybody has seen every shared refresh token that
// they could have seen since the copy was made: who is unbound later must leave
// none behind that he knows.
func (r *Restoration) presumeShown(t *tx) error {
	_, err := t.exec(`INSERT INTO token_shown (environment, token, principal, at)
		SELECT t.environment, t.id, b.principal, ? FROM token t
		JOIN grant_account s ON s.environment = t.environment AND s.grant_id = t.grant_id
		JOIN binding b ON b.environment = s.environment AND b.account = s.account
		JOIN principal p ON p.environment = b.environment AND p.id = b.principal AND p.kind = ?
		WHERE t.class = ? AND t.revoked = 0 AND b.principal <> t.creator
		ON CONFLICT DO NOTHING`, micros(r.At), store.User, store.SharedRefresh)
	return err
}

// recordTables has the tables of records that can be disabled.
var recordTables = map[store.Kind]string{
	store.KindPrincipal: "principal",
	store.KindClient:    "client",
	store.KindAccount:   "account",
}
