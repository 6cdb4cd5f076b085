package pages

import "time"

// Application is an OAuth2 application as its owner sees it.
type Application struct {
	ID           string
	Name         string
	Description  string
	RedirectURIs []string
	Scopes       []string
	Created      time.Time
	Disabled     bool
}

// ApplicationsData is a user's applications, and the form for another one.
type ApplicationsData struct {
	Layout
	Full         bool // the user may register one
	Applications []Application
	Scopes       []Choice
	Before       map[string]string // what was typed, by field
	Problems     map[string]string // by field, or by application
}

// ApplicationSecretData is what a program needs, with the secret.
type ApplicationSecretData struct {
	Layout
	Application
	Secret       string
	Issuer       string
	AuthorizeURL string
	TokenURL     string
}

var (
	applicationsPage      = page("applications.html", "choice.html", "risk.html")
	applicationSecretPage = page("application.html")
)

// Applications lists them.
func Applications(d ApplicationsData) []byte {
	d.Layout = d.titled("layout.section.applications")
	return write(applicationsPage, d)
}

// ApplicationSecret shows a secret for the only time.
func ApplicationSecret(d ApplicationSecretData) []byte { return write(applicationSecretPage, d) }
