package caddymodule

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// A party is a client or a service account: what has a secret and scopes.

// newParty is what the body of a call that adds a party holds.
type newParty struct {
	ID     string   `json:"id"` // made up if it is empty
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

func partyRoutes(path string, set, rotateSecret func(*adminCall) (any, error)) []adminRoute {
	base := inEnvironment + "/" + path + "/{id}"
	return []adminRoute{
		{"PATCH", base, roleAdmin, set},
		{"POST", base + "/secret", roleAdmin, rotateSecret},
	}
}

// decodeParty reads and checks the body of a call that adds a party.
func (c *adminCall) decodeParty() (newParty, error) {
	var in newParty
	if err := c.decode(&in); err != nil {
		return in, err
	}
	return in, c.checkParty(&in)
}

// checkParty checks a new party and makes an id up if it has none.
func (c *adminCall) checkParty(in *newParty) error {
	if in.ID == "" {
		in.ID = strings.ToLower(rand.Text())
	}
	if err := checkText("name", in.Name); err != nil {
		return err
	}
	return c.checkScopes(in.Scopes)
}

// addParty adds a party with a new secret, which only this answer shows.
func (k *recordKind[R]) addParty(c *adminCall, row R) (any, error) {
	secret, hash := c.newSecret()
	*k.fields(&row).secret = hash
	shown, err := k.add(c, row)
	shown.Secret = secret
	return shown, err
}

// newSecret makes a secret that nobody can guess, and its hash.
func (c *adminCall) newSecret() (secret, hash string) {
	keyring := c.authority.Keyring()
	secret, _ = keyring.NewOpaque(token.ClassSecret)
	return secret, keyring.HashSecret(secret)
}

// rotateSecret gives a party another secret. The old one is good no more;
// tokens that it obtained live on.
func (k *recordKind[R]) rotateSecret(c *adminCall) (any, error) {
	secret, hash := c.newSecret()
	shown, err := k.edit(c, "rotate_secret", "", func(_ *change, row *R) error {
		*k.fields(row).secret = hash
		return nil
	})
	shown.Secret = secret
	return shown, err
}

// partyChange is what every party can have changed. Absent: as before.
type partyChange struct {
	Name   *string   `json:"name,omitzero"`
	Scopes *[]string `json:"scopes,omitzero"`
}

func (in *partyChange) any() bool { return in.Name != nil || in.Scopes != nil }

func (c *adminCall) checkChange(in *partyChange) error {
	if in.Name != nil {
		if err := checkText("name", *in.Name); err != nil {
			return err
		}
	}
	if in.Scopes != nil {
		return c.checkScopes(*in.Scopes)
	}
	return nil
}

// set changes the name or the scopes of a party. Tokens that carry scopes
// which it lost are cut to the present ones at once.
func (k *recordKind[R]) set(c *adminCall) (any, error) {
	var in partyChange
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !in.any() {
		return nil, refuse(http.StatusBadRequest, "there is nothing to change; name a name or scopes")
	}
	if err := c.checkChange(&in); err != nil {
		return nil, err
	}
	return k.edit(c, "set", "scopes were changed", func(tx *change, row *R) error {
		f := k.fields(row)
		if in.Scopes != nil && k.shares && lessThan(*in.Scopes, *f.scopes) {
			if err := tx.endKnownBeyond(c, f.id, *in.Scopes); err != nil {
				return err
			}
		}
		return k.apply(tx, row, &in)
	})
}

// apply puts a change into a record, and raises its rights if they change.
func (k *recordKind[R]) apply(tx *change, row *R, in *partyChange) error {
	f := k.fields(row)
	if in.Name != nil {
		*f.name = *in.Name
	}
	if in.Scopes == nil || slices.Equal(*f.scopes, *in.Scopes) {
		return nil
	}
	taken := lessThan(*in.Scopes, *f.scopes)
	*f.scopes = *in.Scopes
	return tx.raise(k.rights.kind(taken), f.id)
}
