package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// View implements store.Directory.
func (s *Store) View(ctx context.Context, read func(store.Reader) error) error {
	return s.snapshot(ctx, func(r *session) error { return read(reader{r}) })
}

// snapshot reads in one transaction on a connection of its own, beside the
// writer. The context counts until one is free.
func (s *Store) snapshot(ctx context.Context, read func(*session) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	var r *session
	select {
	case r = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- r }()
	if _, err := r.exec("BEGIN"); err != nil {
		return unavailable(err)
	}
	// Nothing was changed, so that this cannot fail in a way that matters; and
	// it must happen even if read panics.
	defer func() { _, _ = r.exec("ROLLBACK") }()
	return read(r)
}

// reader implements store.Reader on a session with a transaction.
type reader struct{ s *session }

var _ store.Reader = reader{}

// list collects all rows of a query.
func list[T any](s *session, into func(*T) []any, query string, args ...any) ([]T, error) {
	var all []T
	err := s.each(func(scan func(...any) error) error {
		var one T
		if err := scan(into(&one)...); err != nil {
			return err
		}
		all = append(all, one)
		return nil
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// one looks a record up; what says what it is if there is none.
func one[T any](s *session, what string, into func(*T) []any, query string, args ...any) (T, error) {
	var found, none T
	if err := s.get(into(&found), query, args...); err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	return found, nil
}

func (r reader) Principal(env store.Environment, id string) (store.Principal, error) {
	return one(r.s, "principal", principalInto,
		`SELECT `+principalColumns+` FROM principal p WHERE p.environment = ? AND p.id = ?`, env, id)
}

func (r reader) Principals(env store.Environment) ([]store.Principal, error) {
	return list(r.s, principalInto,
		`SELECT `+principalColumns+` FROM principal p WHERE p.environment = ? ORDER BY p.id`, env)
}

func (r reader) Client(env store.Environment, id string) (store.Client, error) {
	return one(r.s, "client", clientInto,
		`SELECT `+clientColumns+` FROM client c WHERE c.environment = ? AND c.id = ?`, env, id)
}

func (r reader) Clients(env store.Environment) ([]store.Client, error) {
	return list(r.s, clientInto,
		`SELECT `+clientColumns+` FROM client c WHERE c.environment = ? ORDER BY c.id`, env)
}

func (r reader) Account(env store.Environment, id string) (store.Account, error) {
	return one(r.s, "account", accountInto,
		`SELECT `+accountColumns+` FROM account a WHERE a.environment = ? AND a.id = ?`, env, id)
}

func (r reader) Accounts(env store.Environment) ([]store.Account, error) {
	return list(r.s, accountInto,
		`SELECT `+accountColumns+` FROM account a WHERE a.environment = ? ORDER BY a.id`, env)
}

func (r reader) Bindings(env store.Environment, principal string) ([]store.Binding, error) {
	if principal == "" {
		return list(r.s, bindingInto,
			`SELECT `+bindingColumns+` FROM binding b WHERE b.environment = ? ORDER BY b.principal, b.account`, env)
	}
	return list(r.s, bindingInto,
		`SELECT `+bindingColumns+` FROM binding b WHERE b.environment = ? AND b.principal = ? ORDER BY b.account`,
		env, principal)
}

func (r reader) Grant(env store.Environment, id string) (store.Grant, error) {
	g, err := one(r.s, "grant", grantInto,
		`SELECT `+grantColumns+` FROM grants g WHERE g.environment = ? AND g.id = ?`, env, id)
	if err != nil {
		return store.Grant{}, err
	}
	_, err = r.s.accountsOf(&g)
	return g, err
}

func (r reader) Grants(env store.Environment, filter store.GrantFilter) ([]store.Grant, error) {
	query := `SELECT ` + grantColumns + ` FROM grants g WHERE g.environment = ?`
	args := []any{env}
	narrow := func(condition string, arg any) {
		query += " AND " + condition
		args = append(args, arg)
	}
	if filter.Principal != "" {
		narrow(`g.principal = ?`, filter.Principal)
	}
	if filter.Client != "" {
		narrow(`g.client = ?`, filter.Client)
	}
	if filter.Account != "" {
		narrow(`g.id IN (SELECT s.grant_id FROM grant_account s
			WHERE s.environment = g.environment AND s.account = ?)`, filter.Account)
	}
	if !filter.Live.IsZero() {
		narrow(`g.revoked = 0 AND (g.expires = 0 OR g.expires > ?)`, micros(filter.Live))
	}
	query += ` ORDER BY g.created DESC, g.id LIMIT ?`
	limit := -1 // no limit, to SQLite
	if filter.Limit > 0 {
		limit = filter.Limit
	}
	grants, err := list(r.s, grantInto, query, append(args, limit)...)
	for i := range grants {
		if _, err := r.s.accountsOf(&grants[i]); err != nil {
			return nil, err
		}
	}
	return grants, err
}

func (r reader) TokensOf(env store.Environment, grant string) ([]store.Token, error) {
	return list(r.s, tokenInto,
		`SELECT `+tokenColumns+` FROM token t WHERE t.environment = ? AND t.grant_id = ? ORDER BY t.created, t.id`, env, grant)
}

func (r reader) SigningKeys(env store.Environment) ([]store.SigningKey, error) {
	return list(r.s, keyInto,
		`SELECT `+keyColumns+` FROM signing_key k WHERE k.environment = ? ORDER BY k.id`, env)
}

func (r reader) MadeWith(env store.Environment, keyID string, now time.Time) (int, error) {
	return one(r.s, "tokens", func(n *int) []any { return []any{n} }, `SELECT
		(SELECT count(*) FROM token t JOIN grants g ON g.environment = t.environment AND g.id = t.grant_id
			WHERE t.environment = ?1 AND t.key_id = ?2 AND t.revoked = 0 AND (t.expires = 0 OR t.expires > ?3)
			AND g.revoked = 0 AND (g.expires = 0 OR g.expires > ?3)) +
		(SELECT count(*) FROM code o JOIN grants g ON g.environment = o.environment AND g.id = o.grant_id
			WHERE o.environment = ?1 AND o.key_id = ?2 AND o.expires > ?3 AND g.revoked = 0) +
		(SELECT count(*) FROM session s JOIN principal p ON p.environment = s.environment AND p.id = s.principal
			WHERE s.environment = ?1 AND s.key_id = ?2 AND s.expires > ?3 AND s.epoch >= p.epoch)`,
		env, keyID, micros(now))
}

func (r reader) Meta(key string) (string, error) {
	return one(r.s, "meta", func(value *string) []any { return []any{value} },
		`SELECT value FROM meta WHERE key = ?`, key)
}
