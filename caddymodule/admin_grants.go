package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// grant is who allowed whom what, as the admin API shows it.
type grant struct {
	ID        string    `json:"id"`
	Principal string    `json:"principal"`
	Client    string    `json:"client"`
	Scopes    []string  `json:"scopes"`
	Accounts  []string  `json:"accounts"`
	Status    string    `json:"status"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires,omitzero"` // absent: as long as its tokens live
	Revoked   time.Time `json:"revoked,omitzero"`
	Reason    string    `json:"reason,omitzero"` // why it was revoked

	Tokens *[]grantToken `json:"tokens,omitzero"` // of one that is shown alone
}

// grantToken is a long-lived token of a grant. (Access tokens are signed and
// not recorded.)
type grantToken struct {
	ID      string      `json:"id"`
	Class   store.Class `json:"class"`
	Status  string      `json:"status"`
	Created time.Time   `json:"created"`
	Expires time.Time   `json:"expires,omitzero"` // absent: permanent
}

// What a grant or a token of one can be.
const (
	statusLive    = "live"
	statusExpired = "expired"
	statusRevoked = "revoked"
	statusEnded   = "ended"   // its principal, client or account was disabled or revoked since
	statusRotated = "rotated" // a refresh token that was used: its successor lives
)

func listGrants(c *adminCall) (any, error) {
	asked, all, limit, err := c.listQuery("client", "principal", "account")
	if err != nil {
		return nil, err
	}
	filter := store.GrantFilter{Client: asked["client"], Principal: asked["principal"], Account: asked["account"]}
	var shown []grant
	err = c.view(func(tx store.Reader) error {
		shown, err = newestGrants(tx, c.env, filter, all, limit)
		return err
	})
	return map[string][]grant{"grants": shown}, err
}

// newestGrants returns at most limit grants. That something a grant stands on
// has ended is not in its row, so that more rows are read until enough are live.
func newestGrants(tx store.Reader, env store.Environment, filter store.GrantFilter, all bool, limit int) ([]grant, error) {
	now := time.Now()
	if !all {
		filter.Live = now
	}
	for filter.Limit = limit; ; filter.Limit *= 4 {
		rows, err := tx.Grants(env, filter)
		if err != nil {
			return nil, err
		}
		shown := make([]grant, 0, len(rows))
		for i := range rows {
			one, err := shownGrant(tx, &rows[i], now)
			if err != nil {
				return nil, err
			}
			if all || one.Status == statusLive {
				shown = append(shown, one)
			}
		}
		if len(shown) >= limit || len(rows) < filter.Limit {
			return shown[:min(len(shown), limit)], nil
		}
	}
}

func showGrant(c *adminCall) (any, error) {
	var shown grant
	err := c.view(func(tx store.Reader) error {
		row, err := c.findGrant(tx, c.request.PathValue("id"))
		if err != nil {
			return err
		}
		now := time.Now()
		if shown, err = shownGrant(tx, &row, now); err != nil {
			return err
		}
		rows, err := tx.TokensOf(c.env, row.ID)
		tokens := make([]grantToken, 0, len(rows))
		for i := range rows {
			t := &rows[i]
			tokens = append(tokens, grantToken{t.ID, t.Class, tokenStatus(t, shown.Status, now), t.Created, t.Expires})
		}
		shown.Tokens = &tokens
		return err
	})
	return shown, err
}

func revokeGrant(c *adminCall) (any, error) {
	reason, err := c.decodeReason()
	if err != nil {
		return nil, err
	}
	if id := c.request.PathValue("id"); c.dry {
		return c.wouldEnd(func(tx store.Reader) (reach, error) {
			_, err := c.findGrant(tx, id)
			return reachOf(store.KindGrant, id), err
		})
	}
	return c.revoke(store.KindGrant, c.request.PathValue("id"), reason)
}

// findGrant returns a grant by its id.
func (c *adminCall) findGrant(tx store.Reader, id string) (store.Grant, error) {
	row, err := tx.Grant(c.env, id)
	if errors.Is(err, store.ErrNotFound) {
		return row, refuse(http.StatusNotFound, "there is no grant %q in %s", id, c.env)
	}
	return row, err
}

func shownGrant(tx store.Reader, g *store.Grant, now time.Time) (grant, error) {
	standing, err := token.StandingOf(tx, g)
	return grant{
		ID: g.ID, Principal: g.Principal, Client: g.Client, Scopes: g.Scopes, Accounts: g.Accounts,
		Status: grantStatus(&standing, now), Created: g.Created, Expires: g.Expires, Revoked: g.Revoked, Reason: g.Reason,
	}, err
}

func grantStatus(s *store.Standing, now time.Time) string {
	switch {
	case !s.Grant.Revoked.IsZero():
		return statusRevoked
	case past(s.Grant.Expires, now):
		return statusExpired
	case s.Dead():
		return statusEnded
	}
	return statusLive
}

// tokenStatus is that of the grant unless the token itself is worse off.
func tokenStatus(t *store.Token, grant string, now time.Time) string {
	switch {
	case grant != statusLive:
		return grant
	case !t.Revoked.IsZero():
		return statusRevoked
	case past(t.Expires, now):
		return statusExpired
	case !t.Head():
		return statusRotated
	}
	return statusLive
}

func past(expires, now time.Time) bool { return !expires.IsZero() && !now.Before(expires) }
