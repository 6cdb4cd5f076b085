package pages

import (
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// Integration is a token that a user's own program has.
type Integration struct {
	ID, Name string
	Scopes   []string
	Accounts []string
	Networks []netip.Prefix
	Rate     int // requests in Per; 0: no limit
	Per      time.Duration
	Created  time.Time
	Expires  time.Time // zero: never
	Used     time.Time // zero: never
	UsedFrom string    // an address; empty: not known
	Streams  int       // that are open on it
	Status   TokenStatus
	Replaced bool // it has a successor
}

// Live reports whether the token can be used.
func (t *Integration) Live() bool { return t.Status == TokenLive }

// StatusText is the status in words.
func (t *Integration) StatusText() Said {
	if t.Live() && t.Replaced {
		return said("integrations.status.replaced")
	}
	return said("integrations.status." + string(t.Status))
}

// StatusClass is how the status looks.
func (t *Integration) StatusClass() string {
	switch {
	case t.Live() && t.Replaced:
		return "status warn"
	case t.Live():
		return "status good"
	}
	return "status"
}

// UsedText says when and from where the token was used last, in two lines.
func (t *Integration) UsedText() Said {
	at := moment(t.Used)
	switch {
	case t.Used.IsZero():
		return said("integrations.never_used")
	case t.UsedFrom == "":
		return func(*i18n.Localizer) string { return at }
	}
	return func(in *i18n.Localizer) string {
		return at + "\n" + text(in, "integrations.used_from", "Address", t.UsedFrom)
	}
}

// RateText is the rate in words; nil: there is none.
func (t *Integration) RateText() Said {
	if t.Rate == 0 {
		return nil
	}
	return said("integrations.rate_is", "Requests", t.Rate, "Per", strings.TrimSuffix(strings.TrimSuffix(t.Per.String(), "0s"), "0m"))
}

// moment is how pages write an instant.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// IntegrationsData is the list of them.
type IntegrationsData struct {
	Layout
	Tokens []Integration
	Ended  string // name of one that was revoked a moment ago
}

// Live is what changes in a page while it is looked at: texts and classes of
// elements, by their ids.
type Live struct {
	Text  map[string]string `json:"text"`
	Class map[string]string `json:"class,omitempty"`
}

// IntegrationsLive is what changes in the list.
func IntegrationsLive(tokens []Integration) Live {
	live := Live{Text: make(map[string]string, 3*len(tokens)), Class: make(map[string]string, 2*len(tokens))}
	for k := range tokens {
		t := &tokens[k]
		live.Text["used-"+t.ID], live.Text["streams-"+t.ID], live.Text["status-"+t.ID] = t.UsedText()(english()), strconv.Itoa(t.Streams), t.StatusText()(english())
		live.Class["status-"+t.ID], live.Class["row-"+t.ID] = t.StatusClass(), rowClass(t)
	}
	return live
}

func rowClass(t *Integration) string {
	if t.Live() {
		return ""
	}
	return "ended"
}

// RowClass tells rows of tokens that can't be used any more.
func (t *Integration) RowClass() string { return rowClass(t) }

// Option is one of several values of a field.
type Option struct {
	Value  string
	Chosen bool
}

// ScopeGroup is scopes that are about one thing.
type ScopeGroup struct {
	Resource string
	Scopes   []ScopeBox
}

// ScopeBox is a scope that may be ticked.
type ScopeBox struct {
	Field, Name, Title string
	Risk               Risk     // whatever else it includes taken into account
	Includes           []string // titles
	Ticked             bool
}

// Confirm says whether a form asks for the password.
type Confirm string

// What there may be.
const (
	ConfirmNeeded    Confirm = "needed"
	ConfirmMaybe     Confirm = "maybe"     // if the form takes longer than the password counts
	ConfirmElsewhere Confirm = "elsewhere" // the provider asks for it
)

// Issued is a token that was issued at this moment.
type Issued struct {
	Name    string
	Token   string // for the only time
	Expires time.Time
	Example string // URL of something in the API that it opens; empty: none
}

// IntegrationFormData is the form of a token.
type IntegrationFormData struct {
	Layout
	Once     string // makes the form good for one token
	Name     string
	Presets  []string
	Groups   []ScopeGroup
	Accounts []ConsentAccount
	Lives    []Option
	Date     string
	Today    time.Time
	Networks string
	Address  string // of who looks at the page
	Requests string
	Periods  []Option
	Confirm  Confirm
	Problems Problems
	Issued   *Issued // nil: not yet
}

// Tomorrow is the first date on which a token may end.
func (d *IntegrationFormData) Tomorrow() string {
	return d.Today.UTC().AddDate(0, 0, 1).Format(time.DateOnly)
}

// UnderWay is something that a program is just doing.
type UnderWay struct {
	Route, Method string
	Stream        bool
	Since         time.Time
	From          string
}

// IntegrationRevokeData asks whether a token is to end.
type IntegrationRevokeData struct {
	Layout
	Integration Integration
	UnderWay    []UnderWay
	Action      string
}

// IntegrationRotateData asks for how long a token and its successor are both to be
// good; or shows the successor.
type IntegrationRotateData struct {
	Layout
	Integration Integration
	Action      string
	Once        string
	Overlaps    []Option
	Confirm     Confirm
	Problems    Problems

	Issued *Issued   // nil: not yet
	Ends   time.Time // of the old one
	AtOnce bool
}

// Outcome is what became of a token that was tried.
type Outcome string

// The outcomes.
const (
	TriedGood      Outcome = "good"
	TriedInvalid   Outcome = "invalid"
	TriedElsewhere Outcome = "elsewhere" // it is good, but not from here
	TriedNothing   Outcome = "nothing"   // there was none
)

// Tried is what the API would make of a token.
type Tried struct {
	Outcome  Outcome
	Name     string
	Subject  string
	Scopes   []string
	Accounts []string
	Expires  time.Time // zero: never
	Address  string    // with TriedElsewhere: the one that it may not be used from
}

// Says is the outcome in a sentence.
func (t *Tried) Says() Said {
	return said("integrations.tried."+string(t.Outcome), "Name", t.Name, "Address", t.Address,
		"Scopes", strings.Join(t.Scopes, " "), "Accounts", strings.Join(t.Accounts, " "))
}

// TriedLive is the outcome for the page that is open.
func TriedLive(t *Tried) Live {
	class := "notice bad"
	if t.Outcome == TriedGood {
		class = "notice good"
	}
	return Live{Text: map[string]string{"tried": t.Says()(english())}, Class: map[string]string{"tried": class}}
}

// IntegrationTryData is the form with which a token is tried.
type IntegrationTryData struct {
	Layout
	Result *Tried // nil: none was
}

var (
	integrationsPage      = page("integrations.html")
	integrationFormPage   = page("integration_form.html", "integration_parts.html", "risk.html")
	integrationRevokePage = page("integration_revoke.html", "integration_parts.html")
	integrationRotatePage = page("integration_rotate.html", "integration_parts.html")
	integrationTryPage    = page("integration_try.html")
)

// Integrations writes the list as its rows are made. The error is that of the
// writer.
func Integrations(w io.Writer, d IntegrationsData) error {
	d.Layout = d.titled("layout.section.integrations")
	return integrationsPage.Execute(w, d)
}

// IntegrationForm shows the form.
func IntegrationForm(d IntegrationFormData) []byte {
	d.Layout = d.titled("integrations.new_token")
	d.Wide = true
	return write(integrationFormPage, &d)
}

// IntegrationRevoke asks.
func IntegrationRevoke(d IntegrationRevokeData) []byte {
	d.Layout = d.titled("integrations.revoke.title", "Name", d.Integration.Name)
	d.Wide = true
	return write(integrationRevokePage, &d)
}

// IntegrationRotate asks, or shows the successor.
func IntegrationRotate(d IntegrationRotateData) []byte {
	d.Layout = d.titled("integrations.rotate.title", "Name", d.Integration.Name)
	d.Wide = true
	return write(integrationRotatePage, &d)
}

// IntegrationTry shows the form, or what came of it.
func IntegrationTry(d IntegrationTryData) []byte {
	d.Layout = d.titled("integrations.try.title")
	d.Wide = true
	return write(integrationTryPage, &d)
}
