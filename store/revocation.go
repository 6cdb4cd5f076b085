package store

import "time"

// Kind is what a revocation is aimed at.
type Kind string

// The kinds of revocation. The first two name one thing that is dead; the
// others carry a number: whatever has a lower one is dead or, for the rights,
// must be judged anew. Rights that were only given refuse nothing: what a signed
// token says is still true, and what is known of an opaque one is too little.
const (
	KindToken             Kind = "token"               // target: token id or jti
	KindGrant             Kind = "grant"               // target: grant id; kills all made from it
	KindPrincipal         Kind = "principal"           // target: principal id
	KindClient            Kind = "client"              // target: client id
	KindAccount           Kind = "account"             // target: account id
	KindKey               Kind = "key"                 // target: signing key id
	KindRights            Kind = "rights"              // target: principal id, which may do less
	KindClientRights      Kind = "client_rights"       // target: client id, which may do less
	KindRightsGiven       Kind = "rights_given"        // target: principal id, which may do more
	KindClientRightsGiven Kind = "client_rights_given" // target: client id, which may do more
)

// Numbered reports whether the kind works by number.
func (k Kind) Numbered() bool { return k != KindToken && k != KindGrant }

// Revocation is one row of the log.
type Revocation struct {
	Environment Environment
	Kind        Kind
	Target      string
	Number      int64     // drawn by the store for kinds that are Numbered, 0 otherwise
	At          time.Time // for people; nothing is decided by it
	Expires     time.Time // nothing below the target can live after it; zero: keep for ever
	Reason      string
}

// Reasons that the store itself gives: what was good once came back, so somebody has a
// copy of it.
const (
	ReasonCodeReplayed  = "code_replayed"  // a code was redeemed a second time
	ReasonRefreshReused = "refresh_reused" // a refresh token that was rotated came back
)

// Event is one line of the audit trail. It never holds a secret.
type Event struct {
	Environment Environment
	At          time.Time
	Actor       string // who did it, as kind:id (client:demo-client, operator:admin)
	Action      string // dotted, as in code.redeem, grant.revoke
	Target      string // what it was done to, as kind:id
	// Subject is whom it concerns besides the actor: the user or the account whose
	// thing it was done to, as user:id or account:id. Empty: nobody else, or nobody
	// who could look. Flows fill it in where a grant is made by somebody else, where
	// something is revoked, and where a code or token is misused.
	Subject   string
	Outcome   string // ok, or why it was refused
	Reason    string // in the words of whoever did it
	Address   string // of the client, where one called over the network
	RequestID string
	Count     int64 // how many alike it stands for; the store takes less than 1 for 1
}
