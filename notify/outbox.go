package notify

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// metaCursor is up to where the audit trail was read.
	metaCursor = "webhook_cursor"

	// rowsPerLook bounds one transaction, and batchesPerLook one round.
	rowsPerLook, batchesPerLook = 500, 50

	// cursorLags is how many rows without news are read again after a restart: to
	// write down that there was none costs a commit.
	cursorLags = 10_000

	// maxPerWindow messages are made for a user in a window. What is beyond is counted
	// and told in one message when the window ends.
	maxPerWindow = 120
	window       = time.Hour

	// giveUpAfter is how long a message is news.
	giveUpAfter = 24 * time.Hour
)

// write makes messages of all that happened since it was called last.
func (n *Notifier) write(ctx context.Context) error {
	idle, err := n.idle(ctx)
	if err != nil || idle {
		return err
	}
	hooks, err := n.hooks(ctx)
	if err != nil || len(hooks) == 0 {
		return err
	}
	n.read = n.now()
	for range batchesPerLook {
		more, err := n.writeBatch(ctx, hooks)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return errors.Join(n.closeWindows(ctx, hooks), n.announce(ctx, hooks))
}

// idle reports whether nothing was written to the audit trail, and nothing can have
// come of the time that has passed.
func (n *Notifier) idle(ctx context.Context) (idle bool, err error) {
	if past := n.now().Sub(n.read); n.cursor == 0 || past < 0 || past >= time.Minute {
		return false, nil
	}
	err = n.store.View(ctx, func(tx store.Reader) error {
		rows, err := tx.AuditRows(n.cursor, 1)
		idle = len(rows) == 0
		return err
	})
	return idle, err
}

// hooks are the webhooks that are on, by environment and user.
func (n *Notifier) hooks(ctx context.Context) (map[store.Environment]map[string]*store.Webhook, error) {
	hooks := map[store.Environment]map[string]*store.Webhook{}
	err := n.store.View(ctx, func(tx store.Reader) error {
		for _, env := range n.environments() {
			all, err := tx.Webhooks(env)
			if err != nil {
				return err
			}
			for k := range all {
				if all[k].Off != "" {
					continue
				}
				if hooks[env] == nil {
					hooks[env] = map[string]*store.Webhook{}
				}
				hooks[env][all[k].Principal] = &all[k]
			}
		}
		return nil
	})
	return hooks, err
}

// writeBatch reads some rows of the audit trail and writes messages and cursor in one
// transaction.
func (n *Notifier) writeBatch(ctx context.Context, hooks map[store.Environment]map[string]*store.Webhook) (more bool, err error) {
	var rows []store.AuditRow
	var made []store.Delivery
	err = n.store.View(ctx, func(tx store.Reader) error {
		if err := n.place(tx, hooks); err != nil {
			return err
		}
		var err error
		if rows, err = tx.AuditRows(n.cursor, rowsPerLook); err != nil {
			return err
		}
		for k := range rows {
			some, err := n.messages(tx, &rows[k], hooks[rows[k].Environment])
			if err != nil {
				return err
			}
			made = append(made, some...)
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return false, err
	}
	last := rows[len(rows)-1].Sequence
	if len(made) == 0 && last-n.written < cursorLags {
		n.cursor = last
		return len(rows) == rowsPerLook, nil
	}
	err = n.store.Update(ctx, func(tx store.Writer) error {
		for k := range made {
			if err := n.enqueue(tx, &made[k]); err != nil {
				return err
			}
		}
		return tx.SetMeta(metaCursor, strconv.FormatInt(last, 10))
	})
	if err == nil {
		n.cursor, n.written = last, last
	}
	return len(rows) == rowsPerLook, err
}

// place moves the cursor to where the first webhook begins: before, nobody wanted to
// know.
func (n *Notifier) place(tx store.Reader, hooks map[store.Environment]map[string]*store.Webhook) error {
	if n.cursor == 0 {
		text, err := tx.Meta(metaCursor)
		if err == nil {
			n.cursor, err = strconv.ParseInt(text, 10, 64)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		n.written = n.cursor
	}
	first := int64(math.MaxInt64)
	for _, some := range hooks {
		for _, h := range some {
			first = min(first, h.After)
		}
	}
	n.cursor = max(n.cursor, first)
	n.written = max(n.written, first)
	return nil
}

// messages are those that a row of the audit trail gives to users.
func (n *Notifier) messages(tx store.Reader, row *store.AuditRow, hooks map[string]*store.Webhook) (made []store.Delivery, err error) {
	if len(hooks) == 0 || n.now().Sub(row.At) >= giveUpAfter {
		return nil, nil
	}
	what, err := newsOf(tx, row, hooks)
	if what == nil || err != nil {
		return nil, err
	}
	for user, h := range hooks {
		if row.Sequence <= h.After || !wants(h, what.kind) {
			continue
		}
		concerned, err := what.concerns(tx, row.Environment, user)
		if err != nil {
			return nil, err
		}
		if !concerned {
			continue
		}
		if concerned, err = active(tx, row.Environment, user); err != nil {
			return nil, err
		}
		if concerned {
			made = append(made, newDelivery(row.Environment, user, typeOf(what.kind), row.At, what.data))
		}
	}
	return made, nil
}

// enqueue has a message wait, unless there were too many in this window.
func (n *Notifier) enqueue(tx store.Writer, d *store.Delivery) error {
	h, err := tx.Webhook(d.Environment, d.Principal)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && h.Off != "":
		return nil // removed in this moment
	case err != nil:
		return err
	}
	now := n.now()
	if now.Sub(h.Window) >= window {
		if err := closeWindow(tx, &h, now); err != nil {
			return err
		}
		h.Window = now
	}
	if h.Sent >= maxPerWindow {
		h.LeftOut++
		return tx.PutWebhook(h)
	}
	h.Sent++
	return errors.Join(tx.PutWebhook(h), tx.PutDelivery(*d))
}

// closeWindow has a message wait that says how many were left out.
func closeWindow(tx store.Writer, h *store.Webhook, now time.Time) error {
	left := h.LeftOut
	h.Sent, h.LeftOut = 0, 0
	if left == 0 {
		return nil
	}
	d := newDelivery(h.Environment, h.Principal, TypeLimited, now, Data{LeftOut: left, Since: h.Window.UTC(), Until: h.Window.Add(window).UTC()})
	return tx.PutDelivery(d)
}

// closeWindows closes those that have ended and in which something was left out.
func (n *Notifier) closeWindows(ctx context.Context, hooks map[store.Environment]map[string]*store.Webhook) error {
	for _, some := range hooks {
		for _, h := range some {
			if h.LeftOut == 0 || n.now().Sub(h.Window) < window {
				continue
			}
			if err := n.change(ctx, h, func(tx store.Writer, h *store.Webhook) error { return closeWindow(tx, h, n.now()) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// change changes a webhook as it is now, if it is there and on.
func (n *Notifier) change(ctx context.Context, which *store.Webhook, apply func(store.Writer, *store.Webhook) error) error {
	return n.store.Update(ctx, func(tx store.Writer) error {
		h, err := tx.Webhook(which.Environment, which.Principal)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && h.Off != "":
			return nil
		case err != nil:
			return err
		}
		if err := apply(tx, &h); err != nil {
			return err
		}
		return tx.PutWebhook(h)
	})
}
