package issuer

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	maxApplications = 100 // of one user, also those that it disabled
	maxName         = 100 // bytes of what a person calls something
	maxDescription  = 500 // bytes
)

// errNoApplication is the one answer to an id that nobody has and to one of
// somebody else's.
var errNoApplication error = &oauthError{
	status: http.StatusNotFound, code: codeInvalidRequest, description: "you have no such application",
}

// applications lists what a user has registered, those that have ended last.
func (i *Issuer) applications(x *exchange, p *person) (response, error) {
	data := pages.ApplicationsData{Layout: i.layoutIn(p, pages.SectionApplications)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		r, err := i.rightsOf(tx, p.user.ID)
		if err != nil {
			return err
		}
		data.Full = r.full
		own, err := i.ownApplications(tx, p)
		slices.SortStableFunc(own, func(a, b store.Client) int { return strings.Compare(string(a.Status), string(b.Status)) })
		for k := range own {
			data.Applications = append(data.Applications, shownApplication(&own[k]))
		}
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("list applications: %w", err)
	}
	return pageResponse(http.StatusOK, pages.Applications(data)), nil
}

func shownApplication(c *store.Client) pages.Application {
	return pages.Application{
		ID: c.ID, Name: nameOf(c), Description: c.Description, RedirectURIs: c.RedirectURIs, Scopes: c.MaxScopes,
		Created: c.Created, Public: c.Public, Ended: c.Status != store.Active,
	}
}

// ownApplications are those that a user registered.
func (i *Issuer) ownApplications(tx store.Reader, p *person) ([]store.Client, error) {
	all, err := tx.Clients(i.environment)
	return slices.DeleteFunc(all, func(c store.Client) bool { return c.Owner != p.user.ID || c.Exchange }), err
}

// applicationPath is the page of an application, below the issuer's own path.
func applicationPath(id string) string { return pathApplications + "/" + url.PathEscape(id) }

// newApplication is the form of an application, for who may register one.
func (i *Issuer) newApplication(x *exchange, p *person) (response, error) {
	r, err := i.presentRights(x, p)
	switch {
	case err != nil:
		return response{}, err
	case !r.full:
		return i.notFullAccess(p, &r), nil
	}
	return i.newApplicationPage(p, &r, http.StatusOK, nil, nil), nil
}

// newApplicationPage shows what is wrong with a form beside the fields in which it
// is.
func (i *Issuer) newApplicationPage(p *person, r *rights, status int, before form, problems pages.Problems) response {
	return pageResponse(status, pages.NewApplication(pages.NewApplicationData{
		Layout: i.layoutIn(p, pages.SectionApplications), Form: typedApplication(before, problems),
		Scopes: i.scopeChoices(before, r.user.MaxScopes), PKCEOptional: before["pkce_optional"] != "",
	}))
}

func typedApplication(before form, problems pages.Problems) pages.ApplicationForm {
	return pages.ApplicationForm{
		Name: before["name"], Description: before["description"], RedirectURIs: before["redirect_uris"], Problems: problems,
	}
}

// notFullAccess tells a person why, and who can change it.
func (i *Issuer) notFullAccess(p *person, r *rights) response {
	return pageResponse(http.StatusForbidden, pages.NotFullAccess(pages.NotFullAccessData{
		Layout: i.layoutIn(p, pages.SectionApplications), Partial: r.partial,
	}))
}

// createApplication registers a client that users may let act for them. It never
// acts for itself, because it has no principal of its own.
func (i *Issuer) createApplication(x *exchange, p *person, f form) (response, error) {
	r, err := i.presentRights(x, p)
	switch {
	case err != nil:
		return response{}, err
	case !r.full:
		return i.notFullAccess(p, &r), nil
	}
	row, problems := i.readApplication(f, &r)
	if len(problems) > 0 {
		return i.newApplicationPage(p, &r, http.StatusUnprocessableEntity, f, problems), nil
	}
	secret, _ := i.keyring.NewOpaque(token.ClassSecret)
	row.Environment, row.ID, row.Owner = i.environment, strings.ToLower(rand.Text()), p.user.ID
	row.SecretHash, row.Status, row.Source, row.Created = i.keyring.HashSecret(secret), store.Active, store.FromCommand, x.now
	err = i.changeApplications(x, "client.add", row.ID, func(tx store.Writer) error {
		if err := i.requireFullAccess(tx, p.user.ID); err != nil {
			return err
		}
		own, err := i.ownApplications(tx, p)
		switch {
		case err != nil:
			return err
		case len(own) >= maxApplications:
			return errTooManyApplications
		}
		return tx.PutClient(row)
	})
	if err != nil {
		return response{}, err
	}
	return i.secretPage(x, p, http.StatusCreated, &row, secret), nil
}

var errTooManyApplications error = &oauthError{
	status: http.StatusConflict, code: codeInvalidRequest, description: fmt.Sprintf("you have %d applications already; no more are possible", maxApplications),
}

// changeApplications carries out a change of one, with its row in the audit trail.
func (i *Issuer) changeApplications(x *exchange, action, id string, do func(store.Writer) error) error {
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		if err := do(tx); err != nil {
			return err
		}
		return tx.Record(i.personEvent(x, action, "client:"+id))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	i.changed(action, "client:"+id)
	return nil
}

// readApplication reads the form of a new application. Problems are told by field.
func (i *Issuer) readApplication(f form, r *rights) (row store.Client, problems pages.Problems) {
	row, problems = readDescription(f)
	row.MaxScopes, row.PKCEOptional = f.ticked("scope."), f["pkce_optional"] != ""
	choices := offered(i.policy(), r.user.MaxScopes)
	for _, name := range row.MaxScopes {
		if !slices.ContainsFunc(choices, func(s policy.Scope) bool { return s.Name == name }) {
			problems["scopes"] = pages.NewProblem("application.problem.scopes_beyond")
		}
	}
	if len(row.MaxScopes) == 0 {
		problems["scopes"] = pages.NewProblem("application.problem.no_scope")
	}
	return row, problems
}

// readDescription reads what the owner of an application may change later.
func readDescription(f form) (row store.Client, problems pages.Problems) {
	problems = pages.Problems{}
	row = store.Client{Name: strings.TrimSpace(f["name"]), Description: strings.TrimSpace(f["description"])}
	if row.Name == "" {
		problems["name"] = pages.NewProblem("application.problem.no_name")
	} else if !isLabel(row.Name, maxName) {
		problems["name"] = pages.NewProblem("application.problem.label", "Most", maxName)
	}
	if !isLabel(row.Description, maxDescription) {
		problems["description"] = pages.NewProblem("application.problem.label", "Most", maxDescription)
	}
	row.RedirectURIs = strings.Fields(f["redirect_uris"]) // none has a blank in it
	if len(row.RedirectURIs) == 0 {
		problems["redirect_uris"] = pages.NewProblem("application.problem.no_uri")
	} else if problem := checkRedirectURIs(row.RedirectURIs); problem != nil {
		problems["redirect_uris"] = *problem
	}
	return row, problems
}

// isLabel knows what may stand in a list: text in one line, without characters
// that change how others are read (Unicode TR 36).
func isLabel(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// secretPage shows what a program needs, and the secret for the only time.
func (i *Issuer) secretPage(x *exchange, p *person, status int, c *store.Client, secret string) response {
	data := pages.ApplicationSecretData{
		Layout: i.layoutIn(p, pages.SectionApplications), Application: shownApplication(c), Settings: i.settingsOf(c, secret),
	}
	if c.OldSecret(x.now) != "" {
		data.OldUntil = c.OldSecretUntil
	}
	return pageResponse(status, pages.ApplicationSecret(data))
}

// settingsOf is what a program needs. Without a secret it is not shown again.
func (i *Issuer) settingsOf(c *store.Client, secret string) pages.Settings {
	s := pages.Settings{Issuer: i.url, ClientID: c.ID, Secret: secret, Scopes: c.MaxScopes, Public: c.Public}
	if len(c.RedirectURIs) > 0 {
		s.RedirectURI = c.RedirectURIs[0]
	}
	return s
}
