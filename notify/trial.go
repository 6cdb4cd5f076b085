package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A user may have so many test messages sent in a window: they go wherever the user
// says.
const maxTrials = 10

// ErrTooMany is for a user who has sent too many test messages.
var ErrTooMany = errors.New("notify: too many test messages")

// Try sends a test message to a user's webhook now, whether it is on or off, and
// returns how that went. ErrTooMany, and ErrNotFound of the store.
func (n *Notifier) Try(ctx context.Context, env store.Environment, user string) (store.Delivery, error) {
	now := n.now()
	var h store.Webhook
	err := n.store.View(ctx, func(tx store.Reader) (err error) {
		h, err = tx.Webhook(env, user)
		return err
	})
	switch {
	case err != nil:
		return store.Delivery{}, err
	case !n.mayTry(receiver{env, user}, now):
		return store.Delivery{}, ErrTooMany
	}
	d := due{h, newDelivery(env, user, TypeTest, now, Data{})}
	got, began := n.try(ctx, &d)
	if !began {
		return store.Delivery{}, store.ErrUnavailable
	}
	n.count(env, got.outcome)
	m := d.message
	m.Attempts, m.Last, m.Outcome, m.Status, m.Done = 1, n.now(), string(got.outcome), got.status, n.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return m, n.store.Update(ctx, func(tx store.Writer) error {
		present, err := tx.Webhook(env, user)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && got.outcome == Delivered && present.URL == h.URL {
			err = n.wentWell(tx, present) // what waits goes out at once
		}
		return errors.Join(err, put(tx, m))
	})
}

// mayTry counts the test messages of a user.
func (n *Notifier) mayTry(who receiver, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other, times := range n.tested { // there are as many as sent one within the hour
		times = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) >= window })
		if n.tested[other] = times; len(times) == 0 {
			delete(n.tested, other)
		}
	}
	if len(n.tested[who]) >= maxTrials {
		return false
	}
	n.tested[who] = append(n.tested[who], now)
	return true
}
