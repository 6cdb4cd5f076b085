package token

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Refusals of changes to the signing keys. They are wrapped with what stands in
// the way.
var (
	// ErrKeyFile: the operator keeps the key in a file, and changes it there.
	ErrKeyFile = errors.New("the signing key comes from a file")
	// ErrKeyComing: the next key is published already.
	ErrKeyComing = errors.New("the next signing key is published already")
	// ErrKeysChanged: somebody else changed the keys at the same moment.
	ErrKeysChanged = errors.New("the signing keys were changed at the same moment")
)

// keyChange works out what has to change among the signing keys of an
// environment. It is gone through twice: to learn whether a fresh key is needed,
// which takes too long to make in a transaction, and in the transaction itself.
// So two starts, reloads or rotations at once cannot make two keys.
type keyChange struct {
	keyring   *Keyring
	algorithm string
	file      *KeyFile // nil: we make the keys
	now       time.Time
	actor     string

	records    []store.SigningKey // as they will be
	fresh      *store.SigningKey  // made for this change
	needsFresh bool
	changed    []string // ids, each once
	events     []store.Event
}

func (c *keyChange) find(id string) *store.SigningKey {
	for i := range c.records {
		if c.records[i].ID == id {
			return &c.records[i]
		}
	}
	return nil
}

// put takes note that a record is new or has changed.
func (c *keyChange) put(r store.SigningKey, action string) {
	if old := c.find(r.ID); old != nil {
		*old = r
	} else {
		c.records = append(c.records, r)
	}
	if !slices.Contains(c.changed, r.ID) {
		c.changed = append(c.changed, r.ID)
	}
	c.events = append(c.events, store.Event{
		Environment: c.keyring.Environment(), At: c.now, Actor: c.actor,
		Action: action, Target: "key:" + r.ID, Outcome: "ok",
	})
}

// fromFile reports whether the key in the operator's file is to sign. One that
// was killed never does again.
func (c *keyChange) fromFile() bool {
	if c.file == nil {
		return false
	}
	r := c.find(c.file.ID())
	return r == nil || r.Epoch == 0
}

// wanted reports whether the settings want a key to sign, once its time comes.
func (c *keyChange) wanted(r *store.SigningKey) bool {
	if c.fromFile() {
		return r.ID == c.file.ID()
	}
	return len(r.Sealed) != 0 && r.Algorithm == c.algorithm
}

// settle sees to it that a wanted key signs now, and that none that is not
// wanted will.
func (c *keyChange) settle() error {
	if err := c.checkFile(); err != nil {
		return err
	}
	signer := signerAmong(c.records, c.now)
	switch {
	case signer != nil && c.wanted(signer):
	case c.fromFile():
		c.useFile()
	default:
		c.takeOver(c.now, "key.add")
	}
	for _, r := range c.coming() {
		if !c.wanted(&r) {
			r.SignUntil = r.SignFrom
			c.put(r, "key.withdraw")
		}
	}
	return nil
}

// checkFile refuses an RSA key that is to change its algorithm: each key is for
// one (RFC 8725 §3.1), and its id says which key it is and not for what.
func (c *keyChange) checkFile() error {
	if c.file == nil {
		return nil
	}
	if old := c.find(c.file.ID()); old != nil && old.Algorithm != c.file.Algorithm() {
		return fmt.Errorf("signing key file %s: the key was used with %s before and can't be used with %s; put another key there",
			c.file.path, old.Algorithm, c.file.Algorithm())
	}
	return nil
}

// useFile has the key in the operator's file sign from now on: others can't have
// its public half before we have it. One that was replaced before may come back.
func (c *keyChange) useFile() {
	r := c.file.record(c.keyring.Environment())
	r.Created, r.SignFrom = c.now, c.now
	if old := c.find(r.ID); old != nil {
		r.Created = old.Created
	}
	c.put(r, "key.add")
}

// takeOver has a new key sign from an instant on: the one that is published
// already, if there is one, else a fresh one.
func (c *keyChange) takeOver(from time.Time, action string) (next store.SigningKey) {
	for _, r := range c.coming() {
		if c.wanted(&r) {
			r.SignFrom = from
			c.put(r, action)
			return r
		}
	}
	if c.fresh == nil {
		c.needsFresh = true
		return next
	}
	next = *c.fresh
	next.Created, next.SignFrom = c.now, from
	c.put(next, action)
	return next
}

// coming are the keys that sign later, the next one first.
func (c *keyChange) coming() []store.SigningKey {
	var coming []store.SigningKey
	for _, r := range c.records {
		if usable(&r) && r.SignFrom.After(c.now) && !withdrawn(&r) {
			coming = append(coming, r)
		}
	}
	slices.SortFunc(coming, func(a, b store.SigningKey) int {
		return newestFirst(b.SignFrom, a.SignFrom, b.ID, a.ID)
	})
	return coming
}

// newest returns the key that will sign when all that are coming have come; nil
// if there is none.
func (c *keyChange) newest() *store.SigningKey {
	if coming := c.coming(); len(coming) > 0 {
		return &coming[len(coming)-1]
	}
	return signerAmong(c.records, c.now)
}

// rotateWhenDue publishes the next key when the newest has signed for long
// enough, or will have once the next one takes over. steady is a clock that
// doesn't jump ahead.
func (c *keyChange) rotateWhenDue(every time.Duration, steady time.Time) {
	newest := c.newest()
	if every <= 0 || c.fromFile() || newest == nil || steady.Before(newest.SignFrom.Add(every-PublishAhead)) {
		return
	}
	c.takeOver(c.now.Add(PublishAhead), "key.rotate")
}

// retire ends the keys of whose tokens none can live any more, by either clock.
func (c *keyChange) retire(outlive time.Duration, steady time.Time) {
	if c.now.Before(steady) {
		steady = c.now
	}
	for _, r := range slices.Clone(c.records) {
		stop := stops(&r, c.records)
		if usable(&r) && !stop.IsZero() && !steady.Before(stop.Add(outlive)) {
			r.Retired = c.now
			c.put(r, "key.retire")
		}
	}
}

// destroy deletes the private halves that will never sign again.
func (c *keyChange) destroy() {
	for _, r := range slices.Clone(c.records) {
		if !usable(&r) && len(r.Sealed) != 0 {
			r.Sealed = nil
			c.put(r, "key.destroy")
		}
	}
}
