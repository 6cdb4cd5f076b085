package sqlite

import (
	"context"
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Issue implements store.Flows.
func (s *Store) Issue(ctx context.Context, req store.Issue) (store.Standing, error) {
	if err := checkShare(&req); err != nil {
		return store.Standing{}, err
	}
	return do(ctx, s, func(t *tx) (store.Standing, error) { return t.issue(&req) })
}

func (t *tx) issue(req *store.Issue) (store.Standing, error) {
	if req.Share != 0 {
		return t.share(req)
	}
	st, err := t.newGrant(req)
	if err != nil {
		return store.Standing{}, err
	}
	return st, t.recordIssue(req, &st)
}

func (t *tx) recordIssue(req *store.Issue, st *store.Standing) error {
	event := flow(req.Grant.Environment, req.Grant.Created, "", "grant.issue", st.Grant.ID, outcomeOK)
	event.Subject = subjectOf(&st.Principal)
	return t.record(completed(req.Event, event))
}

// newGrant records a grant with its code and tokens.
func (t *tx) newGrant(req *store.Issue) (store.Standing, error) {
	env, id := req.Grant.Environment, req.Grant.ID
	if err := t.insertGrant(&req.Grant); err != nil {
		return store.Standing{}, fmt.Errorf("grant: %w", err)
	}
	st, err := t.newStanding(&req.Grant)
	if err != nil {
		return store.Standing{}, err
	}
	// Nothing killed earlier may hold against a grant made now.
	st.Grant.Epoch = st.Epoch()
	if st.Dead() {
		return store.Standing{}, fmt.Errorf("principal or client: %w", store.ErrRevoked)
	}
	if st.Grant.Epoch != 0 {
		if _, err := t.exec(`UPDATE grants SET epoch = ? WHERE environment = ? AND id = ?`, st.Grant.Epoch, env, id); err != nil {
			return store.Standing{}, err
		}
	}
	if req.Code != nil {
		if err := t.insertCode(env, id, req.Code); err != nil {
			return store.Standing{}, fmt.Errorf("code: %w", err)
		}
	}
	if req.Connection != nil {
		if err := t.insertConnection(env, id, req.Connection); err != nil {
			return store.Standing{}, fmt.Errorf("connection: %w", err)
		}
	}
	for _, token := range req.Tokens {
		if err := t.insertToken(env, id, &token); err != nil {
			return store.Standing{}, fmt.Errorf("token: %w", err)
		}
	}
	return st, nil
}

// newStanding is what standing would read of a grant that was inserted like that.
// Its epoch is missing.
func (t *tx) newStanding(g *store.Grant) (store.Standing, error) {
	st := store.Standing{Grant: filed(g)}
	if err := t.addParties(&st); err != nil || len(g.Accounts) == 0 {
		return st, err
	}
	return st, t.addAccounts(&st)
}

// filed is what a grant that was inserted is read as, but for its accounts.
func filed(g *store.Grant) store.Grant {
	f := store.Grant{
		Environment: g.Environment, ID: g.ID, Principal: g.Principal, Client: g.Client,
		Created: kept(g.Created), Expires: kept(g.Expires),
	}
	if len(g.Scopes) > 0 {
		f.Scopes = g.Scopes
	}
	return f
}

// insertGrant records a grant that is alive, whatever the argument says. Its
// principal, client and accounts must exist: the foreign keys see to that.
func (t *tx) insertGrant(g *store.Grant) error {
	_, err := t.exec(`INSERT INTO grants (environment, id, principal, client, scopes, epoch, created, expires, due)
		VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)`,
		g.Environment, g.ID, g.Principal, g.Client, joined(g.Scopes), micros(g.Created), micros(g.Expires), micros(g.Created))
	if err != nil {
		return err
	}
	for i, account := range g.Accounts {
		_, err := t.exec(`INSERT INTO grant_account (environment, grant_id, account, position) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, g.Environment, g.ID, account, i)
		if err != nil {
			return fmt.Errorf("account: %w", err)
		}
	}
	return nil
}

func (t *tx) insertCode(env store.Environment, grant string, c *store.Code) error {
	_, err := t.exec(`INSERT INTO code (environment, hash, key_id, grant_id, expires, challenge, redirect_uri) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		env, c.Hash[:], c.KeyID, grant, micros(c.Expires), c.Challenge, c.RedirectURI)
	return err
}

func (t *tx) insertConnection(env store.Environment, grant string, c *store.Connection) error {
	_, err := t.exec(`INSERT INTO connection (environment, grant_id, token, user_secret) VALUES (?, ?, ?, ?)`, env, grant, c.Token, c.UserSecret)
	return err
}
