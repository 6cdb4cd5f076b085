package pages

// ConsentProblem says what is wrong with a form of the consent page.
type ConsentProblem string

// The problems.
const (
	NoAccount      ConsentProblem = "account"  // none is ticked
	NoDuration     ConsentProblem = "duration" // none of those that are offered is chosen
	NothingToAllow ConsentProblem = "nothing"  // there is nothing that the person could allow
)

// Leads is what stands at the place to which a person goes on.
type Leads string

// What there may be.
const (
	ToSite    Leads = "site"    // a site, by its host
	ToProgram Leads = "program" // a program that listens on the person's machine, by its address
	ToApp     Leads = "app"     // an app that has a scheme of its own
)

// ConsentScope is one right in words.
type ConsentScope struct {
	Name     string
	Title    string
	Risk     Risk     // whatever else it includes taken into account
	Includes []string // titles
}

// ConsentAccount is an account that may be ticked.
type ConsentAccount struct {
	Field   string
	ID      string
	Name    string
	Ticked  bool
	Partial bool     // the person has partial access
	Limits  []string // with partial access: titles of the scopes that it has
}

// ConsentTerm is how long an app may keep access.
type ConsentTerm string

// The terms.
const (
	TermHour         ConsentTerm = "hour"
	TermDay          ConsentTerm = "day"
	TermMonth        ConsentTerm = "month"
	TermUntilRevoked ConsentTerm = "revoked"
)

// ConsentDuration is a term that may be chosen.
type ConsentDuration struct {
	Value  ConsentTerm
	Chosen bool
}

// ConsentData is what a person is asked to allow.
type ConsentData struct {
	Layout
	Action      string // where the form goes
	App         string
	Description string
	Owner       string // who registered it; empty: an operator
	Destination string // where the person is sent afterwards
	Leads       Leads
	Scopes      []ConsentScope
	Lacks       []Risk // that none of the scopes has
	Accounts    []ConsentAccount
	Durations   []ConsentDuration
	Problem     ConsentProblem // empty: none
}

var consentPage = page("consent.html", "risk.html")

// Consent asks a person to allow an app access, or not.
func Consent(d ConsentData) []byte {
	d.Layout = d.titled("consent.title")
	return write(consentPage, d)
}
