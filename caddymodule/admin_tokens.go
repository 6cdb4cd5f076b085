package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// shownFacts is what the admin API tells of a token that is presented to it.
// Access tokens have scopes and accounts of their own; those of a refresh token
// are its grant's.
type shownFacts struct {
	ID        string    `json:"id"`
	Class     string    `json:"class"`
	Grant     string    `json:"grant"`
	Principal string    `json:"principal"`
	Client    string    `json:"client"`
	Scopes    []string  `json:"scopes"`
	Accounts  []string  `json:"accounts"`
	Status    string    `json:"status"`
	Issued    time.Time `json:"issued"`
	Expires   time.Time `json:"expires,omitzero"` // absent: permanent

	// Of a personal token.
	Label string    `json:"label,omitzero"`
	Used  time.Time `json:"used,omitzero"` // last time, to the minute; absent: never

	UsedFrom string `json:"used_from,omitzero"` // from which address then
}

// presentedToken is a body that holds a token: paths and queries are logged.
type presentedToken struct {
	Token string `json:"token"`
}

func showToken(c *adminCall) (any, error) {
	var in presentedToken
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Token == "" {
		return nil, refuse(http.StatusBadRequest, "token is missing")
	}
	if token.LooksOpaque(in.Token) {
		return c.showOpaque(in.Token)
	}
	lease, err := c.authority.Check(in.Token)
	if err != nil {
		return nil, err
	}
	return shownFacts{
		ID: lease.ID, Class: lease.Class, Grant: lease.Grant, Principal: lease.Subject, Client: lease.Client,
		Scopes: lease.Scopes, Accounts: lease.Accounts,
		Status: c.authority.Judge(lease, c.authority.Now()).String(), Issued: lease.Issued, Expires: lease.Expires,
	}, nil
}

// showOpaque looks a token up by its hash, as it would be if it were used, but
// tells of dead ones too.
func (c *adminCall) showOpaque(raw string) (shownFacts, error) {
	opaque, err := c.authority.Keyring().ParseOpaque(raw)
	if err != nil {
		return shownFacts{}, err
	}
	if opaque.Class == token.ClassSecret {
		return shownFacts{}, refuse(http.StatusBadRequest, "this is the secret of a client or service account and no token")
	}
	row, standing, err := c.store().TokenByHash(c.request.Context(), c.env, opaque.Hash)
	if errors.Is(err, store.ErrNotFound) {
		return shownFacts{}, &token.Invalid{Reason: token.ReasonUnknown}
	}
	if err != nil {
		return shownFacts{}, err
	}
	now := c.authority.Now()
	g := &standing.Grant
	return shownFacts{
		ID: row.ID, Class: string(row.Class), Grant: g.ID, Principal: g.Principal, Client: g.Client,
		Scopes: g.Scopes, Accounts: g.Accounts,
		Status: tokenStatus(&row, grantStatus(&standing, now), now), Issued: row.Created, Expires: row.Expires,
		Label: row.Label, Used: row.Used, UsedFrom: row.UsedFrom,
	}, nil
}

// revokeToken ends a token, or by a refresh token the whole grant.
func revokeToken(c *adminCall) (any, error) {
	var in struct {
		presentedToken `json:",inline"`

		ID     string `json:"id"` // of a token that is not at hand: its jti
		Reason string `json:"reason"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	reason, err := checkReason(in.Reason)
	if err != nil {
		return nil, err
	}
	if (in.Token == "") == (in.ID == "") {
		return nil, refuse(http.StatusBadRequest, "name either the token or its id")
	}
	if in.ID != "" {
		if err := checkID("token", in.ID, map[string]bool{}); err != nil {
			return nil, refuse(http.StatusBadRequest, "%v", err)
		}
		found, shared, err := c.sharedByID(in.ID)
		if err != nil {
			return nil, err
		}
		if !shared {
			found = token.Found{Kind: store.KindToken, Target: in.ID}
		}
		return c.endToken(found, "", reason)
	}
	found, err := c.authority.Find(c.request.Context(), in.Token, "")
	if err != nil {
		return nil, err
	}
	return c.endToken(found, in.Token, reason)
}

// endToken ends a token that was found, or told by its id; raw is empty then.
func (c *adminCall) endToken(found token.Found, raw, reason string) (any, error) {
	if c.dry {
		r := reachOf(found.Kind, found.Target)
		if found.Kind == store.KindToken && token.LooksOpaque(raw) {
			facts, err := c.showOpaque(raw)
			if err != nil {
				return nil, err
			}
			r.alone = facts.Status == statusLive
		}
		return c.wouldEnd(func(store.Reader) (reach, error) { return r, nil })
	}
	return c.revoke(found.Kind, found.Target, reason)
}
