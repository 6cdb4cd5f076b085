package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// opaqueFactsLife is how long the facts of an opaque token may be used before
	// they are looked up again.
	opaqueFactsLife = 5 * time.Minute
	// lookupTimeout bounds a look-up that several requests wait for.
	lookupTimeout = 5 * time.Second
)

// Cached returns the lease of a token that is in the cache, and nil for any other:
// ask Prove then. A lease says nothing about liveness: Join, then Judge.
func (a *Authority) Cached(raw string) *Lease { return a.settings.Load().cache.get(raw) }

// Prove finds out about a token that is not in the cache, which a stranger presents. His
// address, in the form that netip.ParseAddr reads, is what tokens are counted by
// that turn out not to be ours.
//
// It fails with *Invalid if the token is not one of ours, with *Overloaded if too
// many ask, and with store.ErrUnavailable if it cannot be found out now.
func (a *Authority) Prove(raw, address string) (*Lease, error) {
	return a.prove(raw, a.failures.at(address))
}

// Check is Cached and Prove for an operator, whose mistakes are not counted.
func (a *Authority) Check(raw string) (*Lease, error) {
	if lease := a.Cached(raw); lease != nil {
		return lease, nil
	}
	return a.prove(raw, nil)
}

// Recheck proves the token again, past the cache: its rights have changed, or
// its facts are stale. It was ours, so that a failure is not counted.
func (a *Authority) Recheck(lease *Lease) (*Lease, error) { return a.prove(lease.raw, nil) }

// Judge asks whether the lease is good at now, which is to be the Authority's
// Now. Hot: one comparison of clocks and one of generations.
//
// That facts are stale comes last: a stream may be open for longer than they are
// fresh, and what kills it is asked for all the same.
func (a *Authority) Judge(lease *Lease, now time.Time) Verdict {
	at := now.UnixMicro()
	if lease.expired(at) {
		return Expired
	}
	if verdict := a.revoked.judge(lease); verdict != Live {
		return verdict
	}
	if lease.stale(at) {
		return Stale
	}
	return Live
}

// question is a token that was taken apart, which costs little. To know more of
// it takes work.
type question struct {
	raw      string
	settings *settings
	digest   [sha256.Size]byte
	keys     *SigningKeys // of a signed token
	signed   *jws
	key      *signingKey
	opaque   Opaque
}

// take takes a token apart. What is refused here may be presented as often as one
// likes. It fails with *Invalid.
func (a *Authority) take(raw string) (q *question, err error) {
	q = &question{raw: raw, settings: a.settings.Load()}
	if LooksOpaque(raw) {
		q.opaque, err = a.keyring.ParseOpaque(raw)
	} else {
		q.keys = a.keys.Load()
		q.signed, q.key, err = q.keys.read(raw)
	}
	if err == nil {
		q.digest = sha256.Sum256([]byte(raw))
	}
	return q, err
}

// takeAccess takes apart what is to be an access token.
func (a *Authority) takeAccess(raw string) (*question, error) {
	q, err := a.take(raw)
	if class := q.opaque.Class; err == nil && q.signed == nil && class != store.Personal && class != store.ExchangeAccess {
		err = &Invalid{Reason: ReasonClass, Proven: true, Detail: "a " + string(class) + " token is not an access token"}
	}
	return q, err
}

// prove verifies or looks up once for all requests that wait for the same token.
// From is where it comes from; nil: from where failures are not counted.
func (a *Authority) prove(raw string, from *bucket) (*Lease, error) {
	q, err := a.takeAccess(raw)
	if err != nil {
		return nil, err
	}
	if known := q.settings.refused.get(q, a.Now()); known != nil {
		return nil, known
	}
	proven, err, _ := a.proving.Do(raw, func() (any, error) {
		w, do := a.lookingUp, a.lookUp
		if q.signed != nil {
			w, do = a.verifying, a.verify
		}
		facts, err := a.answer(q, from, w, do)
		if err != nil {
			return nil, err
		}
		common := q.settings.cache.shared.of(&facts)
		lease := newLease(raw, facts, common, a.Now())
		if a.beforeFill != nil {
			a.beforeFill()
		}
		q.settings.cache.put(lease)
		return lease, nil
	})
	lease, _ := proven.(*Lease) // nil beside an error
	return lease, err
}

// answer does the work, when it is its turn.
func (a *Authority) answer(q *question, from *bucket, w *work, do func(*question) (Facts, error)) (Facts, error) {
	suspect, err := a.takeTurn(w, from)
	if err != nil {
		return Facts{}, err
	}
	defer w.leave()
	w.done.Add(1)
	facts, err := do(q)
	if invalid, ok := errors.AsType[*Invalid](err); ok {
		now := a.Now()
		if !invalid.Proven {
			a.failures.add(from, suspect, now)
		}
		if invalid.forGood() {
			q.settings.refused.put(q, invalid, now)
		}
	}
	return facts, err
}

// takeTurn waits until the work may be done, in the slow lane if need be. If it
// does not fail, w.leave must follow.
func (a *Authority) takeTurn(w *work, from *bucket) (suspect bool, err error) {
	for {
		if !suspect && a.failures.suspects(from, a.Now()) {
			wait, ok := a.failures.wait(a.Now())
			if !ok {
				return true, w.refuse(a.failures.mostly(from, a.Now()))
			}
			a.failures.sleep(wait)
			suspect = true
		}
		if err := w.enter(); err != nil {
			return suspect, err
		}
		// Those before may have failed meanwhile.
		if suspect || !a.failures.suspects(from, a.Now()) {
			return suspect, nil
		}
		w.leave()
	}
}

func (a *Authority) verify(q *question) (Facts, error) {
	claims, err := q.key.verify(q.signed, Expect{
		Issuer: q.settings.Issuer, Audience: q.settings.Audience, MaxLifetime: q.settings.AccessLifetime, Now: a.Now(),
	})
	if err != nil {
		return Facts{}, err
	}
	return Facts{
		ID: claims.ID, Class: ClassAccess, Grant: claims.Grant,
		Subject: claims.Subject, Client: claims.ClientID,
		Scopes: claims.Scopes, Accounts: claims.Accounts,
		KeyID: q.key.id, Epoch: claims.Epoch, Rights: claims.Rights,
		Issued: claims.IssuedAt, Expires: claims.Expires,
	}, nil
}

// Refusals of tokens that are not in the store, or dead there.
var (
	errUnknown = &Invalid{Reason: ReasonUnknown}
	// errEnded is for good, unlike that of one whose owner is disabled.
	errEnded    = &Invalid{Reason: ReasonRevoked, Proven: true, Detail: "the token was revoked"}
	errDisabled = &Invalid{Reason: ReasonRevoked, Proven: true, Detail: "the token was revoked"}
)

// lookUp finds an opaque token in the store. The look-up serves every request
// that waits for it, so none of them can cancel it.
func (a *Authority) lookUp(q *question) (Facts, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	row, standing, err := a.store.TokenByHash(ctx, a.environment, q.opaque.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Facts{}, errUnknown
	case err != nil:
		return Facts{}, fmt.Errorf("look up token: %w", errors.Join(store.ErrUnavailable, err))
	case !row.Revoked.IsZero() || !standing.Grant.Revoked.IsZero():
		return Facts{}, errEnded
	case standing.Dead():
		return Facts{}, errDisabled
	}
	personal, err := a.personal(&row)
	if err != nil {
		return Facts{}, err
	}
	scopes, accounts := Entitlement(q.settings.Policy(), &standing)
	return Facts{
		ID: row.ID, Class: string(row.Class), Grant: row.Grant,
		Subject: standing.Principal.ID, Client: standing.Client.ID,
		Scopes: scopes, Accounts: accounts,
		Epoch: standing.Epoch(), Rights: standing.Rights(),
		Issued: row.Created, Expires: row.Expires, Personal: personal,
	}, nil
}
