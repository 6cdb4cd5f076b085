package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Update implements store.Directory. change runs in the committer: while it
// does, every other writer waits. It must return (runtime.Goexit, as done by
// t.FailNow in a test, would end the committer).
func (s *Store) Update(ctx context.Context, change func(store.Writer) error) error {
	return s.submit(ctx, func(t *tx) error {
		defer t.parties.forget()
		return change(writer{reader{t.session}, t})
	})
}

// writer implements store.Writer in the transaction of the committer.
type writer struct {
	reader
	tx *tx
}

var _ store.Writer = writer{}

// put runs an upsert. Epoch and rights are in none of them: a new record begins
// with zero and revocations raise them.
func (w writer) put(what, query string, args ...any) error {
	if _, err := w.tx.exec(query, args...); err != nil {
		return fmt.Errorf("put %s: %w", what, err)
	}
	return nil
}

func (w writer) PutPrincipal(p store.Principal) error {
	return w.put("principal", `INSERT INTO principal
		(environment, id, kind, name, secret_hash, max_scopes, status, source, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET kind = excluded.kind, name = excluded.name, secret_hash = excluded.secret_hash,
			max_scopes = excluded.max_scopes, status = excluded.status, source = excluded.source, created = excluded.created`,
		p.Environment, p.ID, p.Kind, p.Name, p.SecretHash, joined(p.MaxScopes), p.Status, p.Source, micros(p.Created))
}

func (w writer) PutClient(c store.Client) error {
	for _, uri := range c.RedirectURIs {
		if uri == "" || strings.ContainsAny(uri, " ") { // it would come back as two
			return fmt.Errorf("put client: %q is no redirect URI", uri)
		}
	}
	return w.put("client", `INSERT INTO client
		(environment, id, name, secret_hash, max_scopes, status, source, created,
			description, owner, public, exchange, redirect_uris, pkce_optional, state_optional, old_secret_hash, old_secret_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET name = excluded.name, secret_hash = excluded.secret_hash,
			max_scopes = excluded.max_scopes, status = excluded.status, source = excluded.source, created = excluded.created,
			description = excluded.description, owner = excluded.owner, public = excluded.public, exchange = excluded.exchange,
			redirect_uris = excluded.redirect_uris, pkce_optional = excluded.pkce_optional, state_optional = excluded.state_optional,
			old_secret_hash = excluded.old_secret_hash, old_secret_until = excluded.old_secret_until`,
		c.Environment, c.ID, c.Name, c.SecretHash, joined(c.MaxScopes), c.Status, c.Source, micros(c.Created),
		c.Description, c.Owner, c.Public, c.Exchange, joined(c.RedirectURIs), c.PKCEOptional, c.StateOptional,
		c.OldSecretHash, micros(c.OldSecretUntil))
}

func (w writer) PutAccount(a store.Account) error {
	return w.put("account", `INSERT INTO account
		(environment, id, kind, name, status, source, created) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET kind = excluded.kind, name = excluded.name,
			status = excluded.status, source = excluded.source, created = excluded.created`,
		a.Environment, a.ID, a.Kind, a.Name, a.Status, a.Source, micros(a.Created))
}

func (w writer) PutBinding(b store.Binding) error {
	return w.put("binding", `INSERT INTO binding
		(environment, principal, account, access, scopes, source) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET access = excluded.access, scopes = excluded.scopes, source = excluded.source`,
		b.Environment, b.Principal, b.Account, b.Access, joined(b.Scopes), b.Source)
}

func (w writer) DeleteBinding(env store.Environment, principal, account string) error {
	changed, err := w.tx.exec(`DELETE FROM binding WHERE environment = ? AND principal = ? AND account = ?`,
		env, principal, account)
	if err == nil && changed == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete binding: %w", err)
	}
	return nil
}

func (w writer) PutSigningKey(k store.SigningKey) error {
	return w.put("signing key", `INSERT INTO signing_key
		(environment, id, algorithm, sealed, seal_key_id, public, created, sign_from, sign_until, retired)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET algorithm = excluded.algorithm, sealed = excluded.sealed,
			seal_key_id = excluded.seal_key_id, public = excluded.public, created = excluded.created, sign_from = excluded.sign_from,
			sign_until = excluded.sign_until, retired = excluded.retired`,
		k.Environment, k.ID, k.Algorithm, octets(k.Sealed), k.SealKeyID, k.Public,
		micros(k.Created), micros(k.SignFrom), micros(k.SignUntil), micros(k.Retired))
}

func (w writer) MarkUsed(env store.Environment, token string, at time.Time, from string) error {
	_, err := w.tx.exec(`UPDATE token SET used = ?, used_from = ? WHERE environment = ? AND id = ? AND used < ?`,
		micros(at), from, env, token, micros(at))
	if err != nil {
		return fmt.Errorf("mark token as used: %w", err)
	}
	return nil
}

// octets keeps an empty value apart from none at all, which a column may refuse.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (w writer) SetMeta(key, value string) error {
	return w.put("meta", `INSERT INTO meta (key, value) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, key, value)
}

func (w writer) RotateToken(env store.Environment, token string, at, ends time.Time) error {
	if at.IsZero() || ends.IsZero() {
		return fmt.Errorf("rotate token: %w", errNoInstant) // it would be permanent
	}
	if err := w.tx.rotateToken(env, token, at, ends); err != nil {
		return fmt.Errorf("rotate token: %w", err)
	}
	return nil
}

func (w writer) Issue(req store.Issue) (store.Standing, error) {
	if req.Share != 0 { // what is shared is remembered, and this may be rolled back
		return store.Standing{}, errors.New("sqlite: a shared grant is no part of another transaction")
	}
	return w.tx.issue(&req)
}

func (w writer) Revoke(rev store.Revocation) (store.Revocation, error) {
	done, _, err := w.tx.revoke(rev)
	return done, err
}

func (w writer) Record(e store.Event) error { return w.tx.record(e) }
