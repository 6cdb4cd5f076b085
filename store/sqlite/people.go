package sqlite

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const selectSession = `SELECT ` + sessionColumns + ` FROM session s WHERE s.environment = ? AND s.hash = ?`

func (r reader) Session(env store.Environment, hash store.Hash) (store.Session, error) {
	return one(r.s, "session", sessionInto, selectSession, env, hash[:])
}

const selectSessions = `SELECT ` + sessionColumns + ` FROM session s
	WHERE s.environment = ? AND s.principal = ? ORDER BY s.created DESC, s.id DESC`

func (r reader) Sessions(env store.Environment, principal string) ([]store.Session, error) {
	return list(r.s, sessionInto, selectSessions, env, principal)
}

func (w writer) PutSession(s store.Session) error {
	return w.put("session", `INSERT INTO session (environment, hash, key_id, id, principal, epoch, created, authenticated, seen, expires, address, agent)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET key_id = excluded.key_id, id = excluded.id, principal = excluded.principal,
			epoch = excluded.epoch, created = excluded.created, authenticated = excluded.authenticated,
			seen = excluded.seen, expires = excluded.expires, address = excluded.address, agent = excluded.agent`,
		s.Environment, s.Hash[:], s.KeyID, s.ID, s.Principal, s.Epoch, micros(s.Created), micros(s.Authenticated),
		micros(s.Seen), micros(s.Expires), s.Address, s.Agent)
}

func (w writer) DeleteSession(env store.Environment, hash store.Hash) error {
	changed, err := w.tx.exec(`DELETE FROM session WHERE environment = ? AND hash = ?`, env, hash[:])
	if err == nil && changed == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

const selectConnection = `SELECT n.environment, n.grant_id, n.token, n.user_secret FROM connection n WHERE n.environment = ? AND n.grant_id = ?`

func (r reader) Connection(env store.Environment, grant string) (store.Connection, error) {
	return one(r.s, "connection", connectionInto, selectConnection, env, grant)
}

func (r reader) Connections(env store.Environment) ([]store.Connection, error) {
	return list(r.s, connectionInto, `SELECT n.environment, n.grant_id, n.token, n.user_secret FROM connection n
		JOIN grants g ON g.environment = n.environment AND g.id = n.grant_id
		WHERE n.environment = ? AND g.revoked = 0 ORDER BY n.grant_id`, env)
}

func connectionInto(c *store.Connection) []any {
	return []any{(*string)(&c.Environment), &c.Grant, &c.Token, &c.UserSecret}
}

// Token reads the sealed copy too, which lists leave out.
func (r reader) Token(env store.Environment, id string) (store.Token, error) {
	return one(r.s, "token", func(t *store.Token) []any { return append(tokenInto(t), &t.Sealed) },
		`SELECT `+tokenColumns+`, t.sealed FROM token t WHERE t.environment = ? AND t.id = ?`, env, id)
}

// CROSS JOIN keeps SQLite to the order that begins with the account.
const selectAccountTokens = `SELECT ` + tokenColumns + `, g.revoked, g.reason, g.epoch
	FROM grant_account a
	CROSS JOIN grants g ON g.environment = a.environment AND g.id = a.grant_id
	CROSS JOIN token t ON t.environment = a.environment AND t.grant_id = a.grant_id
	WHERE a.environment = ? AND a.account = ? AND t.class = ?
	ORDER BY t.created DESC, t.id DESC`

func (r reader) AccountTokens(env store.Environment, account string, class store.Class) ([]store.AccountToken, error) {
	return list(r.s, func(t *store.AccountToken) []any {
		return append(tokenInto(&t.Token), instant{&t.Ended}, &t.Reason, &t.Epoch)
	}, selectAccountTokens, env, account, class)
}

const selectKnownTokens = `SELECT ` + tokenColumns + ` FROM token t WHERE t.environment = ?1 AND t.class = '` + string(store.SharedRefresh) + `' AND t.id IN (
		SELECT m.id FROM token m WHERE m.environment = ?1 AND m.creator = ?2 AND m.creator <> ''
		UNION SELECT h.token FROM token_shown h WHERE h.environment = ?1 AND h.principal = ?2)
	ORDER BY t.created, t.id`

func (r reader) KnownTokens(env store.Environment, principal string) ([]store.Token, error) {
	return list(r.s, tokenInto, selectKnownTokens, env, principal)
}

const selectShownTo = `SELECT principal FROM token_shown WHERE environment = ? AND token = ? ORDER BY principal`

func (r reader) ShownTo(env store.Environment, token string) ([]string, error) {
	return list(r.s, func(id *string) []any { return []any{id} }, selectShownTo, env, token)
}

func (w writer) MarkShown(env store.Environment, token, principal string, at time.Time) error {
	return w.put("token shown", `INSERT INTO token_shown (environment, token, principal, at) VALUES (?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, env, token, principal, micros(at))
}
