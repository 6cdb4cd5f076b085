package sqlite

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const webhookColumns = `h.environment, h.principal, h.url, h.kinds, h.sealed, h.key_id, h.created, h.off,
	h.after, h.announced, h.failures, h.failing, h.retry, h.window, h.sent, h.left_out`

func webhookInto(h *store.Webhook) []any {
	return []any{
		(*string)(&h.Environment), &h.Principal, &h.URL, words{&h.Kinds}, &h.Sealed, &h.KeyID, instant{&h.Created}, (*string)(&h.Off),
		&h.After, instant{&h.Announced}, &h.Failures, instant{&h.Failing}, instant{&h.Retry}, instant{&h.Window}, &h.Sent, &h.LeftOut,
	}
}

const deliveryColumns = `d.environment, d.id, d.principal, d.type, d.body, d.created, d.attempts, d.last, d.outcome, d.status, d.done`

func deliveryInto(d *store.Delivery) []any {
	return []any{
		(*string)(&d.Environment), &d.ID, &d.Principal, &d.Type, &d.Body, instant{&d.Created}, &d.Attempts, instant{&d.Last},
		&d.Outcome, &d.Status, instant{&d.Done},
	}
}

func (r reader) Webhook(env store.Environment, principal string) (store.Webhook, error) {
	return one(r.s, "webhook", webhookInto,
		`SELECT `+webhookColumns+` FROM webhook h WHERE h.environment = ? AND h.principal = ?`, env, principal)
}

func (r reader) Webhooks(env store.Environment) ([]store.Webhook, error) {
	return list(r.s, webhookInto,
		`SELECT `+webhookColumns+` FROM webhook h WHERE h.environment = ? ORDER BY h.principal`, env)
}

func (r reader) Deliveries(env store.Environment, principal string, limit int) ([]store.Delivery, error) {
	return list(r.s, deliveryInto,
		`SELECT `+deliveryColumns+` FROM delivery d WHERE d.environment = ? AND d.principal = ? ORDER BY d.sequence DESC LIMIT ?`,
		env, principal, max(limit, 0))
}

func (r reader) WaitingFor(env store.Environment) ([]string, error) {
	return list(r.s, func(id *string) []any { return []any{id} },
		`SELECT DISTINCT d.principal FROM delivery d WHERE d.environment = ? AND d.done = 0 ORDER BY d.principal`, env)
}

// stepsBack is after how many attempts a delivery lets the others pass.
const stepsBack = 4

func (r reader) NextDelivery(env store.Environment, principal string) (store.Delivery, error) {
	return one(r.s, "delivery", deliveryInto,
		`SELECT `+deliveryColumns+` FROM delivery d WHERE d.environment = ? AND d.principal = ? AND d.done = 0
		ORDER BY d.attempts >= ?, d.sequence LIMIT 1`, env, principal, stepsBack)
}

func (r reader) Expiring(env store.Environment, principal string, after, until time.Time) ([]store.Token, error) {
	return list(r.s, tokenInto, `SELECT `+tokenColumns+` FROM grants g JOIN token t ON t.environment = g.environment AND t.grant_id = g.id
		WHERE g.environment = ? AND g.principal = ? AND g.client IN (?, ?) AND g.revoked = 0 AND t.revoked = 0
		AND t.class IN (?, ?) AND t.expires > ? AND t.expires <= ? ORDER BY t.expires, t.id`,
		env, principal, store.PersonalClient, store.TradingClient, store.Personal, store.SharedRefresh, max(micros(after), 0), micros(until))
}

func (w writer) PutWebhook(h store.Webhook) error {
	return w.put("webhook", `INSERT INTO webhook (environment, principal, url, kinds, sealed, key_id, created, off,
			after, announced, failures, failing, retry, window, sent, left_out)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET url = excluded.url, kinds = excluded.kinds, sealed = excluded.sealed, key_id = excluded.key_id,
			created = excluded.created, off = excluded.off, after = excluded.after, announced = excluded.announced,
			failures = excluded.failures, failing = excluded.failing, retry = excluded.retry,
			window = excluded.window, sent = excluded.sent, left_out = excluded.left_out`,
		h.Environment, h.Principal, h.URL, joined(h.Kinds), octets(h.Sealed), h.KeyID, micros(h.Created), h.Off,
		h.After, micros(h.Announced), h.Failures, micros(h.Failing), micros(h.Retry), micros(h.Window), h.Sent, h.LeftOut)
}

func (w writer) DeleteWebhook(env store.Environment, principal string) error {
	changed, err := w.tx.exec(`DELETE FROM webhook WHERE environment = ? AND principal = ?`, env, principal)
	if err == nil && changed == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	return nil
}

func (w writer) PutDelivery(d store.Delivery) error {
	return w.put("delivery", `INSERT INTO delivery (environment, id, principal, type, body, created, attempts, last, outcome, status, done)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (environment, id) DO UPDATE SET principal = excluded.principal, type = excluded.type, body = excluded.body,
			created = excluded.created, attempts = excluded.attempts, last = excluded.last, outcome = excluded.outcome,
			status = excluded.status, done = excluded.done`,
		d.Environment, d.ID, d.Principal, d.Type, octets(d.Body), micros(d.Created), d.Attempts, micros(d.Last),
		d.Outcome, d.Status, micros(d.Done))
}

func (w writer) EndDeliveries(env store.Environment, principal, outcome string, at time.Time) error {
	_, err := w.tx.exec(`UPDATE delivery SET outcome = ?, done = ? WHERE environment = ? AND principal = ? AND done = 0`,
		outcome, micros(at), env, principal)
	if err != nil {
		return fmt.Errorf("end deliveries: %w", err)
	}
	return nil
}
