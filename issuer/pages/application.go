package pages

import (
	"strings"
	"time"
)

// Application is an OAuth2 application as its owner sees it.
type Application struct {
	ID           string
	Name         string
	Description  string
	RedirectURIs []string
	Scopes       []string
	Created      time.Time
	Public       bool
	Ended        bool
}

// ApplicationsData is a user's applications.
type ApplicationsData struct {
	Layout
	Full         bool // the user may register one
	Applications []Application
}

// ApplicationForm is what the owner types, with what is wrong with it by field.
type ApplicationForm struct {
	Name         string
	Description  string
	RedirectURIs string // one in each line
	Problems     Problems
}

// NewApplicationData is the form of an application that is to be registered.
type NewApplicationData struct {
	Layout
	Form         ApplicationForm
	Scopes       []Choice
	PKCEOptional bool
}

// Uses is who uses something at this moment.
type Uses struct {
	Users    int
	Many     bool // there may be more than Users
	Streams  int
	Requests int // that are no streams
}

// ApplicationData is the page of one application.
type ApplicationData struct {
	Layout
	Application
	Full     bool // the user may change what leads others elsewhere
	Form     ApplicationForm
	Uses     Uses
	Settings Settings
	OldUntil time.Time // the secret before is good until then; zero: there is none
	OldUsed  time.Time // when it was last; zero: not that is known
}

// ApplicationSecretData is what a program needs, with the secret.
type ApplicationSecretData struct {
	Layout
	Application
	Settings Settings
	OldUntil time.Time
}

// ApplicationEndData asks whether an application shall end.
type ApplicationEndData struct {
	Layout
	Application
	Uses Uses
}

// NotFullAccessData tells why somebody may not register an application.
type NotFullAccessData struct {
	Layout
	Partial []string // accounts that are open in part only; empty: none is open at all
}

var (
	applicationsPage      = page("applications.html")
	newApplicationPage    = page("application_new.html", "application_fields.html", "choice.html", "risk.html")
	applicationPage       = page("application.html", "application_fields.html", "application_settings.html")
	applicationSecretPage = page("application_secret.html", "application_settings.html")
	applicationEndPage    = page("application_end.html")
	notFullAccessPage     = page("application_refused.html")
)

// Applications lists them.
func Applications(d ApplicationsData) []byte {
	d.Layout = d.titled("application.title")
	return write(applicationsPage, d)
}

// NewApplication is the form of one.
func NewApplication(d NewApplicationData) []byte {
	d.Layout = d.titled("application.new")
	return write(newApplicationPage, d)
}

// NotFullAccess says why there is no form.
func NotFullAccess(d NotFullAccessData) []byte {
	d.Layout = d.titled("application.refused_title")
	return write(notFullAccessPage, d)
}

// ApplicationOf is the page of one.
func ApplicationOf(d ApplicationData) []byte {
	d.Title = d.Name
	return write(applicationPage, d)
}

// ApplicationSecret shows a secret for the only time.
func ApplicationSecret(d ApplicationSecretData) []byte {
	d.Title = d.Name
	return write(applicationSecretPage, d)
}

// ApplicationEnd asks before the end.
func ApplicationEnd(d ApplicationEndData) []byte {
	d.Layout = d.titled("application.end_title")
	return write(applicationEndPage, d)
}

// Accounts are the accounts in one text.
func (d NotFullAccessData) Accounts() string { return strings.Join(d.Partial, ", ") }
