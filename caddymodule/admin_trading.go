package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// tradingToken is a trading token as the admin API shows it. There is no way to
// make one here, or to see its value: that is for the developers of the account.
type tradingToken struct {
	ID      string             `json:"id"`
	Account string             `json:"account"`
	Grant   string             `json:"grant"`
	Creator string             `json:"creator"`
	ShownTo []string           `json:"shown_to"` // who knows its value
	Status  token.SharedStatus `json:"status"`
	Created time.Time          `json:"created"`
	Expires time.Time          `json:"expires"`
	Revoked time.Time          `json:"revoked,omitzero"`
	Reason  string             `json:"reason,omitzero"` // why it was revoked
}

// listTrading lists the trading tokens of an account, the newest first; dead ones
// only if all are asked for.
func listTrading(c *adminCall) (any, error) {
	asked, all, limit, err := c.listQuery("account")
	if err != nil {
		return nil, err
	}
	account := asked["account"]
	if account == "" {
		return nil, refuse(http.StatusBadRequest, "account is missing: the trading account whose tokens are asked for")
	}
	shown := []tradingToken{}
	err = c.view(func(tx store.Reader) error {
		if _, err := tx.Account(c.env, account); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return refuse(http.StatusNotFound, "there is no account %q in %s", account, c.env)
			}
			return err
		}
		rows, err := token.SharedTokens(tx, c.env, account, c.authority.Now())
		if err != nil {
			return err
		}
		for i := range rows {
			if len(shown) == limit || !all && rows[i].Status != token.SharedLive {
				continue
			}
			one, err := shownTrading(tx, account, &rows[i])
			if err != nil {
				return err
			}
			shown = append(shown, one)
		}
		return nil
	})
	return map[string][]tradingToken{"trading_tokens": shown}, err
}

func shownTrading(tx store.Reader, account string, t *token.Shared) (tradingToken, error) {
	seen, err := tx.ShownTo(t.Environment, t.ID)
	if seen == nil {
		seen = []string{}
	}
	return tradingToken{
		ID: t.ID, Account: account, Grant: t.Grant, Creator: t.Creator, ShownTo: seen, Status: t.Status,
		Created: t.Created, Expires: t.Expires, Revoked: t.Ended, Reason: t.Reason,
	}, err
}

// knownToken is a trading token that lives, and whose value a user knows.
type knownToken struct {
	ID      string `json:"id"`
	Account string `json:"account"`

	grant store.Grant
}

// knownTokens lists the trading tokens that a user made or was shown, and that live:
// those of one account, or of all if that is empty.
func knownTokens(tx store.Reader, env store.Environment, user, account string, now time.Time) (known []knownToken, err error) {
	rows, err := token.SharedKnownTo(tx, env, user, now)
	for i := range rows {
		t := &rows[i]
		if t.Status == token.SharedLive && (account == "" || account == t.Grant.Principal) {
			known = append(known, knownToken{t.ID, t.Grant.Principal, t.Grant})
		}
	}
	return known, err
}

// endShared revokes trading tokens because a user knows their value who shall not
// use them any more, with a line in the audit trail for each. If they are to be kept,
// that is what the line says.
func (tx *change) endShared(c *adminCall, known []knownToken, keep bool) error {
	for i := range known {
		event := c.event("token.revoke", "token:"+known[i].ID)
		if keep {
			event.Action = "token.keep"
		} else if _, err := tx.Revoke(store.Revocation{
			Environment: tx.env, Kind: store.KindGrant, Target: known[i].grant.ID,
			At: tx.now, Expires: tx.now.Add(tx.retention), Reason: tx.reason,
		}); err != nil {
			return err
		}
		event.Environment, event.At, event.Reason = tx.env, tx.now, tx.reason
		event.Subject = store.AccountWord(known[i].Account)
		if err := tx.Record(event); err != nil {
			return err
		}
	}
	return nil
}

// endKnown is endShared for all that a user knows of an account, or of all accounts.
func (tx *change) endKnown(c *adminCall, user, account string, keep bool) error {
	known, err := knownTokens(tx, tx.env, user, account, tx.now)
	if err != nil {
		return err
	}
	return tx.endShared(c, known, keep)
}

// endKnownBeyond is endKnown for the tokens that carry more than scopes, which are
// what is left to the user.
func (tx *change) endKnownBeyond(c *adminCall, user string, scopes []string) error {
	known, err := knownTokens(tx, tx.env, user, "", tx.now)
	if err != nil {
		return err
	}
	vocabulary := c.vocabulary()
	within := func(t knownToken) bool {
		return vocabulary != nil && !slices.ContainsFunc(t.grant.Scopes, func(s string) bool { return !vocabulary.Covers(scopes, s) })
	}
	return tx.endShared(c, slices.DeleteFunc(known, within), false)
}

// decodeEnding is decodeReason for what takes something away from who may know
// trading tokens: they end too, unless they are to be kept, for a reason.
func (c *adminCall) decodeEnding() (reason string, keep bool, err error) {
	if c.request.ContentLength == 0 {
		return defaultReason, false, nil
	}
	var in struct {
		Reason     string `json:"reason"`
		KeepShared bool   `json:"keep_shared"`
	}
	if err := c.decode(&in); err != nil {
		return "", false, err
	}
	if in.KeepShared && in.Reason == "" {
		return "", false, refuse(http.StatusBadRequest, "keep_shared needs a reason: whoever knows the tokens can go on using them")
	}
	reason, err = checkReason(in.Reason)
	return reason, in.KeepShared, err
}

// revokeUser ends everything under a user, with the trading tokens that it knows. It
// is no change of the record, so that restoring does not disable the user.
func (c *adminCall) revokeUser(user, reason string, keep bool) (any, error) {
	var done store.Revocation
	now := c.authority.Now().UTC()
	err := c.store().Update(c.request.Context(), func(tx store.Writer) (err error) {
		d := &change{tx, c.env, now, c.authority.Retention(), reason}
		if err := d.endKnown(c, user, "", keep); err != nil {
			return err
		}
		done, err = tx.Revoke(store.Revocation{
			Environment: c.env, Kind: store.KindPrincipal, Target: user, At: now, Reason: reason,
		})
		if err != nil {
			return err
		}
		event := c.event("principal.revoke", "principal:"+user)
		event.Environment, event.At, event.Reason, event.Subject = c.env, now, reason, store.UserWord(user)
		return tx.Record(event)
	})
	if err != nil {
		return nil, err
	}
	return shownRevocation(done), nil
}

// sharedByID finds the grant of a trading token by the token's id: it ends with all
// that was made from it. For any other id it returns false.
func (c *adminCall) sharedByID(id string) (found token.Found, shared bool, err error) {
	err = c.view(func(tx store.Reader) error {
		_, grant, err := token.SharedToken(tx, c.env, id, c.authority.Now())
		found = token.Found{Kind: store.KindGrant, Target: grant.ID, Client: grant.Client}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return token.Found{}, false, nil
	}
	return found, err == nil, err
}
