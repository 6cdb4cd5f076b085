package notify

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// expiresSoon is how long before its end a token is told of. One that was made to
	// live no longer is not: who made it knows.
	expiresSoon = 7 * 24 * time.Hour

	// checkEvery is how often each user's tokens are looked at.
	checkEvery = time.Hour
)

// announce tells of tokens that end within a week, of each once: up to which end that
// was done is written with the messages.
func (n *Notifier) announce(ctx context.Context, hooks map[store.Environment]map[string]*store.Webhook) error {
	now := n.now()
	for env, some := range hooks {
		for user, h := range some {
			who := receiver{env, user}
			if !wants(h, Expiring) || now.Sub(n.checked[who]) < checkEvery && h.Created.Before(n.checked[who]) {
				continue
			}
			if err := n.announceTo(ctx, h, now); err != nil {
				return err
			}
			n.checked[who] = now
		}
	}
	return nil
}

func (n *Notifier) announceTo(ctx context.Context, h *store.Webhook, now time.Time) error {
	until := now.Add(expiresSoon)
	tokens, err := n.expiring(ctx, h, now, until)
	if err != nil || len(tokens) == 0 {
		return err
	}
	var made []store.Delivery
	err = n.store.View(ctx, func(tx store.Reader) error {
		if told, err := active(tx, h.Environment, h.Principal); !told || err != nil {
			return err
		}
		for k := range tokens {
			grant, err := tx.Grant(h.Environment, tokens[k].Grant)
			if err != nil {
				return err
			}
			what, err := aboutToken(tx, &grant, &tokens[k], Expiring)
			if err != nil {
				return err
			}
			made = append(made, newDelivery(h.Environment, h.Principal, TypeExpiring, now, what.data))
		}
		return nil
	})
	if err != nil || len(made) == 0 {
		return err
	}
	return n.change(ctx, h, func(tx store.Writer, h *store.Webhook) error {
		for k := range made {
			if err := n.enqueue(tx, &made[k]); err != nil {
				return err
			}
		}
		counted, err := tx.Webhook(h.Environment, h.Principal)
		*h = counted
		h.Announced = until
		return err
	})
}

// expiring lists the living tokens of a user, and of the accounts that are open to
// the user in full, that end until then and were not told of.
func (n *Notifier) expiring(ctx context.Context, h *store.Webhook, now, until time.Time) (tokens []store.Token, err error) {
	after := h.Announced
	if after.Before(now) {
		after = now
	}
	var found []store.Token
	err = n.store.View(ctx, func(tx store.Reader) error {
		bindings, err := tx.Bindings(h.Environment, h.Principal)
		if err != nil {
			return err
		}
		owners := []string{h.Principal}
		for _, b := range bindings {
			if b.Access == store.Full {
				owners = append(owners, b.Account) // by its id it acts for itself
			}
		}
		for _, owner := range owners {
			some, err := tx.Expiring(h.Environment, owner, after, until)
			if err != nil {
				return err
			}
			found = append(found, some...)
		}
		return nil
	})
	for k := 0; k < len(found) && err == nil; k++ {
		t := &found[k]
		if t.Expires.Sub(t.Created) <= expiresSoon {
			continue
		}
		_, standing, failed := n.store.TokenByHash(ctx, h.Environment, t.Hash)
		switch {
		case errors.Is(failed, store.ErrNotFound) || failed == nil && standing.Dead():
		case failed != nil:
			err = failed
		default:
			tokens = append(tokens, *t)
		}
	}
	return tokens, err
}
