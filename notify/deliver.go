package notify

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// What waits for a receiver that could not be reached is tried after firstRetry,
	// then after twice as long, and so on.
	firstRetry, longestRetry = 5 * time.Second, time.Hour

	// offAfter is how long nothing can be delivered before a webhook is switched off.
	offAfter = 5 * 24 * time.Hour

	// perFlight is how many messages one receiver gets before others come first.
	perFlight = 50

	// settleTimeout is for writing down how an attempt went, also when we end.
	settleTimeout = 5 * time.Second
)

// deliver sends what waits, each receiver's in a goroutine of its own.
func (n *Notifier) deliver(ctx context.Context) error {
	for _, env := range n.environments() {
		var users []string
		err := n.store.View(ctx, func(tx store.Reader) (err error) {
			users, err = tx.WaitingFor(env)
			return err
		})
		if err != nil {
			return err
		}
		for _, user := range users {
			if err := n.launch(ctx, receiver{env, user}); err != nil {
				return err
			}
		}
	}
	return nil
}

// launch begins to deliver to a receiver, unless that is done already, it is too
// early or all places are taken.
func (n *Notifier) launch(ctx context.Context, to receiver) error {
	next, err := n.next(ctx, to)
	if err != nil || next == nil {
		return err
	}
	places := n.well
	if next.hook.Failures > 0 {
		places = n.ill
	}
	if !n.takeOff(to, places) {
		return nil
	}
	n.flights.Go(func() {
		defer n.land(to, places)
		for range perFlight {
			if !n.attempt(ctx, next) {
				return
			}
			more, err := n.next(ctx, to)
			if err != nil || more == nil {
				return
			}
			next = more
		}
	})
	return nil
}

func (n *Notifier) takeOff(to receiver, places chan struct{}) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.flying[to] {
		return false
	}
	select {
	case places <- struct{}{}:
		n.flying[to] = true
		return true
	default:
		return false
	}
}

func (n *Notifier) land(to receiver, places chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.flying, to)
	<-places
}

// due is a message whose time has come.
type due struct {
	hook    store.Webhook
	message store.Delivery
}

// next is what is to be sent to a receiver now, or nil. What is too old is ended on
// the way.
func (n *Notifier) next(ctx context.Context, to receiver) (*due, error) {
	for {
		var d due
		waits := false
		err := n.store.View(ctx, func(tx store.Reader) (err error) {
			if d.hook, err = tx.Webhook(to.environment, to.user); err != nil {
				return err
			}
			user, err := tx.Principal(to.environment, to.user)
			if err != nil || user.Status != store.Active {
				return err
			}
			d.message, err = tx.NextDelivery(to.environment, to.user)
			waits = err == nil
			return err
		})
		switch now := n.now(); {
		case errors.Is(err, store.ErrNotFound) || err == nil && !waits:
			return nil, nil
		case err != nil:
			return nil, err
		case now.Sub(d.message.Created) >= giveUpAfter:
			d.message.Outcome, d.message.Done = string(Old), now
			if err := n.store.Update(ctx, func(tx store.Writer) error { return put(tx, d.message) }); err != nil {
				return nil, err
			}
			n.count(to.environment, Old)
		case now.Before(d.hook.Retry) && d.hook.Retry.Sub(now) <= 2*longestRetry: // else the clock was set back
			return nil, nil
		default:
			return &d, nil
		}
	}
}

// put writes a delivery down, unless its webhook was removed with it.
func put(tx store.Writer, d store.Delivery) error {
	if _, err := tx.Webhook(d.Environment, d.Principal); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	return tx.PutDelivery(d)
}

// attempt sends a message once and reports whether that was a success.
func (n *Notifier) attempt(ctx context.Context, d *due) bool {
	got, began := n.try(ctx, d)
	if !began || got.outcome != Delivered && ctx.Err() != nil {
		return false // we end; that is no failure of the receiver's
	}
	n.count(d.hook.Environment, got.outcome)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := n.store.Update(settling, func(tx store.Writer) error { return n.settle(tx, d, got) })
	if err != nil {
		n.log().Warn("how a notification was delivered can't be written down; it will be sent again",
			zap.String("environment", string(d.hook.Environment)), zap.String("user", d.hook.Principal), zap.Error(err))
	}
	return err == nil && got.outcome == Delivered
}

// try makes the attempt, if the environment is still served.
func (n *Notifier) try(ctx context.Context, d *due) (got result, began bool) {
	at := n.at(d.hook.Environment)
	if at == nil {
		return got, false
	}
	key, err := at.Secret(&d.hook)
	if err != nil {
		n.log().Error("the secret of a webhook can't be opened",
			zap.String("environment", string(d.hook.Environment)), zap.String("user", d.hook.Principal), zap.Error(err))
		return result{outcome: Unreachable}, true
	}
	return at.sender.send(ctx, d.hook.URL, d.message.ID, key, d.message.Body, n.now()), true
}

// settle writes down how an attempt went.
func (n *Notifier) settle(tx store.Writer, d *due, got result) error {
	h, err := tx.Webhook(d.hook.Environment, d.hook.Principal)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	now := n.now()
	m := d.message
	m.Attempts++
	m.Last, m.Outcome, m.Status = now, string(got.outcome), got.status
	if got.outcome == Delivered {
		m.Done = now
	}
	if err := tx.PutDelivery(m); err != nil {
		return err
	}
	if h.URL != d.hook.URL || h.Off != "" {
		return nil // it was about another receiver
	}
	if got.outcome == Delivered {
		return n.wentWell(tx, h)
	}
	h.Failures++
	if h.Failing.IsZero() {
		h.Failing = now
	}
	h.Retry = now.Add(n.jitter(backoff(h.Failures)))
	switch {
	case got.status == http.StatusGone:
		return switchOff(tx, h, store.WebhookGone, now)
	case now.Sub(h.Failing) >= offAfter:
		return switchOff(tx, h, store.WebhookFailing, now)
	}
	return tx.PutWebhook(h)
}

// wentWell forgets failures. Mostly there are none, and nothing is to be written.
func (n *Notifier) wentWell(tx store.Writer, h store.Webhook) error {
	if h.Failures == 0 {
		return nil
	}
	h.Failures, h.Failing, h.Retry = 0, time.Time{}, time.Time{}
	return tx.PutWebhook(h)
}

// backoff is how long to wait after so many failures.
func backoff(failures int) time.Duration {
	wait := firstRetry
	for ; failures > 1 && wait < longestRetry; failures-- {
		wait *= 2
	}
	return min(wait, longestRetry)
}

// switchOff ends a webhook until its user switches it on again.
func switchOff(tx store.Writer, h store.Webhook, why store.WebhookOff, now time.Time) error {
	h.Off = why
	return errors.Join(
		tx.PutWebhook(h),
		tx.EndDeliveries(h.Environment, h.Principal, string(SwitchedOff), now),
		tx.Record(store.Event{
			Environment: h.Environment, At: now, Actor: "server", Action: "webhook.off", Target: "webhook:" + h.Principal, Subject: store.UserWord(h.Principal),
			Outcome: "ok", Reason: string(why),
		}))
}
