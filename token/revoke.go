package token

import (
	"context"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// retentionMargin is added to the longest life below a target: cached facts,
// clocks that are set, nodes that lag.
const retentionMargin = 25 * time.Hour

// Revoke kills a token, a grant, or everything under a numbered target, and is
// the only way to do so. When it returns without error the revocation is
// durable, nothing judged from now on passes, and every stream that rode on it
// has been cut. A caller that goes away changes nothing.
//
// Of rev the Kind, Target and Reason count; the rest is filled in.
func (a *Authority) Revoke(ctx context.Context, rev store.Revocation, event store.Event) (store.Revocation, error) {
	rev.Environment, event.Environment = a.environment, a.environment
	rev.At, event.At = a.Now(), a.Now()
	if !rev.Kind.Numbered() {
		rev.Expires = rev.At.Add(a.Retention())
	}
	return a.store.Revoke(ctx, rev, event)
}

// Retention is how long the revocation of a token or grant must be remembered:
// no access token below it lives longer. (Opaque tokens are looked up again
// within minutes and their rows say that they are dead.)
func (a *Authority) Retention() time.Duration {
	return a.settings.Load().AccessLifetime + retentionMargin
}

// Apply takes committed revocations over into the set and cuts who rode on
// them. The store calls it in commit order, after COMMIT and before it wakes
// the callers; it must not be called by anyone else.
func (a *Authority) Apply(revs []store.Revocation) {
	own := make([]store.Revocation, 0, len(revs))
	for i := range revs {
		if revs[i].Environment == a.environment {
			own = append(own, revs[i])
		}
	}
	if len(own) == 0 {
		return
	}
	a.revoked.add(a.Now(), own)
	a.Sweep()
	a.tellGiven(own)
}

// Found is what a token presented for revocation turned out to be.
type Found struct {
	Kind   store.Kind // KindToken for an access token, KindGrant for a refresh token and that of a connection
	Target string
	Client string
}

// Find identifies a token that somebody wants to end (RFC 7009 §2.1): an access
// token dies alone, a refresh token takes its grant along, and so does that of a
// connection, which is nothing without it. Address is that of a stranger, as for
// Prove; empty: who asks has shown who he is. It fails with *Invalid if the token
// is none of ours or dead already, and with *Overloaded.
func (a *Authority) Find(ctx context.Context, raw, address string) (Found, error) {
	var from *bucket
	if address != "" {
		from = a.failures.at(address)
	}
	q, err := a.take(raw)
	if err != nil {
		return Found{}, err
	}
	if q.signed != nil {
		facts, err := a.answer(q, from, a.verifying, a.verify)
		return Found{Kind: store.KindToken, Target: facts.ID, Client: facts.Client}, err
	}
	var found Found
	_, err = a.answer(q, from, a.lookingUp, func(q *question) (facts Facts, err error) {
		found, err = a.findOpaque(ctx, q.opaque.Hash)
		return facts, err
	})
	return found, err
}

func (a *Authority) findOpaque(ctx context.Context, hash store.Hash) (Found, error) {
	row, standing, err := a.store.TokenByHash(ctx, a.environment, hash)
	if err != nil {
		return Found{}, notOurs(err)
	}
	found := Found{Kind: store.KindToken, Target: row.ID, Client: standing.Client.ID}
	switch row.Class {
	case store.Refresh, store.SharedRefresh, store.ExchangeAccess:
		found.Kind, found.Target = store.KindGrant, row.Grant
	}
	return found, nil
}
