package store

import "time"

// Everywhere is the environment of events that concern the store as a whole:
// that the server started, or that an operator was refused. Nothing else has it.
const Everywhere Environment = "*"

// AuditRow is an event with its place in the one audit trail of all
// environments.
type AuditRow struct {
	Sequence int64 // from 1, without gaps
	Event
}

// AuditSeal makes the rows of the audit trail from First to Last, and the seals
// before it, provable. The store keeps seals and understands nothing of them;
// package audit does.
type AuditSeal struct {
	First, Last int64
	At          time.Time
	Digest      Hash
	Checks      []byte // by which a row that was changed is found
	KeyID       string
	Signature   []byte
}

// AuditFilter narrows a list of events. Zero fields do not narrow.
type AuditFilter struct {
	Actor, Action, Target, Outcome string
	Since                          time.Time // not before
	Until                          time.Time // before
	Limit                          int

	// User narrows to what concerns a user, by its id: what it did and what was done
	// to it, in this environment. Accounts adds what was done to these.
	User     string
	Accounts []string
	Actions  []string // one of these
	Refused  bool     // whatever has another outcome than ok
	Before   int64    // only rows with a lower sequence
}

// UserWord names a user in the audit trail.
func UserWord(id string) string { return string(User) + ":" + id }

// AccountWord names an account there, also one that has never acted for itself.
func AccountWord(id string) string { return string(AccountPrincipal) + ":" + id }
