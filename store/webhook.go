package store

import "time"

// WebhookOff says why a webhook is switched off.
type WebhookOff string

// The reasons. Whoever has the webhook can switch it on again.
const (
	WebhookFailing  WebhookOff = "failing"  // nothing could be delivered for days
	WebhookGone     WebhookOff = "gone"     // the receiver answered 410
	WebhookRestored WebhookOff = "restored" // an older copy of the database was restored
)

// Webhook is where a user is told what happens to the user's tokens. A user has
// one at most.
type Webhook struct {
	Environment Environment
	Principal   string
	URL         string
	Kinds       []string // of news that the user wants; none has a blank in it
	Sealed      []byte   // the secret that signs, by the subkeys KeyID
	KeyID       string
	Created     time.Time
	Off         WebhookOff // empty: it is on

	// After is the sequence in the audit trail from which on (it excluded) events are
	// told of. Announced is the same for tokens that will expire: those that end until
	// then were told of.
	After     int64
	Announced time.Time

	// How it goes. Failures counts those since the last success.
	Failures int
	Failing  time.Time // since when; zero: the last attempt was a success, or there was none
	Retry    time.Time // nothing is tried before; zero: at once

	// A window of time in which so many messages were made, and so many left out.
	Window  time.Time // when it began
	Sent    int
	LeftOut int
}

// DeliveryKeep is how long a delivery is kept after it has ended.
const DeliveryKeep = 7 * 24 * time.Hour

// Delivery is one message on its way to a webhook.
type Delivery struct {
	Environment Environment
	ID          string // of the message, the same at each attempt
	Principal   string // whose webhook it is for
	Type        string
	Body        []byte
	Created     time.Time
	Attempts    int
	Last        time.Time // when it was tried last; zero: never
	Outcome     string    // of that attempt, or why there are no more
	Status      int       // that the receiver answered with; 0: it did not
	Done        time.Time // delivered or given up; zero: it waits
}
