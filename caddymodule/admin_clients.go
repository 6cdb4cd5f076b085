package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// clients are the OAuth 2.0 clients.
var clients = recordKind[store.Client]{
	word: "client", path: "clients", action: "client",
	kills: store.KindClient, rights: clientRights,
	get: store.Reader.Client, list: store.Reader.Clients, put: putClient,
	ours:     func(c *store.Client) bool { return !c.Exchange },
	rival:    rivalOfClient,
	replaced: replacedClient,
	fields: func(c *store.Client) fields {
		return fields{c.ID, c.Source, &c.Created, &c.Status, &c.Name, &c.MaxScopes, &c.SecretHash}
	},
	show: showClient,
}

// showClient names accounts only if there are any: most clients act for others.
func showClient(tx store.Reader, c *store.Client) (record, error) {
	shown := record{
		ID: c.ID, Name: c.Name, Scopes: &c.MaxScopes,
		Status: c.Status, Source: c.Source, Created: c.Created,
		Description: c.Description, Owner: c.Owner,
		Public: c.Public, RedirectURIs: c.RedirectURIs, PKCEOptional: c.PKCEOptional,
		OldSecretUntil: shownOverlap(c),
	}
	if !actsForItself(c) {
		return shown, nil
	}
	rival, err := principalNamed(tx, c.Environment, c.ID)
	if err != nil || rival != "" {
		return shown, err
	}
	open, err := boundAccounts(tx, c.Environment, c.ID)
	if len(open) > 0 {
		shown.Accounts = &open
	}
	return shown, err
}

// clientFields are what clients have beyond other parties. Absent in a call that
// changes a client: as before.
type clientFields struct {
	Description  *string   `json:"description,omitzero"`
	Public       *bool     `json:"public,omitzero"`
	RedirectURIs *[]string `json:"redirect_uris,omitzero"`
	PKCEOptional *bool     `json:"pkce_optional,omitzero"`
}

func (in *clientFields) any() bool {
	return in.Description != nil || in.Public != nil || in.RedirectURIs != nil || in.PKCEOptional != nil
}

// apply puts into a client what is given.
func (in *clientFields) apply(to *store.Client) {
	if in.Description != nil {
		to.Description = *in.Description
	}
	if in.Public != nil {
		to.Public = *in.Public
	}
	if in.RedirectURIs != nil {
		to.RedirectURIs = *in.RedirectURIs
	}
	if in.PKCEOptional != nil {
		to.PKCEOptional = *in.PKCEOptional
	}
}

// newClient is the body of a call that adds a client.
type newClient struct {
	newParty
	clientFields
}

func addClient(c *adminCall) (any, error) {
	var in newClient
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.checkParty(&in.newParty); err != nil {
		return nil, err
	}
	row := store.Client{
		Environment: c.env, ID: in.ID, Name: in.Name, MaxScopes: in.Scopes,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	}
	in.apply(&row)
	if err := checkClient(&row); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if row.Public {
		return clients.add(c, row)
	}
	return clients.addParty(c, row)
}

// clientChange is the body of a call that changes a client.
type clientChange struct {
	partyChange
	clientFields
}

// prepared is what a change makes of a client.
type prepared struct {
	before, after store.Client
	what          string // it changes
	ends          bool   // what the client obtained before
}

// prepare refuses a change after which a client would make no sense.
func (in *clientChange) prepare(row *store.Client) (p prepared, err error) {
	p = prepared{before: *row, after: *row}
	in.apply(&p.after)
	if in.Name != nil {
		p.after.Name = *in.Name
	}
	if in.Scopes != nil {
		p.after.MaxScopes = *in.Scopes
	}
	if p.after.Public {
		p.after.SecretHash = ""
	}
	if err := checkClient(&p.after); err != nil {
		return p, refuse(http.StatusBadRequest, "%v", err)
	}
	p.what, p.ends = clientChanges(&p.before, &p.after)
	return p, nil
}

// setClient is set for clients. What was public and is no more gets a secret, which
// only this answer shows.
func setClient(c *adminCall) (any, error) {
	var in clientChange
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !in.partyChange.any() && !in.clientFields.any() {
		return nil, refuse(http.StatusBadRequest, "there is nothing to change; name one of: name, scopes, description, public, redirect_uris, pkce_optional")
	}
	if err := c.checkChange(&in.partyChange); err != nil {
		return nil, err
	}
	if c.dry {
		return c.wouldEnd(in.reach(c))
	}
	secret, hash := c.newSecret()
	shown, err := clients.edit(c, "set", "", func(tx *change, row *store.Client) error {
		p, err := in.prepare(row)
		if err != nil {
			return err
		}
		if p.before.Public && !p.after.Public {
			p.after.SecretHash = hash
		} else {
			secret = "" // it has none, or keeps the one that it has
		}
		tx.reason = cmp.Or(p.what, "name or description was changed")
		*row = p.after
		if p.ends {
			return tx.raise(store.KindClient, row.ID)
		}
		if slices.Equal(p.before.MaxScopes, row.MaxScopes) {
			return nil
		}
		return tx.raise(clientRights.kind(lessThan(row.MaxScopes, p.before.MaxScopes)), row.ID)
	})
	shown.Secret = secret
	return shown, err
}

// reach says what a change would end.
func (in *clientChange) reach(c *adminCall) func(store.Reader) (reach, error) {
	return func(tx store.Reader) (reach, error) {
		row, err := clients.find(tx, c)
		if err != nil {
			return reach{}, err
		}
		if err := clients.refuseDeclared(&row); err != nil {
			return reach{}, err
		}
		p, err := in.prepare(&row)
		if p.ends {
			return reachOf(store.KindClient, row.ID), err
		}
		return reachOf(clientRights.kind(lessThan(p.after.MaxScopes, p.before.MaxScopes)), row.ID), err
	}
}

// checkClient refuses what makes no sense together, whoever writes it.
func checkClient(c *store.Client) error {
	if err := checkText("description", c.Description); err != nil {
		return err
	}
	if err := issuer.CheckRedirectURIs(c.RedirectURIs); err != nil {
		return err
	}
	switch {
	case c.Public && c.Exchange:
		return errors.New("an app of the access code exchange cannot be public: its secret is what it exchanges with")
	case c.Public && len(c.RedirectURIs) == 0:
		return errors.New("a public client needs a redirect URI: it gets tokens by the authorization code alone")
	case c.Public && c.PKCEOptional:
		return errors.New("a public client cannot leave PKCE out: nothing else protects its codes (RFC 9700, section 2.1.1)")
	}
	return nil
}

// clientChanges says for the audit trail what became of a client's protection, and
// whether what it obtained before must end.
//
// Which token came by which redirect URI nobody knows any more. So where one is
// taken away, because somebody else may be listening there, all end. A client that
// becomes public ends too: its refresh tokens were given to who proves a secret, and
// would be good for whoever has a copy.
func clientChanges(before, after *store.Client) (what string, ends bool) {
	var said []string
	say := func(holds bool, format string, args ...any) {
		if holds {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	added, taken := missingIn(after.RedirectURIs, before.RedirectURIs), missingIn(before.RedirectURIs, after.RedirectURIs)
	say(len(taken) > 0, "redirect URI taken away: %s", strings.Join(taken, " "))
	say(len(added) > 0, "redirect URI added: %s", strings.Join(added, " "))
	say(after.Public && !before.Public, "is public now")
	say(before.Public && !after.Public, "has a secret now")
	say(after.PKCEOptional && !before.PKCEOptional, "may leave PKCE out now")
	say(before.PKCEOptional && !after.PKCEOptional, "must use PKCE now")
	say(!slices.Equal(before.MaxScopes, after.MaxScopes), "scopes were changed")
	return strings.Join(said, "; "), len(taken) > 0 || after.Public && !before.Public
}

// missingIn returns what is in a list and not in the other.
func missingIn(list, other []string) (missing []string) {
	for _, s := range list {
		if !slices.Contains(other, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// replacedClient is for a client that the configuration declares otherwise than
// before.
func replacedClient(tx *change, before, after *store.Client) error {
	same := *after
	same.MaxScopes = before.MaxScopes // recorded where it is raised
	what, ends := clientChanges(before, &same)
	if what == "" {
		return nil
	}
	if err := tx.Record(store.Event{
		Environment: tx.env, At: tx.now, Actor: "config", Action: "client.set", Target: "client:" + after.ID,
		Outcome: "ok", Reason: what,
	}); err != nil || !ends {
		return err
	}
	return declaredChange(tx, store.KindClient, after.ID)
}
