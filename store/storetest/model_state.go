package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// collectAll collects until nothing is left to do.
func (m *model) collectAll() {
	for more := true; more; {
		done, err := m.Collect(m.ctx, store.Collect{Environment: env, Now: m.now, Keep: keep, Limit: 50})
		m.try(err)
		more = done.More
	}
	m.log = slices.DeleteFunc(m.log, func(rev store.Revocation) bool { return over(rev.Expires, m.now) })
	end := m.now.Add(-keep)
	for secret, token := range m.tokens {
		if over(token.expires, end) {
			delete(m.tokens, secret)
		}
		token.unsealed = token.unsealed || token.trading && over(token.expires, m.now)
	}
	for id, g := range m.grants {
		// One with an end of its own that was revoked meanwhile may be looked at as
		// late as that end: then the store decides, and the model follows.
		if ended := over(m.endOf(g), end); ended && (g.expires.IsZero() || g.revoked.IsZero() || m.isGone(id)) {
			delete(m.grants, id)
		}
	}
}

// endOf is when nothing more can come of a grant and nothing below it can live.
func (m *model) endOf(g *modelGrant) time.Time {
	end := later(g.created, g.revoked)
	if g.revoked.IsZero() {
		end = later(end, g.expires)
	}
	for _, token := range m.tokens {
		if token.grant == g.id {
			end = later(end, token.expires)
		}
	}
	return later(end, g.codeEnds)
}

func (m *model) isGone(id string) (gone bool) {
	m.try(m.View(m.ctx, func(r store.Reader) error {
		_, err := r.Grant(env, id)
		gone = errors.Is(err, store.ErrNotFound)
		return nil
	}))
	return gone
}

// compare looks at all that the store holds of this run.
func (m *model) compare() {
	revs, _, err := m.Tail(m.ctx, m.since)
	m.try(err)
	m.sameRevocations("the log", revs, m.log)
	m.sameRevocations("the hook", m.world.told(), m.told)
	m.try(m.View(m.ctx, func(r store.Reader) error {
		grants, err := r.Grants(env, store.GrantFilter{Principal: m.run + ann})
		if err == nil && len(grants) != len(m.grants) {
			err = fmt.Errorf("%d grants are on file, the model has %d", len(grants), len(m.grants))
		}
		for i := range grants {
			err = errors.Join(err, m.compareGrant(r, &grants[i]))
		}
		return err
	}))
}

func (m *model) sameRevocations(what string, got, want []store.Revocation) {
	if !slices.Equal(got, want) {
		m.t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (m *model) compareGrant(r store.Reader, got *store.Grant) error {
	g := m.grants[got.ID]
	if g == nil {
		return fmt.Errorf("grant %s is on file and must not be", got.ID)
	}
	if !got.Revoked.Equal(g.revoked) || got.Reason != g.reason || got.Epoch != g.epoch {
		return fmt.Errorf("on file: %+v; the model has: %+v", *got, *g)
	}
	rows, err := r.TokensOf(env, g.id)
	if err != nil {
		return err
	}
	count, redeemed := 0, false
	for _, token := range m.tokens {
		if token.grant == g.id {
			count++
		}
	}
	if len(rows) != count {
		return fmt.Errorf("grant %s has %d tokens on file, the model has %d", g.id, len(rows), count)
	}
	for i := range rows {
		redeemed = true
		if err := errors.Join(m.compareToken(&rows[i]), m.compareCopy(r, &rows[i])); err != nil {
			return err
		}
	}
	if redeemed && g.code && g.used.IsZero() {
		return fmt.Errorf("grant %s has a token although nobody redeemed its code", g.id)
	}
	return nil
}

func (m *model) compareToken(got *store.Token) error {
	token := m.tokens[secretOf(got)]
	if token == nil {
		return fmt.Errorf("token %s is on file and must not be", got.ID)
	}
	want := modelToken{
		secret: secretOf(got), grant: got.Grant, expires: got.Expires, revoked: got.Revoked,
		successor: token.successor, rotated: got.Rotated, retries: got.Retries,
		trading: got.Class == store.SharedRefresh, unsealed: token.unsealed,
	}
	successor := store.Hash{}
	if token.successor != "" {
		successor = hash(token.successor)
	}
	if want != *token || got.Successor != successor {
		return fmt.Errorf("on file: %+v; the model has: %+v", *got, *token)
	}
	return nil
}
