package store

import (
	"context"
	"errors"
	"time"
)

// Errors of the contract. Compare with errors.Is: implementations wrap them.
var (
	// ErrNotFound: no such record in this environment.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: a record with this id exists already.
	ErrExists = errors.New("store: exists already")
	// ErrExpired: the code or token is past its time. Nothing changed.
	ErrExpired = errors.New("store: expired")
	// ErrRevoked: the grant, or something that it stands on, is dead. Nothing changed.
	ErrRevoked = errors.New("store: revoked")
	// ErrReplayed: the code was redeemed before, or burnt; what the first use issued
	// is revoked, and that is committed.
	ErrReplayed = errors.New("store: code replayed, its grant is revoked")
	// ErrResent: the code was redeemed before by the same client, so shortly ago
	// that a transport may have sent the request twice. Nothing changed.
	ErrResent = errors.New("store: code sent again, nothing is revoked")
	// ErrOtherClient: presented by a client that it was not issued to. A code is
	// burnt by that; a refresh token is untouched.
	ErrOtherClient = errors.New("store: presented by another client")
	// ErrMismatch: the code was issued with another challenge, redirect URI or grant
	// than it is presented with. It is burnt, and that is committed: if it comes back
	// it is ErrReplayed, however soon.
	ErrMismatch = errors.New("store: the code was issued for something else")
	// ErrReused: a rotated refresh token came back outside the retry rule; its
	// grant is revoked, and that is committed.
	ErrReused = errors.New("store: refresh token reused, its grant is revoked")
	// ErrUnavailable: the store cannot answer now; nothing was acknowledged.
	// Callers answer 503.
	ErrUnavailable = errors.New("store: unavailable")
)

// Store is what a node needs of its database. All methods are safe for
// concurrent use.
type Store interface {
	Flows
	Directory
	Log
	Collector
	// Close waits for the jobs that have begun and releases the database.
	Close() error
}

// Flows are the hot paths. Each is one transaction.
//
// Any method may fail with ErrUnavailable (disk full, database away, closing)
// and then has changed nothing, or with the context's error if it ended before
// the transaction began.
type Flows interface {
	// Issue records a new grant with the code and tokens that stand for it, or
	// finds one to share (Issue.Share).
	// ErrNotFound: principal, client or one of the accounts unknown. ErrRevoked:
	// principal or client is disabled. ErrExists: the id, code or a token is taken.
	// (An account that is disabled or not bound is no error: Standing is shorter.)
	Issue(ctx context.Context, req Issue) (Standing, error)

	// RedeemCode exchanges a code for what it stands for: one caller wins, on any
	// number of nodes. ErrNotFound, ErrExpired, ErrRevoked, ErrReplayed (whatever
	// the code's age), ErrResent, ErrOtherClient, ErrMismatch.
	RedeemCode(ctx context.Context, req Redeem) (Standing, error)

	// Renew rotates a refresh token, or answers a retry with the family's head.
	// ErrNotFound, ErrExpired, ErrRevoked, ErrReused, ErrOtherClient.
	Renew(ctx context.Context, req Renew) (Renewed, error)

	// Present shows a shared refresh token (class SharedRefresh), which stays as it is, and
	// returns what an access token may be minted from. ErrNotFound (of another class,
	// too), ErrExpired, ErrRevoked. Once a revocation has returned, no Present that
	// begins later succeeds.
	Present(ctx context.Context, req Present) (Token, Standing, error)

	// Revoke kills a token, a grant, or everything under a numbered target.
	// Revoking what is dead already succeeds again and changes nothing.
	// ErrNotFound: a grant, principal, client, account or key that does not exist.
	// (A token is not looked up: signed ones have no row.) Revocation.At must be
	// given: a grant that was revoked at the zero time would be alive.
	Revoke(ctx context.Context, rev Revocation, event Event) (Revocation, error)

	// Party reads who an id names: a client, a principal or both, with the accounts
	// bound to the principal. Whoever does not exist is zero. It is a read beside
	// the writers. An implementation may answer it from memory, but never with what
	// was before a change that has been acknowledged.
	Party(ctx context.Context, env Environment, id string) (Party, error)

	// TokenByHash looks a live or dead token up, with what it stands on. It is a
	// read beside the writers. ErrNotFound.
	TokenByHash(ctx context.Context, env Environment, hash Hash) (Token, Standing, error)
}

// Issue asks for a new grant, or, with Share, for one like it.
type Issue struct {
	Grant  Grant
	Code   *Code   // nil: none
	Tokens []Token // issued at once with the grant
	// Connection is recorded with the grant, whose id is filled in; nil: none.
	Connection *Connection
	// Share lets a grant that is there stand for the new one: of the same
	// principal, client, scopes (as asked, in that order) and accounts, alive, made
	// by a call with Share too, and not ending before Grant.Expires. A new one is
	// made to live so much longer, so that others can share it; Standing.Grant tells
	// which one it is. An implementation may always make a new one. Zero: none.
	//
	// Such a grant has no code, connection and tokens of its own and needs Grant.Expires, or
	// it would end with what was minted first: anything else is an error.
	Share time.Duration
	// Event, with an empty Target, names the grant that it became.
	Event Event
}

// Redeem asks for the exchange of a code.
type Redeem struct {
	Environment Environment
	Code        Hash
	Client      string        // authenticated
	Now         time.Time     // decides expiry
	ResendGrace time.Duration // a replay by the same client within it is ErrResent
	Challenge   string        // of the verifier that is presented; empty: none is
	RedirectURI string        // as it is presented
	Grant       string        // that the code must stand for; empty: any
	Token       Token         // recorded for the winner; its Grant is filled in by the store
	Retain      time.Duration // how long a replay's revocation must be remembered
	Event       Event
}

// Present asks for what a shared refresh token stands for.
type Present struct {
	Environment Environment
	Token       Hash
	Now         time.Time // decides expiry
	Event       Event
}

// RetryRule says when a rotated refresh token that comes back is a retry (its
// answer got lost) and not reuse (it was stolen). Its windows, like
// Redeem.ResendGrace, count in both directions: Renew.Now may lie before the
// rotation, because callers race and clocks are set back.
type RetryRule struct {
	Window       time.Duration // any retry within it after the rotation
	UnusedWindow time.Duration // while its successor has not been used
	UnusedMax    int           // at most so many retries beyond Window
}

// Renew asks for the rotation of a refresh token.
type Renew struct {
	Environment Environment
	Token       Hash      // presented
	Client      string    // authenticated
	Successor   Token     // recorded if the presented token is the head; its Grant is filled in
	Now         time.Time // decides expiry and the windows
	Retry       RetryRule
	Retain      time.Duration
	Event       Event
}

// Renewed is the outcome of Renew.
type Renewed struct {
	Standing Standing
	// Retried tells that the token was rotated before: the caller re-derives the
	// head from it along Chain, and Request.Successor was not recorded.
	Retried bool
	// Chain is the family from the presented token to its head, both included.
	Chain []Token
}

// Head is the family's current token.
func (r *Renewed) Head() *Token { return &r.Chain[len(r.Chain)-1] }

// Directory serves the cold paths: configuration, commands, pages.
type Directory interface {
	// View reads in one snapshot.
	View(ctx context.Context, read func(Reader) error) error
	// Update changes in one transaction, which is rolled back if change fails.
	// change may be called once only, must not block, must return (no t.FailNow in
	// tests) and must use nothing but the Writer.
	Update(ctx context.Context, change func(Writer) error) error
}

// Reader reads records of one snapshot. A look-up by id fails with ErrNotFound.
// Lists are ordered by id.
type Reader interface {
	Principal(env Environment, id string) (Principal, error)
	Principals(env Environment) ([]Principal, error)
	Client(env Environment, id string) (Client, error)
	Clients(env Environment) ([]Client, error)
	Account(env Environment, id string) (Account, error)
	Accounts(env Environment) ([]Account, error)
	// Bindings lists a principal's bindings; of all principals if it is empty.
	Bindings(env Environment, principal string) ([]Binding, error)
	Grant(env Environment, id string) (Grant, error)
	// Grants lists grants, newest first.
	Grants(env Environment, filter GrantFilter) ([]Grant, error)
	// Token looks a token up by its id, with its Sealed.
	Token(env Environment, id string) (Token, error)
	// TokensOf lists the tokens of a grant, oldest first, without Sealed.
	TokensOf(env Environment, grant string) ([]Token, error)
	// AccountTokens lists the tokens of a class whose grants are for an account,
	// newest first. Sealed is left out.
	AccountTokens(env Environment, account string, class Class) ([]AccountToken, error)
	// KnownTokens lists the tokens of class SharedRefresh that a principal made or was
	// shown, oldest first, without Sealed.
	KnownTokens(env Environment, principal string) ([]Token, error)
	// ShownTo lists the principals that a token was shown to, by id.
	ShownTo(env Environment, token string) ([]string, error)
	// Connection reads what ties the app of a grant to its user.
	Connection(env Environment, grant string) (Connection, error)
	// Connections lists those whose grant is not revoked, by its id.
	Connections(env Environment) ([]Connection, error)
	// Session looks a session up, whether it lives or not.
	Session(env Environment, hash Hash) (Session, error)
	// Sessions lists a principal's sessions, newest first.
	Sessions(env Environment, principal string) ([]Session, error)
	// Webhook reads the webhook of a principal, Webhooks lists all of an environment,
	// whether they are on or off.
	Webhook(env Environment, principal string) (Webhook, error)
	Webhooks(env Environment) ([]Webhook, error)
	// Deliveries lists what was made for a principal's webhook, newest first, at most
	// limit.
	Deliveries(env Environment, principal string, limit int) ([]Delivery, error)
	// WaitingFor lists the principals for whom deliveries wait, by id.
	WaitingFor(env Environment) ([]string, error)
	// NextDelivery is the oldest that waits for a principal. One that was tried four
	// times lets the others pass. ErrNotFound: none waits.
	NextDelivery(env Environment, principal string) (Delivery, error)
	// Expiring lists the live tokens of a principal, of the classes Personal and
	// SharedRefresh, that expire after an instant and not after another, the first
	// first. Sealed is left out.
	Expiring(env Environment, principal string, after, until time.Time) ([]Token, error)
	SigningKeys(env Environment) ([]SigningKey, error)
	// MadeWith counts the codes, tokens and sessions made with a subkey (Token.KeyID)
	// that may still be presented: neither expired nor revoked, nor is their grant. It
	// may take seconds.
	MadeWith(env Environment, keyID string, now time.Time) (int, error)
	// Meta reads a fact about the store itself.
	Meta(key string) (string, error)
	// Audit lists the events of an environment and those of Everywhere, newest
	// first.
	Audit(env Environment, filter AuditFilter) ([]AuditRow, error)
	// AuditRows lists the audit trail of all environments behind a sequence,
	// oldest first, at most limit. What it returns is final: no row with a lower
	// sequence than one of these can be committed later.
	AuditRows(after int64, limit int) ([]AuditRow, error)
	// AuditSeals lists the seals whose Last is behind a sequence, oldest first, at
	// most limit.
	AuditSeals(after int64, limit int) ([]AuditSeal, error)
	// LastAuditSeal is the newest. ErrNotFound: there is none.
	LastAuditSeal() (AuditSeal, error)
}

// GrantFilter narrows a list of grants. Zero fields do not narrow.
type GrantFilter struct {
	Principal string
	Client    string
	Account   string
	Live      time.Time // only those neither revoked nor expired then
	Limit     int
}

// Writer changes records.
type Writer interface {
	Reader
	// PutPrincipal, PutClient and PutAccount insert or replace by id. Epoch and
	// Rights of an existing record are kept whatever the argument says, and those
	// of a new one are zero: they change by Revoke alone. PutSigningKey does so too.
	// PutClient refuses a redirect URI that is empty or has a blank in it.
	PutPrincipal(Principal) error
	PutClient(Client) error
	PutAccount(Account) error
	PutBinding(Binding) error
	DeleteBinding(env Environment, principal, account string) error
	PutSigningKey(SigningKey) error
	SetMeta(key, value string) error
	// MarkUsed notes that a token was used at an instant, from an address. It never
	// goes backwards, and passes over a token that is not known (any more): what is
	// said of it came from memory and may be late.
	MarkUsed(env Environment, token string, at time.Time, from string) error
	// RotateToken brings the end of a token of class Personal forward, because it has a
	// successor since at: it ends then, or earlier if it would have anyway, and so does
	// its grant, which has no other. Nobody learns of it by that: who keeps facts of
	// the token has to be told by a revocation. ErrNotFound; ErrReused: it was rotated before.
	RotateToken(env Environment, token string, at, ends time.Time) error
	// MarkShown notes that a principal saw the value of a token; the first time counts.
	// ErrNotFound.
	MarkShown(env Environment, token, principal string, at time.Time) error
	// PutSession inserts or replaces a session by its hash. ErrNotFound: no such
	// principal.
	PutSession(Session) error
	// DeleteSession ends a session. ErrNotFound.
	DeleteSession(env Environment, hash Hash) error
	// Issue is Flows.Issue inside this transaction, of which Issue.Share can't be part.
	Issue(Issue) (Standing, error)
	// PutWebhook inserts or replaces a webhook by its principal. ErrNotFound: no such
	// principal.
	PutWebhook(Webhook) error
	// DeleteWebhook removes a webhook with all its deliveries. ErrNotFound.
	DeleteWebhook(env Environment, principal string) error
	// PutDelivery inserts a delivery, as the last that waits, or replaces it by its
	// id. ErrNotFound: its principal has no webhook.
	PutDelivery(Delivery) error
	// EndDeliveries ends all that wait for a principal, with this outcome.
	EndDeliveries(env Environment, principal, outcome string, at time.Time) error
	// Revoke is Flows.Revoke inside this transaction.
	Revoke(Revocation) (Revocation, error)
	Record(Event) error
	// PutAuditSeal adds a seal. ErrExists: it does not begin where the last one
	// ends.
	PutAuditSeal(AuditSeal) error
}

// Log is the record of what is revoked, for nodes that keep it in memory.
type Log interface {
	// Snapshot returns all revocations that are kept (see Collector), and where to
	// go on.
	Snapshot(ctx context.Context) ([]Revocation, Cursor, error)
	// Tail returns what was committed since the cursor. Rows may be returned
	// twice, never left out, whatever the order in which transactions committed;
	// but who lags so far behind that rows were collected doesn't need them.
	Tail(ctx context.Context, since Cursor) ([]Revocation, Cursor, error)
}

// Cursor is a place in the log. It is opaque: only the store that made it can
// read it.
type Cursor string
