package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Characters that a page shows of what others wrote.
const (
	maxShownName = 80
	maxShownText = 400
)

// offer is what a person could allow a client: what the client asks for, as far
// as the person has it to give.
type offer struct {
	rights
	scopes []string
	owner  string // name of the user who registered the client; empty: an operator did
}

// offerOf reads what the person has now. What the page showed before doesn't
// count.
func (i *Issuer) offerOf(x *exchange, a *authorization, p *person) (*offer, error) {
	o := new(offer)
	err := i.store.View(x.Context(), func(tx store.Reader) (err error) {
		if o.rights, err = i.rightsOf(tx, p.user.ID); err != nil || a.client.Owner == "" {
			return err
		}
		owner, err := tx.Principal(i.environment, a.client.Owner)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		o.owner = cmp.Or(owner.Name, a.client.Owner)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what can be allowed: %w", err)
	}
	o.scopes = i.policy().Cut(a.scopes, o.user.MaxScopes)
	return o, nil
}

// consentDurations are how long a client may keep access, by the value of the form's
// field. Zero: until it is revoked.
var consentDurations = []struct {
	value pages.ConsentTerm
	life  time.Duration
}{
	{pages.TermHour, time.Hour}, {pages.TermDay, 24 * time.Hour}, {pages.TermMonth, 30 * 24 * time.Hour}, {pages.TermUntilRevoked, 0},
}

// usualDuration is chosen unless the person chooses: long enough to be of use, and
// it ends by itself.
const usualDuration = pages.TermMonth

func expiresAfter(value pages.ConsentTerm, now time.Time) (expires time.Time, ok bool) {
	for _, d := range consentDurations {
		if d.value == value && d.life == 0 {
			return time.Time{}, true
		}
		if d.value == value {
			return now.Add(d.life), true
		}
	}
	return time.Time{}, false
}

// consentDecision takes the form of the consent page. It says yes or no, for which
// accounts and how long; everything else comes from the request itself.
func (i *Issuer) consentDecision(x *exchange, a *authorization, p *person, o *offer) (response, error) {
	f, err := readBodyForm(x.Request)
	if err != nil {
		return response{}, err
	}
	if err := p.checkForm(f); err != nil {
		return response{}, err
	}
	switch f["decision"] {
	case "allow":
		return i.allow(x, a, p, o, f)
	case "deny":
		denied := i.personEvent(x, "authorization.deny", "client:"+a.client.ID)
		i.audit(denied)
		return a.refusal(i.url, oauthRefusal(codeAccessDenied, "the user said no")), nil
	}
	return response{}, invalidRequest("decision must be allow or deny")
}

// allow writes grant and code in one transaction, and hands the code to the
// client.
func (i *Issuer) allow(x *exchange, a *authorization, p *person, o *offer, f form) (response, error) {
	expires, known := expiresAfter(pages.ConsentTerm(f["duration"]), x.now)
	var picked []string
	for _, id := range o.accountIDs() {
		if f[accountField(id)] != "" {
			picked = append(picked, id)
		}
	}
	switch {
	case len(o.scopes) == 0:
		return i.consentPage(x, a, p, o, f, pages.NothingToAllow), nil
	case !known:
		return i.consentPage(x, a, p, o, f, pages.NoDuration), nil
	case len(o.open) > 0 && len(picked) == 0:
		return i.consentPage(x, a, p, o, f, pages.NoAccount), nil
	}
	raw, hash := i.keyring.NewOpaque(token.ClassCode)
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(),
		Principal: p.user.ID, Client: a.client.ID,
		Scopes: o.scopes, Accounts: picked, Created: x.now, Expires: expires,
	}
	_, err := i.store.Issue(x.Context(), store.Issue{
		Grant: grant,
		Code: &store.Code{
			Hash: hash, KeyID: token.KeyIDOf(raw), Expires: x.now.Add(i.codeLifetime),
			Challenge: a.challenge, RedirectURI: a.named,
		},
		Event: i.personEvent(x, "code.issue", "grant:"+grant.ID),
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked):
		return response{}, misledBy("switched_off")
	case err != nil:
		return response{}, fmt.Errorf("issue code: %w", err)
	}
	x.grant = grant.ID
	return a.answer(i.url, "code", raw), nil
}

// accountField names the tick-box of an account: each has a name of its own,
// because a form that repeats one is refused.
func accountField(id string) string { return "account:" + id }

// consentPage asks. A problem is what was wrong with the form that was sent, whose
// choices are kept.
func (i *Issuer) consentPage(x *exchange, a *authorization, p *person, o *offer, sent form, problem pages.ConsentProblem) response {
	d := pages.ConsentData{
		Layout: i.layoutFor("", p), Action: x.URL.RequestURI(), Problem: problem,
		App: shownName(&a.client), Description: shownText(a.client.Description, maxShownText),
		Owner:  shownText(o.owner, maxShownName),
		Scopes: i.shownScopes(o.scopes), Accounts: shownAccounts(i.policy(), o.open, sent),
	}
	d.Destination, d.Leads = destination(a.redirectURI)
	d.Lacks = lacking(d.Scopes)
	for _, duration := range consentDurations {
		d.Durations = append(d.Durations, pages.ConsentDuration{Value: duration.value, Chosen: duration.value == cmp.Or(pages.ConsentTerm(sent["duration"]), usualDuration)})
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	return pageResponse(status, pages.Consent(d), formTarget(a.redirectURI)).keepingOpener()
}

// shownScopes puts scopes into words, the most dangerous first. A scope is as
// dangerous as what it includes.
func (i *Issuer) shownScopes(names []string) []pages.ConsentScope {
	p := i.policy()
	known := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, known := p.Scope(name)
		return !known
	})
	slices.SortStableFunc(known, func(a, b string) int { return int(worst(p, b)) - int(worst(p, a)) })
	list := make([]pages.ConsentScope, len(known))
	for k, name := range known {
		scope, _ := p.Scope(name)
		list[k] = shownScope(p, scope)
	}
	return list
}

// shownScope is a scope in words, with what it includes.
func shownScope(p *policy.Policy, scope policy.Scope) pages.ConsentScope {
	s := pages.ConsentScope{Name: scope.Name, Title: scope.Title, Risk: pages.Risk(worst(p, scope.Name).String())}
	for _, part := range scopeReach(p, scope.Name, nil)[1:] {
		included, _ := p.Scope(part)
		s.Includes = append(s.Includes, included.Title)
	}
	return s
}

// worst is what a scope can do at worst, all that it includes taken into account.
func worst(p *policy.Policy, name string) (worst policy.Risk) {
	for _, part := range scopeReach(p, name, nil) {
		scope, _ := p.Scope(part)
		worst = max(worst, scope.Risk)
	}
	return worst
}

// scopeReach lists a scope and all that it implies, each once.
func scopeReach(p *policy.Policy, name string, seen []string) []string {
	scope, known := p.Scope(name)
	if !known || slices.Contains(seen, name) {
		return seen
	}
	seen = append(seen, name)
	for _, implied := range scope.Implies {
		seen = scopeReach(p, implied, seen)
	}
	return seen
}

// lacking are the risks that none of the scopes has.
func lacking(scopes []pages.ConsentScope) []pages.Risk {
	var lacks []pages.Risk
	for _, risk := range []pages.Risk{pages.Withdraws, pages.Trades, pages.ActsOnOthers} {
		if !slices.ContainsFunc(scopes, func(s pages.ConsentScope) bool { return s.Risk == risk }) {
			lacks = append(lacks, risk)
		}
	}
	return lacks
}

// shownAccounts are the tick-boxes. One alone is ticked already; of several the
// person chooses.
func shownAccounts(p *policy.Policy, open []store.Standpoint, sent form) []pages.ConsentAccount {
	shown := make([]pages.ConsentAccount, len(open))
	for k := range open {
		account, binding := &open[k].Account, &open[k].Binding
		shown[k] = pages.ConsentAccount{
			Field: accountField(account.ID), ID: account.ID, Name: shownText(account.Name, maxShownName),
			Ticked: len(open) == 1 || sent[accountField(account.ID)] != "", Partial: binding.Access == store.Partial,
		}
		for _, name := range visible(p, binding.Scopes) {
			scope, _ := p.Scope(name)
			shown[k].Limits = append(shown[k].Limits, scope.Title)
		}
	}
	return shown
}

// shownName is what a page calls a program.
func shownName(c *store.Client) string { return shownText(nameOf(c), maxShownName) }

// shownText is what others wrote, as a page shows it: one line of bounded length,
// without the characters that turn the direction of what follows or are not seen
// at all.
func shownText(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.Is(unicode.C, c), c == unicode.ReplacementChar:
			return -1
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if letters := []rune(s); len(letters) > most {
		s = string(letters[:most]) + "…"
	}
	return s
}
