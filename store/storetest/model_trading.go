package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// issueTrading makes a grant with one shared refresh token.
func (m *model) issueTrading() {
	secret := m.name("trading")
	token := tradingToken(secret)
	token.Created, token.Expires = m.now, m.now.Add(pick(m, "token lives", time.Hour, 1000*time.Hour, 20*time.Second))
	m.issueGrant(func(_ *modelGrant, req *store.Issue) { req.Tokens = []store.Token{token} })
	if kept := m.tokens[secret]; kept != nil {
		kept.trading = true
	}
}

// presentAny shows any token, of whatever class.
func (m *model) presentAny() { m.showToken(pickKey(m, "token", m.tokens)) }

// presentLiving shows a shared refresh token.
func (m *model) presentLiving() {
	m.showToken(pickKey(m, "shared token", those(m.tokens, func(t *modelToken) bool { return t.trading })))
}

// presentMadeUp shows one that never was.
func (m *model) presentMadeUp() { m.showToken(m.name("made up")) }

func (m *model) showToken(secret string) {
	token, st, err := m.Present(m.ctx, store.Present{Environment: env, Token: hash(secret), Now: m.now})
	m.answers(err, m.shown(m.tokens[secret]))
	if err == nil && (secretOf(&token) != secret || len(token.Sealed) != 0 || st.Dead() || st.Grant.ID != m.tokens[secret].grant) {
		m.t.Fatalf("shown: %+v of %+v", token, st.Grant)
	}
}

// shown says what a shared refresh token meets: the order is that of
// store/sqlite/present.go. Nothing changes.
func (m *model) shown(token *modelToken) error {
	if token == nil || !token.trading {
		return store.ErrNotFound
	}
	g := m.grants[token.grant]
	switch {
	case !token.revoked.IsZero() || m.dead(g):
		return store.ErrRevoked
	case over(token.expires, m.now), over(g.expires, m.now):
		return store.ErrExpired
	}
	return nil
}

// compareCopy looks whether there is a sealed copy as long as there must be one,
// and no longer. Who is disabled may be enabled again: that destroys nothing.
func (m *model) compareCopy(r store.Reader, got *store.Token) error {
	token := m.tokens[secretOf(got)]
	if token == nil || len(got.Sealed) != 0 {
		return fmt.Errorf("%s has a sealed copy in a list, or is unknown", got.ID)
	}
	g := m.grants[token.grant]
	want := token.trading && !token.unsealed && token.revoked.IsZero() && g.revoked.IsZero() && g.epoch >= m.highest(g)
	full, err := r.Token(env, got.ID)
	if err != nil {
		return err
	}
	if (full.Sealed != nil) != want {
		return fmt.Errorf("token %s has the sealed copy %q; the model says %v: %+v", got.ID, full.Sealed, want, *token)
	}
	return nil
}
