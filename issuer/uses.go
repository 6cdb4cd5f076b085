package issuer

import (
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// maxCounted is how many grants are looked at to say how many users an application
// has.
const maxCounted = 1000

// usesOf says who uses an application: users with a grant that lives, and what is
// under way.
func (i *Issuer) usesOf(tx store.Reader, c *store.Client, now time.Time) (pages.Uses, error) {
	uses := i.underWay(func(f *token.Facts) bool { return f.Client == c.ID })
	grants, err := tx.Grants(i.environment, store.GrantFilter{Client: c.ID, Live: now, Limit: maxCounted + 1})
	if err != nil {
		return uses, err
	}
	if len(grants) > maxCounted {
		grants, uses.Many = grants[:maxCounted], true
	}
	users := map[string]bool{} // whether it is one whose grant lives
	for k := range grants {
		g := &grants[k]
		if g.Epoch < c.Epoch || users[g.Principal] {
			continue
		}
		user, err := tx.Principal(i.environment, g.Principal)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return uses, err
		}
		users[g.Principal] = err == nil && user.Status == store.Active && g.Epoch >= user.Epoch
	}
	for _, lives := range users {
		if lives {
			uses.Users++
		}
	}
	return uses, nil
}

// underWay counts what is under way with tokens of which wanted is true.
func (i *Issuer) underWay(wanted func(*token.Facts) bool) (uses pages.Uses) {
	for _, one := range i.authority.UnderWay(func(f *token.Facts) bool { return f != nil && wanted(f) }) {
		if one.Streaming {
			uses.Streams++
		} else {
			uses.Requests++
		}
	}
	return uses
}

// oldSecretUse is when a secret that was replaced was used last.
type oldSecretUse struct{ until, at time.Time }

// noteOldSecret notes that a client used a secret that is good until then. It is in
// memory alone, of clients that have one: the audit trail has all uses.
func (t *Throttle) noteOldSecret(client string, until, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.oldSecrets == nil {
		t.oldSecrets = make(map[string]oldSecretUse)
	}
	t.oldSecrets[client] = oldSecretUse{until, at}
}

// oldSecretUsed is when a client used the secret that is good until then, zero if it
// did not.
func (t *Throttle) oldSecretUsed(client string, until time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if use := t.oldSecrets[client]; use.until.Equal(until) {
		return use.at
	}
	return time.Time{}
}
