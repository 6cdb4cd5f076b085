package pages

import (
	"strings"
	"time"
)

// Text is the key of a text that stands beside a field.
type Text string

// What can be wrong with the form of the page Notifications.
const (
	WebhookNoURL    Text = "notifications.problem.url"
	WebhookTooLong  Text = "notifications.problem.long"
	WebhookWithUser Text = "notifications.problem.user"
	WebhookInternal Text = "notifications.problem.internal"
	WebhookNoKind   Text = "notifications.problem.kinds"
)

// NotificationKind is a kind of news that can be chosen.
type NotificationKind struct {
	Name   string
	Ticked bool
}

// Delivery is a message and how it went.
type Delivery struct {
	Type      string
	Created   time.Time
	Attempts  int
	Outcome   string
	Status    int // of the receiver; 0: none
	Delivered bool
	Waiting   bool // it will be tried (again)
}

// What is the key of the text that says what the message is about.
func (d Delivery) What() string { return "notifications.type." + strings.ReplaceAll(d.Type, ".", "_") }

// How is the key of the text that says how it went.
func (d Delivery) How() string {
	if d.Outcome == "" {
		return "notifications.outcome.waits"
	}
	return "notifications.outcome." + d.Outcome
}

// NotificationsData is where a user is told what happens to its tokens.
type NotificationsData struct {
	Layout
	Exists     bool // an address is set
	URL        string
	Kinds      []NotificationKind
	Off        string // why it is switched off; empty: it is not
	Failures   int    // in a row
	Failing    time.Time
	LeftOut    int
	Secret     string    // shown once; empty: not now
	Test       *Delivery // the test message of a moment ago, if there was one
	Deliveries []Delivery

	URLProblem, KindsProblem Text
}

var notificationsPage = page("notifications.html")

// Notifications shows it.
func Notifications(d NotificationsData) []byte {
	d.Layout = d.titled("layout.section.notifications")
	return write(notificationsPage, d)
}
