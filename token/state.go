package token

import "time"

// What operators see of an Authority from the side.

// Revocations returns how many entries the revocation set has.
func (a *Authority) Revocations() int { return a.revoked.len() }

// CacheUse returns what the facts in the cache weigh, and what they may, in bytes.
func (a *Authority) CacheUse() (used, limit int64) {
	leases := a.settings.Load().cache.leases
	limit = leases.MaxCost()
	return limit - leases.RemainingCost(), limit
}

// KeyEnd is when a signing key ends.
type KeyEnd struct {
	State KeyState
	Ends  time.Time // stops to sign; or, if it does no more, is or was retired
}

// KeyEnds returns when the signing keys end that do, by id, without asking the store.
// One that signs until the next takes over ends when that is due.
func (a *Authority) KeyEnds() map[string]KeyEnd {
	records := a.records.Load()
	if records == nil {
		return nil
	}
	set := a.settings.Load()
	ends := map[string]KeyEnd{}
	for id, life := range keyLives(*records, a.Now(), set.AccessLifetime+retentionMargin) {
		at := life.Retires
		if life.State == KeySigning || life.State == KeyFuture {
			at = life.Stops
		}
		ends[id] = KeyEnd{life.State, at}
	}
	for i := range *records {
		r := &(*records)[i]
		if end := ends[r.ID]; end.Ends.IsZero() && end.State != KeyRevoked && r.SealKeyID != "" && set.KeyRotation > 0 {
			ends[r.ID] = KeyEnd{end.State, r.SignFrom.Add(set.KeyRotation)}
		}
	}
	for id, end := range ends {
		if end.Ends.IsZero() || end.State == KeyRevoked {
			delete(ends, id)
		}
	}
	return ends
}

// SignerID is the id of the key that signs now, empty if there is none.
func (a *Authority) SignerID() string {
	keys := a.keys.Load()
	if keys == nil {
		return ""
	}
	if key := keys.signer(a.Now()); key != nil {
		return key.id
	}
	return ""
}
