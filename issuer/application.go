package issuer

import (
	"crypto/rand"
	"fmt"
	"net/http"
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

// applications lists what a user has registered, with a form to register more.
func (i *Issuer) applications(x *exchange, p *person) (response, error) {
	return i.applicationsPage(x, p, http.StatusOK, nil, nil)
}

// applicationsPage shows what is wrong with a form beside the fields in which it
// is.
func (i *Issuer) applicationsPage(x *exchange, p *person, status int, before form, problems map[string]string) (response, error) {
	data := pages.ApplicationsData{Layout: i.layoutIn(p, pages.SectionApplications), Problems: problems, Before: before}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		r, err := i.rightsOf(tx, p.user.ID)
		if err != nil {
			return err
		}
		data.Full = r.full
		data.Scopes = i.scopeChoices(before, r.user.MaxScopes)
		own, err := i.ownApplications(tx, p)
		for k := range own {
			data.Applications = append(data.Applications, shownApplication(&own[k]))
		}
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("list applications: %w", err)
	}
	return pageResponse(status, pages.Applications(data)), nil
}

func shownApplication(c *store.Client) pages.Application {
	return pages.Application{
		ID: c.ID, Name: nameOf(c), Description: c.Description, RedirectURIs: c.RedirectURIs, Scopes: c.MaxScopes,
		Created: c.Created, Disabled: c.Status != store.Active,
	}
}

// ownApplications are those that a user registered.
func (i *Issuer) ownApplications(tx store.Reader, p *person) ([]store.Client, error) {
	all, err := tx.Clients(i.environment)
	return slices.DeleteFunc(all, func(c store.Client) bool { return c.Owner != p.user.ID || c.Exchange }), err
}

// createApplication registers a client that users may let act for them. It never
// acts for itself, because it has no principal of its own.
func (i *Issuer) createApplication(x *exchange, p *person, f form) (response, error) {
	r, err := i.presentRights(x, p)
	switch {
	case err != nil:
		return response{}, err
	case !r.full:
		return response{}, errNotFullAccess
	}
	row, problems := i.readApplication(f, &r)
	if len(problems) > 0 {
		return i.applicationsPage(x, p, http.StatusUnprocessableEntity, f, problems)
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
	return i.secretPage(p, http.StatusCreated, &row, secret), nil
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

// readApplication reads the form of an application. Problems are told by field.
func (i *Issuer) readApplication(f form, r *rights) (row store.Client, problems map[string]string) {
	problems = map[string]string{}
	row = store.Client{
		Name: strings.TrimSpace(f["name"]), Description: strings.TrimSpace(f["description"]),
		MaxScopes: f.ticked("scope."), PKCEOptional: f["pkce_optional"] != "",
	}
	if row.Name == "" {
		problems["name"] = "Give the application a name."
	} else if !isLabel(row.Name, maxName) {
		problems["name"] = fmt.Sprintf("At most %d bytes, and only characters that can be seen.", maxName)
	}
	if !isLabel(row.Description, maxDescription) {
		problems["description"] = fmt.Sprintf("At most %d bytes, and only characters that can be seen.", maxDescription)
	}
	var problem string
	if row.RedirectURIs, problem = readRedirectURIs(f["redirect_uris"]); problem != "" {
		problems["redirect_uris"] = problem
	}
	choices := offered(i.policy(), r.user.MaxScopes)
	for _, name := range row.MaxScopes {
		if !slices.ContainsFunc(choices, func(s policy.Scope) bool { return s.Name == name }) {
			problems["scopes"] = "One of the scopes is more than you have."
		}
	}
	if len(row.MaxScopes) == 0 {
		problems["scopes"] = "Tick what the application may ask for."
	}
	return row, problems
}

// isLabel knows what may stand in a list: text in one line, without characters
// that change how others are read (Unicode TR 36).
func isLabel(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// readRedirectURIs reads one in each line.
func readRedirectURIs(text string) (uris []string, problem string) {
	uris = strings.Fields(text) // none has a blank in it
	if len(uris) == 0 {
		return nil, "Give at least one address, each in a line of its own."
	}
	if err := CheckRedirectURIs(uris); err != nil {
		return nil, "The " + err.Error() + "."
	}
	return uris, ""
}

// secretPage shows what a program needs, and the secret for the only time.
func (i *Issuer) secretPage(p *person, status int, c *store.Client, secret string) response {
	return pageResponse(status, pages.ApplicationSecret(pages.ApplicationSecretData{
		Layout: i.layoutFor("Your application", p), Application: shownApplication(c), Secret: secret,
		Issuer: i.url, AuthorizeURL: i.url + pathAuthorize, TokenURL: i.url + pathToken,
	}))
}
