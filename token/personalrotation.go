package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// MaxOverlap is the longest time for which a rotated personal token and its
// successor are both good.
const MaxOverlap = 30 * 24 * time.Hour

// The reasons why a personal token is not rotated.
var (
	// ErrEnded: it has ended already.
	ErrEnded = errors.New("token: the token has ended")
	// ErrRotated: it has a successor already.
	ErrRotated = errors.New("token: the token was rotated before")
	// ErrNoPolicy: no scope is known at present.
	ErrNoPolicy = errors.New("token: there is no policy at present")
)

// Rotation asks for the successor of a personal token.
type Rotation struct {
	Token     string        // its id
	Owner     string        // whose it must be; empty: anybody's
	Successor string        // id of the new one
	Overlap   time.Duration // for which the old one stays good, at most MaxOverlap; 0: it ends at once
	// Event makes the audit rows of who asks, by action and target.
	Event func(action, target string) store.Event
}

// Rotated is a successor.
type Rotated struct {
	Value string // for the only time
	Token store.Token
	Grant store.Grant
	Ends  time.Time // of the old one
}

// RotatePersonal issues the successor of a personal token, of the same name,
// scopes, accounts, limits and lifetime, and brings the old one's end forward:
// never beyond its own. Both is one transaction, and streams that are open on
// the old token end with it.
//
// It fails with store.ErrNotFound, store.ErrExists (the successor's id was used
// before), ErrEnded, ErrRotated, ErrNoPolicy, and *Unfit if the owner may no longer have such
// a token.
func (a *Authority) RotatePersonal(ctx context.Context, r Rotation) (Rotated, error) {
	if r.Overlap < 0 || r.Overlap > MaxOverlap {
		return Rotated{}, fmt.Errorf("token: overlap of %s", r.Overlap)
	}
	now := a.Now().UTC().Truncate(time.Microsecond)
	value, hash := a.keyring.NewOpaque(store.Personal)
	done := Rotated{Value: value}
	err := a.store.Update(ctx, func(tx store.Writer) error {
		old, grant, err := a.rotatable(tx, &r, now)
		if err != nil {
			return err
		}
		done.Token = store.Token{
			Environment: a.environment, ID: r.Successor, Hash: hash, Class: store.Personal, KeyID: KeyIDOf(value),
			Created: now, Expires: sameLife(old, now), Label: old.Label, Networks: old.Networks, Rate: old.Rate,
		}
		done.Grant = store.Grant{
			Environment: a.environment, ID: NewID(), Principal: grant.Principal, Client: grant.Client,
			Scopes: grant.Scopes, Accounts: grant.Accounts, Created: now, Expires: done.Token.Expires,
		}
		done.Ends = old.Expires
		if ends := now.Add(r.Overlap).Truncate(time.Second); old.Expires.IsZero() || ends.Before(old.Expires) {
			done.Ends = ends
		}
		_, err = tx.Issue(store.Issue{
			Grant: done.Grant, Tokens: []store.Token{done.Token}, Event: r.Event("personal_token.issue", "token:"+r.Successor),
		})
		if err != nil {
			return err
		}
		return a.supersede(tx, &r, grant, now, done.Ends)
	})
	if err != nil {
		return Rotated{}, err
	}
	return done, nil
}

// rotatable reads a token that lives and that its owner could issue now.
func (a *Authority) rotatable(tx store.Reader, r *Rotation, now time.Time) (*store.Token, *store.Grant, error) {
	one, err := PersonalByID(tx, a.environment, r.Token, r.Owner, now)
	switch {
	case err != nil:
		return nil, nil, err
	case one.Status != PersonalLive:
		return nil, nil, ErrEnded
	case !one.Rotated.IsZero():
		return nil, nil, ErrRotated
	}
	owner, err := tx.Principal(a.environment, one.Grant.Principal)
	if err != nil {
		return nil, nil, err
	}
	open, err := OpenAccounts(tx, a.environment, owner.ID)
	if err != nil {
		return nil, nil, err
	}
	p := a.settings.Load().Policy()
	if p == nil {
		return nil, nil, ErrNoPolicy
	}
	return &one.Token, &one.Grant, CheckPersonal(p, &owner, open, one.Grant.Scopes, one.Grant.Accounts)
}

// supersede ends the old token, now or later. Who keeps facts of it is told: by its
// revocation, or by one that has the tokens of its owner looked up again.
func (a *Authority) supersede(tx store.Writer, r *Rotation, grant *store.Grant, now, ends time.Time) error {
	const reason = "rotated"
	if err := tx.RotateToken(a.environment, r.Token, now, ends); err != nil {
		return err
	}
	rev := store.Revocation{Environment: a.environment, Kind: store.KindRightsGiven, Target: grant.Principal, At: now, Reason: reason}
	if r.Overlap == 0 {
		rev.Kind, rev.Target, rev.Expires = store.KindToken, r.Token, now.Add(a.Retention())
	}
	if _, err := tx.Revoke(rev); err != nil {
		return err
	}
	event := r.Event("personal_token.rotate", "token:"+r.Token)
	event.Environment, event.At = a.environment, now
	event.Reason = fmt.Sprintf("successor %s, ends %s", r.Successor, ends.Format(time.RFC3339))
	return tx.Record(event)
}

// sameLife is when a successor ends that lives as long as the token was to.
func sameLife(old *store.Token, now time.Time) time.Time {
	if old.Expires.IsZero() {
		return time.Time{}
	}
	return now.Add(old.Expires.Sub(old.Created)).Truncate(time.Second)
}
