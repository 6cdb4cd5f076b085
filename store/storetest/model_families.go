package storetest

import (
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// issueFamily makes a grant with one refresh token.
func (m *model) issueFamily() {
	m.issueGrant(func(_ *modelGrant, req *store.Issue) { req.Tokens = []store.Token{m.refresh(m.name("first"))} })
}

// refresh is a refresh token of some life.
func (m *model) refresh(secret string) store.Token {
	token := refresh(secret)
	token.Created = m.now
	token.Expires = m.now.Add(pick(m, "token lives", time.Hour, 1000*time.Hour, 20*time.Second))
	return token
}

func secretOf(token *store.Token) string { return strings.TrimPrefix(token.ID, "id-") }

// keep is what an issued token leaves in the model.
func (m *model) keep(grant, secret string, expires time.Time) {
	m.tokens[secret] = &modelToken{secret: secret, grant: grant, expires: expires}
}

// renewToken presents any token.
func (m *model) renewToken() { m.present(pickKey(m, "token", m.tokens)) }

// renewHead presents the head of a family.
func (m *model) renewHead() {
	m.present(pickKey(m, "head", those(m.tokens, func(t *modelToken) bool { return t.successor == "" })))
}

// renewRotated presents a token that was rotated before.
func (m *model) renewRotated() {
	m.present(pickKey(m, "rotated", those(m.tokens, func(t *modelToken) bool { return t.successor != "" })))
}

// renewMadeUp presents one that never was.
func (m *model) renewMadeUp() { m.present(m.name("made up")) }

// present presents a token by its client or another one, under some rule.
func (m *model) present(secret string) {
	client := pick(m, "by", app, app, app, app, thief)
	rule := pick(m, "rule",
		store.RetryRule{Window: 30 * time.Second, UnusedWindow: 10 * time.Minute, UnusedMax: 2}, // a confidential client's
		store.RetryRule{Window: 10 * time.Second},                                               // a public client's
		store.RetryRule{})
	successor := m.refresh(m.name("successor"))
	got, err := m.Renew(m.ctx, store.Renew{Environment: env, Token: hash(secret), Client: m.run + client, Successor: successor,
		Now: m.now, Retry: rule, Retain: retain})
	chain, want := m.renewed(secret, client, rule, &successor)
	m.answers(err, want)
	if want != nil || got.Retried {
		m.unknown(successor.Hash)
	}
	if want != nil {
		return
	}
	if retried := len(chain) > 0 && chain[len(chain)-1] != secretOf(&successor); got.Retried != retried {
		m.t.Fatalf("retried: %v; the model says %v", got.Retried, retried)
	}
	var links []string
	for i := range got.Chain {
		links = append(links, secretOf(&got.Chain[i]))
	}
	if strings.Join(links, " ") != strings.Join(chain, " ") || !got.Head().Head() {
		m.t.Fatalf("the chain is %q (head %v); the model says %q", links, got.Head().Head(), chain)
	}
	if got.Standing.Dead() {
		m.t.Fatal("renewed under a dead grant")
	}
}

// renewed says what a refresh token meets, and does it to the model: the order
// is that of store/sqlite/renew.go. The chain is that of an answer without error.
func (m *model) renewed(secret, client string, rule store.RetryRule, successor *store.Token) (chain []string, err error) {
	token := m.tokens[secret]
	if token == nil || token.trading {
		return nil, store.ErrNotFound
	}
	g := m.grants[token.grant]
	switch {
	case client != app:
		return nil, store.ErrOtherClient
	case !token.revoked.IsZero() || m.dead(g):
		return nil, store.ErrRevoked
	case token.successor != "":
		return m.retried(token, g, rule)
	case over(token.expires, m.now) || over(g.expires, m.now):
		return nil, store.ErrExpired
	}
	next := secretOf(successor)
	token.successor, token.rotated = next, m.now
	m.keep(g.id, next, successor.Expires)
	return []string{secret, next}, nil
}

// retried is for a token that was rotated before.
func (m *model) retried(token *modelToken, g *modelGrant, rule store.RetryRule) ([]string, error) {
	age := m.now.Sub(token.rotated).Abs()
	soon := rule.Window > 0 && age <= rule.Window
	unused := m.tokens[token.successor] != nil && m.tokens[token.successor].successor == ""
	if !soon && (!unused || age > rule.UnusedWindow || token.retries >= rule.UnusedMax) {
		m.punish(g, "refresh_reused")
		return nil, store.ErrReused
	}
	chain := []string{token.secret}
	head := token
	for head.successor != "" {
		head = m.tokens[head.successor]
		chain = append(chain, head.secret)
	}
	switch {
	case !head.revoked.IsZero():
		return nil, store.ErrRevoked
	case over(token.expires, m.now) || over(head.expires, m.now) || over(g.expires, m.now):
		return nil, store.ErrExpired
	}
	if !soon {
		token.retries++
	}
	return chain, nil
}
