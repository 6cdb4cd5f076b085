package caddymodule

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-bearer/caddy-bearer/audit"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// auditRoutes are the operations on the audit trail. It is one for all
// environments; only the list shows those of one.
func auditRoutes() []adminRoute {
	return []adminRoute{
		{"GET", inEnvironment + "/audit", roleRead, listAudit},
		{"GET", "/audit/keys", roleRead, listAuditKeys},
		{"GET", "/audit/rows", roleRead, exportAudit},
		{"POST", "/audit/verify", roleRead, verifyAudit},
	}
}

// auditEvent is a row of the audit trail as the admin API shows it.
type auditEvent struct {
	Sequence    int64             `json:"sequence"`
	Environment store.Environment `json:"environment"` // "*": the event is of the server as a whole
	At          time.Time         `json:"at"`
	Actor       string            `json:"actor"`
	Action      string            `json:"action"`
	Target      string            `json:"target"`
	Subject     string            `json:"subject,omitzero"` // whom it concerns besides the actor
	Outcome     string            `json:"outcome"`
	Count       int64             `json:"count"` // how many alike it stands for
	Reason      string            `json:"reason,omitzero"`
	Address     string            `json:"address,omitzero"`
	RequestID   string            `json:"request_id,omitzero"`
	Digest      string            `json:"digest,omitzero"` // in an export: what the seal covers, hexadecimal
}

func shownEvent(row *store.AuditRow) auditEvent {
	return auditEvent{
		Sequence: row.Sequence, Environment: row.Environment, At: row.At,
		Actor: row.Actor, Action: row.Action, Target: row.Target, Subject: row.Subject, Outcome: row.Outcome,
		Count: row.Count, Reason: row.Reason, Address: row.Address, RequestID: row.RequestID,
	}
}

// listAudit lists what happened, the newest first.
func listAudit(c *adminCall) (any, error) {
	asked, err := c.query("actor", "action", "target", "outcome", "since", "until", "limit")
	if err != nil {
		return nil, err
	}
	filter := store.AuditFilter{Actor: asked["actor"], Action: asked["action"], Target: asked["target"], Outcome: asked["outcome"]}
	if filter.Limit, err = parseLimit(asked["limit"]); err != nil {
		return nil, err
	}
	for name, into := range map[string]*time.Time{"since": &filter.Since, "until": &filter.Until} {
		if asked[name] == "" {
			continue
		}
		if *into, err = time.Parse(time.RFC3339, asked[name]); err != nil {
			return nil, refuse(http.StatusBadRequest, "%s %q: expected a time as in 2006-01-02T15:04:05Z", name, asked[name])
		}
	}
	shown := []auditEvent{}
	err = c.view(func(tx store.Reader) error {
		rows, err := tx.Audit(c.env, filter)
		for i := range rows {
			shown = append(shown, shownEvent(&rows[i]))
		}
		return err
	})
	return map[string][]auditEvent{"events": shown}, err
}

// auditKey is a key that seals may be signed with.
type auditKey struct {
	ID        string `json:"id"`
	Algorithm string `json:"algorithm"`
	PublicKey string `json:"public_key"` // PEM
}

func listAuditKeys(c *adminCall) (any, error) {
	shown := []auditKey{}
	keys := *c.app.runtime.trail.keys.Load()
	for _, id := range sortedKeys(keys) {
		text, err := pemOf(keys[id])
		if err != nil {
			return nil, err
		}
		shown = append(shown, auditKey{id, "Ed25519", text})
	}
	return map[string][]auditKey{"keys": shown}, nil
}

func pemOf(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
}

// exportedSeal is a seal as an export has it, behind the rows that it covers.
type exportedSeal struct {
	First     int64     `json:"first"`
	Last      int64     `json:"last"`
	At        time.Time `json:"at"`
	Digest    string    `json:"digest"` // hexadecimal
	Key       string    `json:"key"`
	Signature []byte    `json:"signature"` // base64
}

// exportPage is a part of the trail as lines for an archive.
type exportPage struct {
	Lines []jsontext.Value `json:"lines"`
	Next  int64            `json:"next"` // what to go on after
}

// exportAudit returns the rows behind a sequence, oldest first, with the seals
// among them.
func exportAudit(c *adminCall) (any, error) {
	asked, err := c.query("after", "limit")
	if err != nil {
		return nil, err
	}
	limit, err := parseLimit(asked["limit"])
	if err != nil {
		return nil, err
	}
	page := exportPage{Lines: []jsontext.Value{}}
	if asked["after"] != "" {
		if page.Next, err = strconv.ParseInt(asked["after"], 10, 64); err != nil || page.Next < 0 {
			return nil, refuse(http.StatusBadRequest, "after %q: expected the sequence of a row", asked["after"])
		}
	}
	err = c.view(func(tx store.Reader) error {
		rows, err := tx.AuditRows(page.Next, limit)
		if err != nil {
			return err
		}
		seals, err := tx.AuditSeals(page.Next, limit) // each has a row at least
		if err != nil {
			return err
		}
		return page.add(rows, seals)
	})
	return page, err
}

func (p *exportPage) add(rows []store.AuditRow, seals []store.AuditSeal) error {
	write := func(line any) error {
		text, err := json.Marshal(line)
		p.Lines = append(p.Lines, text)
		return err
	}
	for i := range rows {
		event, sum := shownEvent(&rows[i]), audit.RowHash(&rows[i])
		event.Digest = hex.EncodeToString(sum[:])
		if err := write(event); err != nil {
			return err
		}
		for ; len(seals) > 0 && seals[0].Last <= event.Sequence; seals = seals[1:] {
			s := &seals[0]
			seal := exportedSeal{s.First, s.Last, s.At, hex.EncodeToString(s.Digest[:]), s.KeyID, s.Signature}
			if err := write(map[string]exportedSeal{"seal": seal}); err != nil {
				return err
			}
		}
		p.Next = event.Sequence
	}
	return nil
}

// verification is what a walk along the whole trail found out.
type verification struct {
	Sound    bool           `json:"sound"`
	Rows     int64          `json:"rows"`     // that are sealed
	Unsealed int64          `json:"unsealed"` // that are not sealed yet
	Seals    int64          `json:"seals"`
	Tail     string         `json:"tail"`
	Head     jsontext.Value `json:"head,omitzero"` // the newest
	Findings []trailFinding `json:"findings"`
	Omitted  int            `json:"omitted,omitzero"` // further findings
}

type trailFinding struct {
	Sequence int64         `json:"sequence"`
	Problem  audit.Problem `json:"problem"`
	Detail   string        `json:"detail"`
}

// What can be said of the tail.
const (
	tailProven      = "proven: the head that was given is in the trail"
	tailNotProvable = "not provable: no head from outside was given"
	tailContested   = "not as the head says that was given"
)

// verifyTimeout bounds a verification: some 100 million rows.
const verifyTimeout = time.Hour

// verifyAudit walks along the whole trail.
func verifyAudit(c *adminCall) (any, error) {
	heads, err := c.decodeHeads()
	if err != nil {
		return nil, err
	}
	trail := c.app.runtime.trail
	if !trail.verifying.TryLock() {
		return nil, refuse(http.StatusConflict, "another verification is under way")
	}
	defer trail.verifying.Unlock()
	ctx, cancel := context.WithTimeout(c.request.Context(), verifyTimeout) // who hangs up ends it
	defer cancel()
	report, err := audit.Verify(ctx, c.store(), trail.sealer.Load().Identity, *trail.keys.Load(), heads)
	if err != nil {
		return nil, err
	}
	shown := verification{
		Sound: report.Sound(), Rows: report.Rows, Unsealed: report.Unsealed, Seals: report.Seals,
		Findings: []trailFinding{}, Omitted: report.Omitted,
	}
	if report.Head.Last > 0 {
		shown.Head = jsontext.Value(report.Head.Line())
	}
	for _, f := range report.Findings {
		shown.Findings = append(shown.Findings, trailFinding{f.Sequence, f.Problem, f.Detail})
	}
	switch {
	case len(heads) == 0:
		shown.Tail = tailNotProvable
	case report.TailProven:
		shown.Tail = tailProven
	default:
		shown.Tail = tailContested
	}
	return shown, nil
}

// decodeHeads reads the heads that the caller has. Those of other stores, which
// may share a sink with this one, are left out.
func (c *adminCall) decodeHeads() ([]audit.Head, error) {
	if c.request.ContentLength == 0 {
		return nil, nil
	}
	var in struct {
		Heads []string `json:"heads"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	identity := c.app.runtime.trail.sealer.Load().Identity
	var heads []audit.Head
	for i, line := range in.Heads {
		head, err := audit.ParseHead(line)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "head %d: %v", i+1, err)
		}
		if head.Store == identity {
			heads = append(heads, head)
		}
	}
	if len(in.Heads) > 0 && len(heads) == 0 {
		return nil, refuse(http.StatusBadRequest, "no head that was given is of this store, %s", identity)
	}
	return heads, nil
}
