package token

import (
	"crypto/rand"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// NewShared makes a shared refresh token: the record by which the store will know
// it, with the sealed copy that its developers may open. The token itself is
// in neither the answer nor anybody's hands before OpenShared.
func (k *Keyring) NewShared(id string) store.Token {
	var random [randomSize]byte
	rand.Read(random[:])
	set := k.current() // once: hash and copy must be of the same subkeys
	raw, hash, err := k.spell(set, store.SharedRefresh, random[:])
	if err != nil {
		panic("token: " + err.Error()) // only for an unknown class
	}
	return store.Token{
		ID: id, Class: store.SharedRefresh, Hash: hash, KeyID: set.keyID,
		Sealed: set.sealed([]byte(raw), []byte(id)),
	}
}

// OpenShared returns the token whose sealed copy a record holds. The errors are
// those of Unseal.
func (k *Keyring) OpenShared(row *store.Token) (string, error) {
	raw, err := k.Unseal(row.KeyID, row.Sealed, []byte(row.ID))
	return string(raw), err
}

// SharedStatus is what has become of a shared refresh token.
type SharedStatus string

// The states of a shared refresh token. All but the first are final.
const (
	SharedLive    SharedStatus = "live"
	SharedExpired SharedStatus = "expired"
	SharedRevoked SharedStatus = "revoked"
	SharedEnded   SharedStatus = "ended" // its account, or all such tokens, were ended since
)

// Shared is a shared refresh token of an account, as lists show it.
type Shared struct {
	store.AccountToken

	Status SharedStatus
}

// SharedTokens lists the shared refresh tokens of an account, whoever made them,
// newest first. Errors are those of the store.
func SharedTokens(tx store.Reader, env store.Environment, account string, now time.Time) ([]Shared, error) {
	rows, err := tx.AccountTokens(env, account, store.SharedRefresh)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ground, err := sharedGround(tx, env, account)
	if err != nil {
		return nil, err
	}
	list := make([]Shared, len(rows))
	for i := range rows {
		list[i] = Shared{rows[i], ground.status(&rows[i], now)}
	}
	return list, nil
}

// KnownShared is a shared refresh token whose value somebody knows.
type KnownShared struct {
	Shared

	Grant store.Grant
}

// SharedKnownTo lists the shared refresh tokens that a principal made or was shown,
// of whichever account, oldest first. Errors are those of the store.
func SharedKnownTo(tx store.Reader, env store.Environment, principal string, now time.Time) ([]KnownShared, error) {
	rows, err := tx.KnownTokens(env, principal)
	if err != nil {
		return nil, err
	}
	grounds := map[string]ground{}
	list := make([]KnownShared, len(rows))
	for i := range rows {
		grant, err := tx.Grant(env, rows[i].Grant)
		if err != nil {
			return nil, err
		}
		g, read := grounds[grant.Principal]
		if !read {
			if g, err = sharedGround(tx, env, grant.Principal); err != nil {
				return nil, err
			}
			grounds[grant.Principal] = g
		}
		one := store.AccountToken{Token: rows[i], Ended: grant.Revoked, Reason: grant.Reason, Epoch: grant.Epoch}
		list[i] = KnownShared{Shared{one, g.status(&one, now)}, grant}
	}
	return list, nil
}

// SharedToken reads one shared refresh token by its id, with its sealed copy, its
// grant and its state. ErrNotFound: there is none of that class.
func SharedToken(tx store.Reader, env store.Environment, id string, now time.Time) (Shared, store.Grant, error) {
	row, err := tx.Token(env, id)
	if err != nil {
		return Shared{}, store.Grant{}, err
	}
	if row.Class != store.SharedRefresh {
		return Shared{}, store.Grant{}, store.ErrNotFound
	}
	grant, err := tx.Grant(env, row.Grant)
	if err != nil {
		return Shared{}, store.Grant{}, err
	}
	ground, err := sharedGround(tx, env, grant.Principal)
	one := store.AccountToken{Token: row, Ended: grant.Revoked, Reason: grant.Reason, Epoch: grant.Epoch}
	return Shared{one, ground.status(&one, now)}, grant, err
}

// ground is what all shared tokens of an account stand on.
type ground struct {
	usable bool
	epoch  int64 // the highest: what stands on less is dead
}

// sharedGround reads it. The account and its principal have the same id.
func sharedGround(tx store.Reader, env store.Environment, account string) (ground, error) {
	client, err := tx.Client(env, store.TradingClient)
	if err != nil {
		return ground{}, err
	}
	principal, err := tx.Principal(env, account)
	if err != nil {
		return ground{}, err
	}
	at, err := tx.Account(env, account)
	return ground{
		usable: client.Status == store.Active && principal.Status == store.Active,
		epoch:  max(client.Epoch, principal.Epoch, at.Epoch),
	}, err
}

func (g ground) status(t *store.AccountToken, now time.Time) SharedStatus {
	switch {
	case !t.Ended.IsZero() || !t.Revoked.IsZero():
		return SharedRevoked
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return SharedExpired
	case !g.usable || t.Epoch < g.epoch:
		return SharedEnded
	}
	return SharedLive
}
