package issuer

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// scopePrefix begins the names of tick-boxes of scopes: each has a name of its own,
// because a form that repeats one is refused.
const scopePrefix = "scope."

// presets tick all scopes that can do no more than this at worst.
var presets = []struct {
	name  string
	worst policy.Risk
}{{"read-only", policy.RiskRead}, {"trading", policy.RiskTrade}}

// tokenLives are how long a token may live, by the value of the form's field. Zero:
// for ever, or until a date.
var tokenLives = []struct {
	value string
	until func(time.Time) time.Time
}{
	{"week", func(now time.Time) time.Time { return now.Add(7 * 24 * time.Hour) }},
	{"month", func(now time.Time) time.Time { return now.Add(30 * 24 * time.Hour) }},
	{"quarter", func(now time.Time) time.Time { return now.Add(90 * 24 * time.Hour) }},
	{"year", aYearFrom},
	{untilDate, nil},
	{"never", func(time.Time) time.Time { return time.Time{} }},
}

const (
	untilDate = "date"
	usualLife = "month"
)

// ratePeriods are the units of a rate, by the value of the form's field.
var ratePeriods = []struct {
	value string
	per   time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}}

// readIntegration reads the form of a token, and holds it against what its owner has
// at this moment. Problems are told by field. (What the owner loses later, each use
// of the token lacks.)
func (i *Issuer) readIntegration(f form, r *rights, now time.Time) (row store.Token, grant store.Grant, problems pages.Problems) {
	problems = pages.Problems{}
	row = store.Token{Environment: i.environment, Class: store.Personal, Created: now, Label: strings.TrimSpace(f["name"])}
	note := func(field string, err error) {
		var why *token.Unfit
		if errors.As(err, &why) && !problems[field].Is() {
			problems[field] = integrationProblem(string(why.Flaw), shownText(why.Value, maxShownName))
		}
	}
	note("name", token.CheckLabel(row.Label))
	scopes, problem := i.readTicked(f)
	if problem.Is() {
		problems["scopes"] = problem
	}
	note("scopes", token.CheckPersonal(i.policy(), &r.user, nil, scopes, nil))
	accounts := pickedAccounts(f)
	if len(r.open) > 0 && len(accounts) == 0 {
		problems["accounts"] = integrationProblem("no_account", "")
	}
	if !problems["scopes"].Is() {
		note("accounts", token.CheckPersonal(i.policy(), &r.user, r.open, scopes, accounts))
	}
	row.Expires, problem = readLife(f, now)
	if problem.Is() {
		problems["expires"] = problem
	}
	var err error
	row.Networks, err = token.ReadNetworks(strings.Fields(f["networks"])) // none has a blank in it
	note("networks", err)
	row.Rate, problem = readRate(f)
	if problem.Is() {
		problems["rate"] = problem
	}
	if row.Rate != (store.Rate{}) {
		note("rate", token.CheckRate(row.Rate))
	}
	grant = store.Grant{
		Environment: i.environment, ID: token.NewID(), Principal: r.user.ID, Client: store.PersonalClient,
		Scopes: scopes, Accounts: accounts, Created: now, Expires: row.Expires,
	}
	return row, grant, problems
}

// integrationProblem is the problem of this name, with a value that stands in what it
// says.
func integrationProblem(name, value string) pages.Problem {
	return pages.NewProblem("integrations.problem."+name, "Value", value)
}

// readTicked reads the scopes that are ticked, in the order of the policy. What is
// hidden, or not of this policy, was on no form.
func (i *Issuer) readTicked(f form) (scopes []string, problem pages.Problem) {
	ticked := f.ticked(scopePrefix)
	p := i.policy()
	for _, scope := range p.Scopes() {
		if !scope.Hidden && slices.Contains(ticked, scope.Name) {
			scopes = append(scopes, scope.Name)
		}
	}
	switch {
	case len(ticked) == 0:
		return nil, integrationProblem("no_scope", "")
	case len(scopes) < len(ticked):
		at := slices.IndexFunc(ticked, func(name string) bool { return !slices.Contains(scopes, name) })
		return scopes, integrationProblem("scope_unknown", shownText(ticked[at], maxShownName))
	}
	return scopes, pages.Problem{}
}

// pickedAccounts are the accounts that are ticked.
func pickedAccounts(f form) []string { return f.ticked(accountField("")) }

// readLife reads when a token is to end: after a time, on a date, or never.
func readLife(f form, now time.Time) (time.Time, pages.Problem) {
	if f["expires"] == untilDate {
		at, err := time.Parse(time.DateOnly, f["date"])
		switch {
		case err != nil:
			return time.Time{}, integrationProblem("date", "")
		case !at.After(now):
			return time.Time{}, integrationProblem("date_past", "")
		}
		return at, pages.Problem{}
	}
	for _, life := range tokenLives {
		if life.value == f["expires"] {
			ends := life.until(now)
			if ends.IsZero() {
				return ends, pages.Problem{}
			}
			return ends.Truncate(time.Second), pages.Problem{}
		}
	}
	return time.Time{}, integrationProblem("expires", "")
}

// readRate reads how often a token may be used; nothing: as often as one likes.
func readRate(f form) (store.Rate, pages.Problem) {
	text := strings.TrimSpace(f["requests"])
	if text == "" {
		return store.Rate{}, pages.Problem{}
	}
	requests, err := strconv.Atoi(text)
	if err != nil {
		return store.Rate{}, integrationProblem(string(token.FlawRateRequests), "")
	}
	for _, period := range ratePeriods {
		if period.value == f["per"] {
			return store.Rate{Requests: requests, Per: period.per}, pages.Problem{}
		}
	}
	return store.Rate{}, integrationProblem(string(token.FlawRateSpan), "")
}

// integrationForm shows the form, with what was sent before in it, and below it the
// token that came of that.
func (i *Issuer) integrationForm(x *exchange, p *person, r *rights, status int, sent form, problems pages.Problems, issued *pages.Issued) response {
	d := pages.IntegrationFormData{
		Layout: i.layoutIn(p, pages.SectionIntegrations), Once: token.NewID(), Problems: problems, Issued: issued, Confirm: i.confirmation(x, p),
		Name: sent["name"], Networks: sent["networks"], Requests: sent["requests"], Date: sent["date"], Address: address(x.ip), Today: x.now,
		Groups: i.scopeGroups(r, sent), Accounts: shownAccounts(i.policy(), r.open, sent),
	}
	for _, life := range tokenLives {
		d.Lives = append(d.Lives, pages.Option{Value: life.value, Chosen: life.value == cmp.Or(sent["expires"], usualLife)})
	}
	for _, period := range ratePeriods {
		d.Periods = append(d.Periods, pages.Option{Value: period.value, Chosen: period.value == cmp.Or(sent["per"], "minute")})
	}
	for _, preset := range presets {
		if len(i.preset(preset.name, r)) > 0 {
			d.Presets = append(d.Presets, preset.name)
		}
	}
	return pageResponse(status, pages.IntegrationForm(d))
}

// preset is a form in which scopes are ticked, by what they can do at worst. None is,
// if there is no such preset, or nothing by which it differs from a lighter one.
func (i *Issuer) preset(name string, r *rights) form {
	f, reached := form{}, false
	for _, preset := range presets {
		if preset.name != name {
			continue
		}
		for _, scope := range offered(i.policy(), r.user.MaxScopes) {
			if risk := worst(i.policy(), scope.Name); risk <= preset.worst {
				f[scopePrefix+scope.Name] = "on"
				reached = reached || risk == preset.worst
			}
		}
	}
	if !reached {
		return form{}
	}
	return f
}

// scopeGroups are the tick-boxes of what a person could let a token do, by what it is
// done to: the part of a scope behind the colon.
func (i *Issuer) scopeGroups(r *rights, sent form) (groups []pages.ScopeGroup) {
	p := i.policy()
	for _, scope := range offered(p, r.user.MaxScopes) {
		resource := scope.Name[strings.LastIndexByte(scope.Name, ':')+1:]
		at := slices.IndexFunc(groups, func(g pages.ScopeGroup) bool { return g.Resource == resource })
		if at < 0 {
			at = len(groups)
			groups = append(groups, pages.ScopeGroup{Resource: resource})
		}
		shown := shownScope(p, scope)
		groups[at].Scopes = append(groups[at].Scopes, pages.ScopeBox{
			Field: scopePrefix + scope.Name, Name: scope.Name, Title: shown.Title,
			Risk: shown.Risk, Includes: shown.Includes, Ticked: sent[scopePrefix+scope.Name] != "",
		})
	}
	return groups
}
