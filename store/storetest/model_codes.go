package storetest

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// issueCode makes a grant with a code.
func (m *model) issueCode() {
	life := pick(m, "code lives", time.Minute, time.Hour, time.Second)
	bound := pick(m, "for", binding{}, binding{challenge, callback}, binding{challenge: challenge}, binding{redirectURI: callback})
	m.issueGrant(func(g *modelGrant, req *store.Issue) {
		g.code, g.codeEnds, g.bound = true, m.now.Add(life), bound
		req.Code = &store.Code{Hash: hash("code " + g.id), KeyID: "k1", Expires: g.codeEnds,
			Challenge: bound.challenge, RedirectURI: bound.redirectURI}
	})
}

// issueGrant makes a grant, with what else the caller puts into it.
func (m *model) issueGrant(fill func(*modelGrant, *store.Issue)) {
	if len(those(m.grants, func(g *modelGrant) bool { return !m.dead(g) })) == modelGrants {
		m.t.Skip("enough of them")
	}
	g := m.newGrant()
	if life := pick(m, "grant lives", 0, 0, 2*time.Hour, 30*time.Second); life != 0 {
		g.expires = m.now.Add(life)
	}
	req := store.Issue{Grant: m.asked(g)}
	fill(g, &req)
	var want error
	if m.dead(g) {
		want = store.ErrRevoked
	}
	st, err := m.Issue(m.ctx, req)
	m.answers(err, want)
	if err != nil {
		for _, token := range req.Tokens {
			m.unknown(token.Hash)
		}
		return
	}
	m.grants[g.id] = g
	for _, token := range req.Tokens {
		m.keep(g.id, secretOf(&token), token.Expires)
	}
	if st.Grant.Epoch != g.epoch || st.Dead() {
		m.t.Fatalf("issued with epoch %d, dead %v; the model has epoch %d", st.Grant.Epoch, st.Dead(), g.epoch)
	}
}

// newGrant is one that is made now.
func (m *model) newGrant() *modelGrant {
	g := &modelGrant{id: m.name("grant"), created: m.now, account: pick(m, "covers the account", true, false)}
	g.epoch = m.highest(g)
	return g
}

// asked is what the store is asked for.
func (m *model) asked(g *modelGrant) store.Grant {
	asked := store.Grant{
		Environment: env, ID: g.id, Principal: m.run + ann, Client: m.run + app,
		Scopes: []string{"read"}, Created: m.now, Expires: g.expires,
	}
	if g.account {
		asked.Accounts = []string{m.run + full}
	}
	return asked
}

// unknown asserts that nothing is on file under a hash.
func (m *model) unknown(hash store.Hash) {
	_, _, err := m.TokenByHash(m.ctx, env, hash)
	m.answers(err, store.ErrNotFound)
}

// redeemCode presents any code.
func (m *model) redeemCode() { m.redeem(pickKey(m, "code of", m.grants)) }

// redeemUsed presents one that was redeemed or burnt.
func (m *model) redeemUsed() {
	m.redeem(pickKey(m, "used code of", those(m.grants, func(g *modelGrant) bool { return !g.used.IsZero() })))
}

// redeemMadeUp presents one that never was.
func (m *model) redeemMadeUp() { m.redeem(m.name("made up")) }

// redeem presents a code, by its client or by another one, mostly with what it
// was issued for.
func (m *model) redeem(id string) {
	client := pick(m, "by", app, app, app, app, thief)
	grace := pick(m, "grace", 5*time.Second, 0)
	secret := m.name("redeemed")
	token := m.refresh(secret)
	with, of := binding{}, pick(m, "of grant", "", id)
	if g := m.grants[id]; g != nil {
		with = g.bound
	}
	switch pick(m, "with", "what it is for", "what it is for", "what it is for", "another challenge", "another redirect URI", "another grant") {
	case "another challenge":
		with.challenge += "x"
	case "another redirect URI":
		with.redirectURI += "x"
	case "another grant":
		of = id + "x"
	}
	_, err := m.RedeemCode(m.ctx, store.Redeem{Environment: env, Code: hash("code " + id), Client: m.run + client, Now: m.now,
		ResendGrace: grace, Challenge: with.challenge, RedirectURI: with.redirectURI, Grant: of, Token: token, Retain: retain})
	want := m.redeemed(m.grants[id], client, grace, with, of)
	m.answers(err, want)
	if want == nil {
		m.keep(id, secret, token.Expires)
	} else {
		m.unknown(token.Hash)
	}
}

// redeemed says what a code meets, and does it to the model. The order is that
// of the contract's errors as store/sqlite/redeem.go spells it out.
func (m *model) redeemed(g *modelGrant, client string, grace time.Duration, with binding, of string) error {
	switch {
	case g == nil || !g.code:
		return store.ErrNotFound
	case client != app:
		if g.used.IsZero() {
			g.used, g.usedBy = m.now, client // burnt
		}
		return store.ErrOtherClient
	case !g.used.IsZero() && g.usedBy == client && grace > 0 && m.now.Sub(g.used).Abs() <= grace:
		return store.ErrResent
	case !g.used.IsZero():
		m.punish(g, "code_replayed")
		return store.ErrReplayed
	case with != g.bound, of != "" && of != g.id:
		g.used, g.usedBy = m.now, "" // burnt, and redeemed by nobody
		return store.ErrMismatch
	case over(g.codeEnds, m.now), over(g.expires, m.now):
		return store.ErrExpired
	case m.dead(g):
		return store.ErrRevoked
	}
	g.used, g.usedBy = m.now, client
	return nil
}
