package pages

import (
	"cmp"
	"html/template"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// ActivityProblem says what is wrong with what somebody wants to see.
type ActivityProblem string

// The problems.
const (
	ActivityMalformed   ActivityProblem = "malformed"    // the address is none
	ActivityKindUnknown ActivityProblem = "kind_unknown" // there is no such kind
	ActivityNoDay       ActivityProblem = "no_day"       // this is no date
	ActivityDaysSwapped ActivityProblem = "days_swapped" // the last day comes before the first
	ActivityNoPlace     ActivityProblem = "no_place"     // there is no such place in the list
)

// Deed is something that happened.
type Deed struct {
	At       time.Time
	Who      string // the word for who did it, as in you
	WhoNamed string // its name; empty: that is not known, or not to be said
	Did      string // the last part of the name of the text that says what
	Name     string // of the app or token that it was done to; empty: not known any more
	Account  string
	Address  string // from where; may be empty
	Count    int64  // how many alike it stands for
	Refused  bool
}

// HasDeed reports whether there is a text for a deed.
func HasDeed(did string) bool {
	_, err := english().Localize(&i18n.LocalizeConfig{MessageID: "activity.did." + did, TemplateData: map[string]any{}})
	return err == nil
}

// Says is the sentence that says it.
func (d Deed) Says() SaidRich {
	return func(in *i18n.Localizer) template.HTML {
		gone := text(in, "activity.gone")
		return rich(in, "activity.did."+d.Did, "Who", d.who(in), "Name", cmp.Or(d.Name, gone), "Account", cmp.Or(d.Account, gone))
	}
}

func (d Deed) who(in *i18n.Localizer) string {
	if d.WhoNamed != "" {
		return text(in, "activity.who."+d.Who+"_named", "Name", d.WhoNamed)
	}
	return text(in, "activity.who."+d.Who)
}

// Day is what happened on a day, in UTC.
type Day struct {
	Date  time.Time
	Deeds []Deed
}

// ActivityData is what happened.
type ActivityData struct {
	Layout

	Kind, From, Until string   // as they were sent
	Kinds             []string // that there are
	Problem           ActivityProblem
	Field             string // that the problem is about; empty: none of them
	Filtered          bool   // not all is shown
	Days              []Day
	Older, Newest     string // addresses; empty: it is the end
}

// Add puts a deed behind those that came after it.
func (d *ActivityData) Add(one Deed) {
	day := one.At.UTC().Truncate(24 * time.Hour)
	if last := len(d.Days) - 1; last < 0 || !d.Days[last].Date.Equal(day) {
		d.Days = append(d.Days, Day{Date: day})
	}
	at := &d.Days[len(d.Days)-1]
	at.Deeds = append(at.Deeds, one)
}

var activityPage = page("activity.html")

// Activity shows what happened.
func Activity(d ActivityData) []byte {
	d.Layout = d.titled("layout.section.activity")
	return write(activityPage, d)
}
