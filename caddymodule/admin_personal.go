package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// personalToken is a personal token as the admin API shows it. Its value stands
// in the answer that issues it and nowhere else: what is kept is a keyed hash.
type personalToken struct {
	ID        string         `json:"id"`
	Label     string         `json:"label"`
	Principal string         `json:"principal"`
	Scopes    []string       `json:"scopes"` // as issued; what it carries is cut to its owner's at each use
	Accounts  []string       `json:"accounts"`
	Status    string         `json:"status"`
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires,omitzero"` // absent: permanent
	Used      time.Time      `json:"used,omitzero"`    // last time, to the minute; absent: never
	UsedFrom  string         `json:"used_from,omitzero"`
	Rotated   time.Time      `json:"rotated,omitzero"` // it has a successor since
	Networks  []netip.Prefix `json:"networks,omitempty"`
	Rate      shownRate      `json:"rate,omitzero"`
	Token     string         `json:"token,omitzero"`
}

func shownPersonal(g *store.Grant, t *store.Token, status string) personalToken {
	return personalToken{
		ID: t.ID, Label: t.Label, Principal: g.Principal, Scopes: g.Scopes, Accounts: g.Accounts, Status: status,
		Created: t.Created, Expires: t.Expires, Used: t.Used, UsedFrom: t.UsedFrom, Rotated: t.Rotated, Networks: t.Networks, Rate: showRate(t.Rate),
	}
}

// newPersonal is the body of a call that issues a personal token. A limit that
// is there but empty is refused: whoever wrote it did not mean none.
type newPersonal struct {
	Principal string     `json:"principal"`
	Label     string     `json:"label"`
	Scopes    []string   `json:"scopes"`
	Accounts  *[]string  `json:"accounts,omitzero"` // absent: all that are open to the principal
	Expires   *time.Time `json:"expires,omitempty"` // omitzero would leave out the zero time too, and make it for ever
	Lifetime  *string    `json:"lifetime,omitzero"` // instead of expires
	Networks  []string   `json:"networks,omitzero"`
	Rate      *shownRate `json:"rate,omitzero"`
}

// issuePersonal issues a personal token for a user or service account. What it
// asks for is held against the owner's rights of this moment, for the sake of
// who asks; whatever changes meanwhile or later, each use is cut to the rights
// that the owner has then.
func issuePersonal(c *adminCall) (any, error) {
	var in newPersonal
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	row, err := in.limits(now)
	if err != nil {
		return nil, err
	}
	if len(in.Scopes) == 0 {
		return nil, refuse(http.StatusBadRequest, "scopes are missing; a token without any opens nothing")
	}
	if err := c.checkScopes(in.Scopes); err != nil {
		return nil, err
	}
	grant := store.Grant{
		Environment: c.env, ID: token.NewID(), Principal: in.Principal, Client: store.PersonalClient,
		Scopes: in.Scopes, Created: now, Expires: row.Expires,
	}
	if err := c.view(func(tx store.Reader) (err error) {
		grant.Accounts, err = c.checkOwner(tx, &in)
		return err
	}); err != nil {
		return nil, err
	}
	raw, hash := c.authority.Keyring().NewOpaque(store.Personal)
	row.Hash, row.KeyID = hash, token.KeyIDOf(raw)
	_, err = c.store().Issue(c.request.Context(), store.Issue{
		Grant: grant, Tokens: []store.Token{row}, Event: c.event("personal_token.issue", "token:"+row.ID),
	})
	if errors.Is(err, store.ErrRevoked) || errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusConflict, "%s or one of its accounts was changed in this moment; nothing was issued", in.Principal)
	}
	if err != nil {
		return nil, err
	}
	c.app.runtime.worlds[c.env].seen.issuedFor(issuer.GrantPersonal)
	c.status = http.StatusCreated
	shown := shownPersonal(&grant, &row, statusLive)
	shown.Token = raw
	return shown, nil
}

// limits are the token's row, but for its secret, if what is asked for makes
// sense by itself.
func (in *newPersonal) limits(now time.Time) (row store.Token, err error) {
	row = store.Token{ID: token.NewID(), Class: store.Personal, Created: now, Label: strings.TrimSpace(in.Label)}
	if err = token.CheckLabel(row.Label); err != nil {
		return row, unfit(err)
	}
	if row.Expires, err = readExpiry(in.Expires, in.Lifetime, now); err != nil {
		return row, err
	}
	if row.Networks, err = readNetworks(in.Networks); err != nil {
		return row, err
	}
	row.Rate, err = in.Rate.read()
	return row, err
}

// checkOwner refuses what is more than the owner has, and returns the accounts
// that the token is for.
func (c *adminCall) checkOwner(tx store.Reader, in *newPersonal) ([]string, error) {
	if in.Principal == "" {
		return nil, refuse(http.StatusBadRequest, "principal is missing: the user or service account that the token is for")
	}
	owner, err := tx.Principal(c.env, in.Principal)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, refuse(http.StatusNotFound, "there is no user or service account %q in %s", in.Principal, c.env)
	case err != nil:
		return nil, err
	case owner.Kind != store.User && owner.Kind != store.Service:
		return nil, refuse(http.StatusBadRequest, "%s is a %s; a personal token is for a user or service account", owner.ID, principalWords[owner.Kind])
	case owner.Status != store.Active:
		return nil, refuse(http.StatusConflict, "%s is disabled", owner.ID)
	}
	vocabulary := c.vocabulary()
	if vocabulary == nil {
		return nil, c.checkScopes(in.Scopes) // the policy went away since it was asked before
	}
	open, err := token.OpenAccounts(tx, c.env, owner.ID)
	if err != nil {
		return nil, err
	}
	var wanted []string
	if in.Accounts != nil {
		wanted = *in.Accounts
	} else {
		for k := range open {
			wanted = append(wanted, open[k].Account.ID)
		}
	}
	return wanted, unfit(token.CheckPersonal(vocabulary, &owner, open, in.Scopes, wanted))
}

// unfit is the answer to who asks for a personal token that can't be.
func unfit(err error) error {
	if why, ok := errors.AsType[*token.Unfit](err); ok {
		return refuse(http.StatusBadRequest, "%v", why)
	}
	return err
}

// listPersonal lists personal tokens, the newest first; dead ones only if all
// are asked for.
func listPersonal(c *adminCall) (any, error) {
	asked, all, limit, err := c.listQuery("principal")
	if err != nil {
		return nil, err
	}
	var shown []personalToken
	err = c.view(func(tx store.Reader) error {
		shown, err = newestPersonal(c.request.Context(), tx, c.env, asked["principal"], all, limit)
		return err
	})
	return map[string][]personalToken{"personal_tokens": shown}, err
}

// newestPersonal reads more rows until enough are live, as newestGrants does.
func newestPersonal(ctx context.Context, tx store.Reader, env store.Environment, principal string, all bool, limit int) ([]personalToken, error) {
	now := time.Now()
	filter := store.GrantFilter{Client: store.PersonalClient, Principal: principal}
	if !all {
		filter.Live = now
	}
	for filter.Limit = limit; ; filter.Limit *= 4 {
		grants, err := tx.Grants(env, filter)
		if err != nil {
			return nil, err
		}
		shown := make([]personalToken, 0, len(grants))
		for i := range grants {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			one, err := personalOf(tx, &grants[i], now)
			if err != nil {
				return nil, err
			}
			for _, t := range one {
				if all || t.Status == statusLive {
					shown = append(shown, t)
				}
			}
		}
		if len(shown) >= limit || len(grants) < filter.Limit {
			return shown[:min(len(shown), limit)], nil
		}
	}
}

// personalOf shows the token of a grant; none if it was deleted already.
func personalOf(tx store.Reader, g *store.Grant, now time.Time) (shown []personalToken, err error) {
	tokens, err := token.PersonalOf(tx, g, now)
	for k := range tokens {
		shown = append(shown, shownPersonal(g, &tokens[k].Token, string(tokens[k].Status)))
	}
	return shown, err
}
