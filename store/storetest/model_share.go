package storetest

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// issueShared asks for a grant to share. Whether it is a new one is the store's to
// say, and whether it may be the one that it is, the model's.
func (m *model) issueShared() {
	g := m.newGrant()
	g.shared = true
	g.expires = m.now.Add(pick(m, "needed for", time.Hour, 30*time.Second, 40*time.Hour))
	req := store.Issue{Grant: m.asked(g), Share: pick(m, "shared for", shareFor, time.Minute)}
	var want error
	if m.dead(g) {
		want = store.ErrRevoked
	}
	st, err := m.Issue(m.ctx, req)
	m.answers(err, want)
	if err != nil {
		return
	}
	if st.Grant.ID != g.id {
		m.mayShare(m.grants[st.Grant.ID], g)
	} else {
		g.expires = g.expires.Add(req.Share)
		m.grants[g.id] = g
	}
	if known := m.grants[st.Grant.ID]; st.Dead() || st.Grant.Epoch != known.epoch || !st.Grant.Expires.Equal(known.expires) {
		m.t.Fatalf("dead %v, issued %+v; the model has %+v", st.Dead(), st.Grant, *known)
	}
}

// mayShare asserts that a grant may stand for another.
func (m *model) mayShare(known, asked *modelGrant) {
	if known == nil || !known.shared || m.dead(known) || known.account != asked.account || known.expires.Before(asked.expires) {
		m.t.Fatalf("shared %+v; asked for %+v", known, *asked)
	}
}
