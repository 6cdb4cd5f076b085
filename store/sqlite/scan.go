package sqlite

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The columns of a record and the destinations that they are scanned into
// stand together: whoever changes one sees the other. Prefixes are the aliases
// that every query uses.

const principalColumns = `p.environment, p.id, p.kind, p.name, p.secret_hash, p.max_scopes, p.status, p.source,
	p.epoch, p.rights, p.created`

func principalInto(p *store.Principal) []any {
	return []any{
		(*string)(&p.Environment), &p.ID, (*string)(&p.Kind), &p.Name, &p.SecretHash, words{&p.MaxScopes},
		(*string)(&p.Status), (*string)(&p.Source), &p.Epoch, &p.Rights, instant{&p.Created},
	}
}

const clientColumns = `c.environment, c.id, c.name, c.secret_hash, c.max_scopes, c.status, c.source,
	c.epoch, c.rights, c.created, c.description, c.owner, c.public, c.exchange, c.redirect_uris, c.pkce_optional, c.state_optional,
	c.old_secret_hash, c.old_secret_until`

func clientInto(c *store.Client) []any {
	return []any{
		(*string)(&c.Environment), &c.ID, &c.Name, &c.SecretHash, words{&c.MaxScopes},
		(*string)(&c.Status), (*string)(&c.Source), &c.Epoch, &c.Rights, instant{&c.Created},
		&c.Description, &c.Owner, &c.Public, &c.Exchange, words{&c.RedirectURIs}, &c.PKCEOptional, &c.StateOptional,
		&c.OldSecretHash, instant{&c.OldSecretUntil},
	}
}

const accountColumns = `a.environment, a.id, a.kind, a.name, a.status, a.source, a.epoch, a.created`

func accountInto(a *store.Account) []any {
	return []any{
		(*string)(&a.Environment), &a.ID, (*string)(&a.Kind), &a.Name,
		(*string)(&a.Status), (*string)(&a.Source), &a.Epoch, instant{&a.Created},
	}
}

const bindingColumns = `b.environment, b.principal, b.account, b.access, b.scopes, b.source`

func bindingInto(b *store.Binding) []any {
	return []any{
		(*string)(&b.Environment), &b.Principal, &b.Account, (*string)(&b.Access),
		words{&b.Scopes}, (*string)(&b.Source),
	}
}

// A grant's accounts have rows of their own.
const grantColumns = `g.environment, g.id, g.principal, g.client, g.scopes, g.epoch, g.created, g.expires,
	g.revoked, g.reason`

func grantInto(g *store.Grant) []any {
	return []any{
		(*string)(&g.Environment), &g.ID, &g.Principal, &g.Client, words{&g.Scopes}, &g.Epoch,
		instant{&g.Created}, instant{&g.Expires}, instant{&g.Revoked}, &g.Reason,
	}
}

const tokenColumns = `t.environment, t.id, t.hash, t.class, t.grant_id, t.key_id, t.nonce, t.created, t.expires,
	t.revoked, t.successor, t.rotated, t.retries, t.label, t.networks, t.rate_requests, t.rate_per, t.used, t.used_from, t.creator`

func tokenInto(t *store.Token) []any {
	return []any{
		(*string)(&t.Environment), &t.ID, digest{&t.Hash}, (*string)(&t.Class), &t.Grant, &t.KeyID, &t.Nonce,
		instant{&t.Created}, instant{&t.Expires}, instant{&t.Revoked},
		digest{&t.Successor}, instant{&t.Rotated}, &t.Retries,
		&t.Label, networks{&t.Networks}, &t.Rate.Requests, span{&t.Rate.Per}, instant{&t.Used}, &t.UsedFrom, &t.Creator,
	}
}

const sessionColumns = `s.environment, s.hash, s.key_id, s.id, s.principal, s.epoch, s.created, s.authenticated, s.seen, s.expires,
	s.address, s.agent`

func sessionInto(s *store.Session) []any {
	return []any{
		(*string)(&s.Environment), digest{&s.Hash}, &s.KeyID, &s.ID, &s.Principal, &s.Epoch,
		instant{&s.Created}, instant{&s.Authenticated}, instant{&s.Seen}, instant{&s.Expires}, &s.Address, &s.Agent,
	}
}

const keyColumns = `k.environment, k.id, k.algorithm, k.sealed, k.seal_key_id, k.public, k.epoch, k.created,
	k.sign_from, k.sign_until, k.retired`

func keyInto(k *store.SigningKey) []any {
	return []any{
		(*string)(&k.Environment), &k.ID, &k.Algorithm, &k.Sealed, &k.SealKeyID, &k.Public, &k.Epoch, instant{&k.Created},
		instant{&k.SignFrom}, instant{&k.SignUntil}, instant{&k.Retired},
	}
}

const revocationColumns = `r.environment, r.kind, r.target, r.number, r.at, r.expires, r.reason`

func revocationInto(r *store.Revocation) []any {
	return []any{
		(*string)(&r.Environment), (*string)(&r.Kind), &r.Target, &r.Number,
		instant{&r.At}, instant{&r.Expires}, &r.Reason,
	}
}

const eventColumns = `e.sequence, e.environment, e.at, e.actor, e.action, e.target, e.outcome,
	e.reason, e.address, e.request_id, e.count, e.subject`

func eventInto(e *store.AuditRow) []any {
	return []any{
		&e.Sequence, (*string)(&e.Environment), instant{&e.At}, &e.Actor, &e.Action, &e.Target, &e.Outcome,
		&e.Reason, &e.Address, &e.RequestID, &e.Count, &e.Subject,
	}
}

const sealColumns = `s.first, s.last, s.at, s.digest, s.checks, s.key_id, s.signature`

func sealInto(s *store.AuditSeal) []any {
	return []any{&s.First, &s.Last, instant{&s.At}, digest{&s.Digest}, &s.Checks, &s.KeyID, &s.Signature}
}

// micros is how instants are kept: integers compare and sort in SQL, and the
// windows of retries need parts of a second.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// kept is an instant as a record returns it: what a flow answers right away
// equals what is read later.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// instant scans what micros made.
type instant struct{ to *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("an instant is kept as %T", src)
	}
	*i.to = time.Time{}
	if n != 0 {
		*i.to = time.UnixMicro(n).UTC()
	}
	return nil
}

// joined is how lists of scopes are kept: a scope has no blanks (RFC 6749 §3.3).
func joined(list []string) string { return strings.Join(list, " ") }

// words scans what joined made. An empty list is nil.
type words struct{ to *[]string }

// Scan implements sql.Scanner.
func (w words) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("a list is kept as %T", src)
	}
	*w.to = nil
	if text != "" {
		*w.to = strings.Split(text, " ")
	}
	return nil
}

// digest scans a hash; NULL is the zero hash.
type digest struct{ to *store.Hash }

// Scan implements sql.Scanner.
func (d digest) Scan(src any) error {
	if src == nil {
		*d.to = store.Hash{}
		return nil
	}
	b, ok := src.([]byte)
	if !ok || len(b) != len(d.to) {
		return fmt.Errorf("a hash is kept as %T of %d bytes", src, len(b))
	}
	copy(d.to[:], b)
	return nil
}

// spelled is how networks are kept: one text, separated by blanks.
func spelled(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, network := range list {
		texts[i] = network.String()
	}
	return strings.Join(texts, " ")
}

// networks scans what spelled made. An empty list is nil.
type networks struct{ to *[]netip.Prefix }

// Scan implements sql.Scanner.
func (n networks) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("networks are kept as %T", src)
	}
	*n.to = nil
	for _, one := range strings.Fields(text) {
		network, err := netip.ParsePrefix(one)
		if err != nil {
			return err // and not a token that is good from anywhere
		}
		*n.to = append(*n.to, network)
	}
	return nil
}

// span scans a duration that is kept in microseconds.
type span struct{ to *time.Duration }

// Scan implements sql.Scanner.
func (s span) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a duration is kept as %T", src)
	}
	*s.to = time.Duration(n) * time.Microsecond
	return nil
}
