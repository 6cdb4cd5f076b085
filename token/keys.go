package token

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// keysInUse are the signing keys with what they were opened from, so that they
// are opened again only if that changes.
type keysInUse struct {
	records []store.SigningKey
	file    *KeyFile
}

// JWKS returns the public keys (RFC 7517 §5) by which others may verify.
func (a *Authority) JWKS() []byte { return a.keys.Load().JWKS() }

// JWK returns one public key (RFC 7517 §4), nil if it is not published.
func (a *Authority) JWK(id string) ([]byte, error) { return a.keys.Load().JWK(id) }

// OpenKeys unseals the signing keys. If none that the settings want signs, one
// does from now on: that of the file, or a new one. Older keys go on verifying
// what they signed.
func (a *Authority) OpenKeys(ctx context.Context) error {
	a.changingKeys.Lock()
	defer a.changingKeys.Unlock()
	return a.changeKeys(ctx, "config", func(c *keyChange, _ time.Duration) error { return c.settle() })
}

// KeepKeys publishes the next signing key when it is due and retires those that
// are over. It is to be called every minute or so; steady is the present by a
// clock that doesn't jump ahead.
func (a *Authority) KeepKeys(ctx context.Context, steady time.Time) error {
	a.changingKeys.Lock()
	defer a.changingKeys.Unlock()
	every := a.settings.Load().KeyRotation
	return a.changeKeys(ctx, "schedule", func(c *keyChange, outlive time.Duration) error {
		if err := c.settle(); err != nil {
			return err
		}
		c.rotateWhenDue(every, steady)
		c.retire(outlive, steady)
		c.destroy()
		return nil
	})
}

// RotateKey makes the next signing key. It is published now and signs ten
// minutes later; with atOnce it signs now, before others can know it. Errors:
// ErrKeyFile, ErrKeyComing (with atOnce that one signs now), ErrKeysChanged.
func (a *Authority) RotateKey(ctx context.Context, atOnce bool, actor string) (store.SigningKey, error) {
	return a.rotateFrom(ctx, a.keys.Load().newestID(), atOnce, actor)
}

// rotateFrom rotates if the newest key is still the one that the caller saw: of
// two that ask at once, the second would otherwise rotate what the first made.
func (a *Authority) rotateFrom(ctx context.Context, seen string, atOnce bool, actor string) (next store.SigningKey, err error) {
	a.changingKeys.Lock()
	defer a.changingKeys.Unlock()
	if a.keys.Load().newestID() != seen {
		return next, ErrKeysChanged
	}
	err = a.changeKeys(ctx, actor, func(c *keyChange, _ time.Duration) error {
		if c.fromFile() {
			return fmt.Errorf("%w, %s", ErrKeyFile, c.file.path)
		}
		if err := c.settle(); err != nil {
			return err
		}
		from := c.now
		if !atOnce {
			from = c.now.Add(PublishAhead)
			if coming := c.coming(); len(coming) > 0 {
				return fmt.Errorf("%w: %s, which signs from %s", ErrKeyComing, coming[0].ID, coming[0].SignFrom.UTC().Format(time.RFC3339))
			}
		}
		next = c.takeOver(from, "key.rotate")
		return nil
	})
	return next, err
}

// RevokeKey kills a signing key with everything that it signed: it neither signs
// nor verifies any more and is not published. If it was the one that signs,
// another does already when it dies, so that no new token is dead. It fails with
// store.ErrNotFound.
func (a *Authority) RevokeKey(ctx context.Context, id, reason string, event store.Event) (store.Revocation, error) {
	a.changingKeys.Lock()
	defer a.changingKeys.Unlock()
	ctx = context.WithoutCancel(ctx) // half of it would be done
	err := a.changeKeys(ctx, event.Actor, func(c *keyChange, _ time.Duration) error {
		doomed := c.find(id)
		if doomed == nil {
			return store.ErrNotFound
		}
		signed := doomed == signerAmong(c.records, c.now)
		doomed.Epoch = 1 // in this view of things; the store draws the number
		if signed {
			c.takeOver(c.now, "key.rotate")
		}
		return nil
	})
	if err != nil {
		return store.Revocation{}, err
	}
	done, err := a.Revoke(ctx, store.Revocation{Kind: store.KindKey, Target: id, Reason: reason}, event)
	if err != nil {
		return store.Revocation{}, err
	}
	// Its tokens are dead already, whoever still holds the keys from before.
	return done, a.changeKeys(ctx, event.Actor, func(c *keyChange, _ time.Duration) error {
		c.destroy()
		return nil
	})
}

// Keys returns the records of all signing keys, retired and killed ones too,
// with the life of each by id.
func (a *Authority) Keys(ctx context.Context) (records []store.SigningKey, lives map[string]KeyLife, err error) {
	var longest time.Duration
	err = a.store.View(ctx, func(tx store.Reader) error {
		records, longest, err = a.readKeys(tx)
		return err
	})
	return records, keyLives(records, a.Now(), longest+retentionMargin), err
}

// FileKeyRevoked reports whether the settings name a file whose key was killed,
// so that a key of our own signs in its place.
func (a *Authority) FileKeyRevoked() bool {
	file, keys := a.settings.Load().SigningKey, a.keys.Load()
	return file != nil && keys.byID[file.ID()] == nil
}

// changeKeys carries out what decide works out, if anything, and opens the keys
// as they are then. decide is given how long a key must outlive its last
// signature. The caller holds changingKeys.
func (a *Authority) changeKeys(ctx context.Context, actor string, decide func(*keyChange, time.Duration) error) error {
	records, err := a.decideKeys(ctx, actor, decide)
	if err == nil {
		err = a.loadKeys(records)
	}
	if err != nil {
		return fmt.Errorf("signing keys of %s: %w", a.environment, err)
	}
	return nil
}

func (a *Authority) decideKeys(ctx context.Context, actor string, decide func(*keyChange, time.Duration) error) (records []store.SigningKey, err error) {
	set := a.settings.Load()
	var fresh *store.SigningKey
	var longest time.Duration
	work := func(tx store.Reader) (*keyChange, error) {
		if records, longest, err = a.readKeys(tx); err != nil {
			return nil, err
		}
		c := &keyChange{
			keyring: a.keyring, algorithm: set.Algorithm, file: set.SigningKey,
			now: a.Now(), actor: actor, records: slices.Clone(records), fresh: fresh,
		}
		return c, decide(c, max(longest, set.AccessLifetime)+retentionMargin)
	}
	var c *keyChange
	err = a.store.View(ctx, func(tx store.Reader) error {
		c, err = work(tx)
		return err
	})
	if err != nil || !c.needsFresh && len(c.changed) == 0 && longest >= set.AccessLifetime {
		return records, err
	}
	if c.needsFresh {
		made, err := GenerateSigningKey(a.keyring, set.Algorithm, c.now)
		if err != nil {
			return nil, err
		}
		fresh = &made
	}
	err = a.store.Update(ctx, func(tx store.Writer) error {
		c, err := work(tx)
		if err == nil && c.needsFresh {
			err = ErrKeysChanged // a moment ago it was not needed
		}
		if err == nil && longest < set.AccessLifetime {
			err = tx.SetMeta(a.metaLongest(), set.AccessLifetime.String())
		}
		if err == nil {
			err = c.write(tx)
		}
		if err == nil {
			records, err = tx.SigningKeys(a.environment)
		}
		return err
	})
	return records, err
}

// write puts what has changed.
func (c *keyChange) write(tx store.Writer) error {
	for _, id := range c.changed {
		if err := tx.PutSigningKey(*c.find(id)); err != nil {
			return err
		}
	}
	for _, event := range c.events {
		if err := tx.Record(event); err != nil {
			return err
		}
	}
	return nil
}

// metaLongest is where the store remembers the longest life that access tokens
// were ever given: what a key signed under an older configuration may live on
// after the setting was shortened and lengthened again.
func (a *Authority) metaLongest() string { return "longest_access_lifetime." + string(a.environment) }

func (a *Authority) readKeys(tx store.Reader) (records []store.SigningKey, longest time.Duration, err error) {
	if records, err = tx.SigningKeys(a.environment); err != nil {
		return nil, 0, err
	}
	text, err := tx.Meta(a.metaLongest())
	if errors.Is(err, store.ErrNotFound) {
		return records, 0, nil
	}
	if err == nil {
		longest, err = time.ParseDuration(text)
	}
	return records, longest, err
}

// loadKeys opens the keys for everybody, unless they are open already.
func (a *Authority) loadKeys(records []store.SigningKey) error {
	next := keysInUse{records, a.settings.Load().SigningKey}
	if a.keys.Load() != nil && reflect.DeepEqual(a.inUse.records, next.records) && a.inUse.file == next.file {
		return nil
	}
	keys, err := OpenSigningKeys(a.keyring, records, next.file)
	if err != nil {
		return err
	}
	a.inUse = next
	a.records.Store(&records)
	a.keys.Store(keys)
	return nil
}
