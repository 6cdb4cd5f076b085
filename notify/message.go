package notify

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Kind is what users choose by: the news that they want.
type Kind string

// The kinds of news.
const (
	Issued   Kind = "issued"
	Revoked  Kind = "revoked" // by somebody else
	Expiring Kind = "expiring"
)

// Kinds are all of them.
var Kinds = []Kind{Issued, Revoked, Expiring}

// The types of messages. Test and Limited come whatever a user has chosen.
const (
	TypeIssued   = "token.issued"
	TypeRevoked  = "token.revoked"
	TypeExpiring = "token.expiring"
	TypeTest     = "notifications.test"
	TypeLimited  = "notifications.limited"
)

// Message is what a receiver gets.
type Message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of what happened
	Data      Data      `json:"data"`
}

// Data says what happened, to whom and by whom. Nothing in it is a secret: ids are
// those that pages and logs show.
type Data struct {
	Environment store.Environment `json:"environment"`
	User        string            `json:"user"`              // whose webhook it is
	Subject     Subject           `json:"subject,omitempty"` // what the rest is about
	Token       string            `json:"token,omitempty"`   // id
	Name        string            `json:"name,omitempty"`    // of the token, by its user
	Grant       string            `json:"grant,omitempty"`   // id, of what an app may do
	App         string            `json:"app,omitempty"`     // id
	AppName     string            `json:"app_name,omitempty"`
	Accounts    []string          `json:"accounts,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	Expires     time.Time         `json:"expires,omitzero"`
	By          *Actor            `json:"by,omitempty"`
	Reason      string            `json:"reason,omitempty"`

	// Of a message that says that others were left out.
	LeftOut int       `json:"left_out,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
}

// Subject is what a message is about.
type Subject string

// The subjects.
const (
	SubjectPersonal Subject = "personal_token" // a token of the user alone
	SubjectTrading  Subject = "trading_token"  // one that the developers of an account share
	SubjectApp      Subject = "app"            // what one app may do for the user
	SubjectAccount  Subject = "account"        // all that is open on an account
	SubjectUser     Subject = "user"           // all that the user has
)

// Actor is who did something.
type Actor struct {
	Kind string `json:"kind"` // user, operator, app, config or server
	ID   string `json:"id,omitempty"`
}

// actorOf reads what the audit trail calls an actor.
func actorOf(actor string) *Actor {
	kind, id, _ := strings.Cut(actor, ":")
	if kind == "client" {
		kind = "app"
	}
	return &Actor{kind, id}
}

// newDelivery is a message on its way to a user.
func newDelivery(env store.Environment, user, kind string, at time.Time, data Data) store.Delivery {
	data.Environment, data.User = env, user
	body, err := json.Marshal(Message{Type: kind, Timestamp: at.UTC(), Data: data})
	if err != nil {
		panic("notify: " + err.Error()) // strings and instants
	}
	return store.Delivery{
		Environment: env, ID: "msg_" + rand.Text(), Principal: user, Type: kind, Body: body, Created: at,
	}
}
