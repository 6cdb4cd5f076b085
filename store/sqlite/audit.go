package sqlite

import (
	"cmp"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The outcomes that the store alone can know.
const (
	outcomeOK          = "ok"
	outcomeReplayed    = "replayed"
	outcomeReused      = "reused"
	outcomeRetried     = "retried"
	outcomeOtherClient = "other_client"
	outcomeMismatch    = "mismatch"
)

// completed fills in what the caller left open. An outcome other than ok is the
// store's to say: the caller named its own before it could know.
func completed(e, known store.Event) store.Event {
	e.Environment = known.Environment
	if e.At.IsZero() {
		e.At = known.At
	}
	e.Actor = cmp.Or(e.Actor, known.Actor)
	e.Action = cmp.Or(e.Action, known.Action)
	e.Target = cmp.Or(e.Target, known.Target)
	e.Reason = cmp.Or(e.Reason, known.Reason)
	if e.Subject = cmp.Or(e.Subject, known.Subject); e.Subject == e.Actor {
		e.Subject = ""
	}
	if e.Outcome == "" || known.Outcome != outcomeOK {
		e.Outcome = known.Outcome
	}
	return e
}

// record adds a line to the audit trail, which only ever grows.
func (t *tx) record(e store.Event) error {
	_, err := t.exec(`INSERT INTO audit (environment, at, actor, action, target, outcome,
		reason, address, request_id, count, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Environment, micros(e.At), e.Actor, e.Action, e.Target, e.Outcome,
		e.Reason, e.Address, e.RequestID, max(e.Count, 1), e.Subject)
	return err
}

// flow says what happened to a grant, for completed.
func flow(env store.Environment, now time.Time, actor, action, grant, outcome string) store.Event {
	return store.Event{
		Environment: env, At: now, Actor: actor, Action: action,
		Target: "grant:" + grant, Outcome: outcome,
	}
}
