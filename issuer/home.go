package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	endsSoon    = 7 * 24 * time.Hour // people are told of tokens that end within it
	maxEnding   = 5                  // of them that the first page names
	maxOverview = 1000               // grants that it looks at
)

// home is the first page: it leads to the others, with how much there is, and says
// what needs to be done.
func (i *Issuer) home(x *exchange, p *person) (response, error) {
	o := overview{issuer: i, x: x, p: p, counts: map[pages.Section]int{}}
	if err := i.store.View(x.Context(), o.read); err != nil {
		return response{}, fmt.Errorf("read what the first page shows: %w", err)
	}
	if n := i.underWay(func(f *token.Facts) bool { return f.Subject == p.user.ID }).Streams; n > 0 {
		o.counts[pages.SectionActivity] = n
	}
	slices.SortStableFunc(o.ending, func(a, b pages.EndingToken) int { return a.Expires.Compare(b.Expires) })
	d := pages.HomeData{Layout: i.layoutFor("", p), Counts: o.counts, Ending: o.ending[:min(len(o.ending), maxEnding)]}
	d.More = len(o.ending) - len(d.Ending)
	return pageResponse(http.StatusOK, pages.Home(d)), nil
}

// overview is what a person has, at one moment.
type overview struct {
	issuer *Issuer
	x      *exchange
	p      *person
	counts map[pages.Section]int
	ending []pages.EndingToken
}

func (o *overview) read(tx store.Reader) error {
	return errors.Join(o.readSessions(tx), o.readGrants(tx), o.readApplications(tx), o.readAccounts(tx))
}

func (o *overview) readSessions(tx store.Reader) error {
	open, err := o.issuer.openSessions(tx, o.x, o.p)
	o.counts[pages.SectionSecurity] = len(open)
	return err
}

func (o *overview) readApplications(tx store.Reader) error {
	own, err := o.issuer.ownApplications(tx, o.p)
	o.counts[pages.SectionApplications] = len(slices.DeleteFunc(own, func(c store.Client) bool { return c.Status != store.Active }))
	return err
}

// readGrants counts the tokens that the person issued to itself, and the apps that
// may act for it. What was killed with its user, client or account is over.
func (o *overview) readGrants(tx store.Reader) error {
	o.counts[pages.SectionUserTokens], o.counts[pages.SectionConnectedApps] = 0, 0
	grants, err := tx.Grants(o.issuer.environment, store.GrantFilter{Principal: o.p.user.ID, Live: o.x.now, Limit: maxOverview})
	if err != nil {
		return err
	}
	apps := map[string]bool{}
	for k := range grants {
		g := &grants[k]
		client, err := tx.Client(o.issuer.environment, g.Client)
		if err != nil {
			return err
		}
		if client.Status != store.Active || g.Epoch < max(o.p.user.Epoch, client.Epoch) {
			continue
		}
		if g.Client != store.PersonalClient {
			apps[g.Client] = true
			continue
		}
		if err := o.readTokens(tx, g); err != nil {
			return err
		}
	}
	o.counts[pages.SectionConnectedApps] = len(apps)
	return nil
}

// readTokens counts those of a grant that are the person's own.
func (o *overview) readTokens(tx store.Reader, g *store.Grant) error {
	rows, err := tx.TokensOf(o.issuer.environment, g.ID)
	if err != nil {
		return err
	}
	for _, id := range g.Accounts {
		account, err := tx.Account(o.issuer.environment, id)
		if err != nil {
			return err
		}
		if g.Epoch < account.Epoch {
			return nil
		}
	}
	for k := range rows {
		t := &rows[k]
		if !t.Revoked.IsZero() || ended(t.Expires, o.x.now) {
			continue
		}
		o.counts[pages.SectionUserTokens]++
		o.note(pages.SectionUserTokens, t.Label, t.Expires)
	}
	return nil
}

// readAccounts counts the trading accounts that have shared tokens for the person,
// and finds which of those it made or saw end soon.
func (o *overview) readAccounts(tx store.Reader) error {
	if len(o.issuer.tradingScopes) == 0 {
		return nil
	}
	accounts, err := o.issuer.tradingAccounts(tx, o.p.user.ID)
	if err != nil {
		return err
	}
	o.counts[pages.SectionAccessTokens] = len(accounts)
	known, err := tx.KnownTokens(o.issuer.environment, o.p.user.ID)
	if err != nil {
		return err
	}
	for k := range known {
		if !o.soon(known[k].Expires) {
			continue
		}
		shared, grant, err := token.SharedToken(tx, o.issuer.environment, known[k].ID, o.x.now)
		if err != nil {
			return err
		}
		if shared.Status == token.SharedLive {
			o.note(pages.SectionAccessTokens, grant.Principal, shared.Expires)
		}
	}
	return nil
}

func (o *overview) soon(expires time.Time) bool {
	left := expires.Sub(o.x.now)
	return !expires.IsZero() && left > 0 && left <= endsSoon
}

// note tells of a token that ends soon.
func (o *overview) note(section pages.Section, name string, expires time.Time) {
	if o.soon(expires) {
		o.ending = append(o.ending, pages.EndingToken{Section: section, Name: cmp.Or(shownText(name, maxShownName), "–"), Expires: expires})
	}
}
