package store

import (
	"crypto/subtle"
	"net/netip"
	"time"
)

// Environment separates worlds that share one store: nothing of one is valid
// in the other.
type Environment string

// The environments that exist. Sandbox is for trying things out and may use
// published secrets; production refuses them.
const (
	Production Environment = "production"
	Sandbox    Environment = "sandbox"
)

// Status tells whether a principal, client or account may be used.
type Status string

// The states of a principal, client or account.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Source tells who owns a record: commands refuse to edit what the
// configuration declares.
type Source string

// The owners of a record.
const (
	FromConfig  Source = "config"
	FromCommand Source = "command"
	// BuiltIn is what every start puts there: nobody edits it.
	BuiltIn Source = "built-in"
)

// PersonalClient is the id of the built-in client that the grants of personal
// tokens name. It has no secret, so that nobody can be it, and no ceiling: what
// such a token carries is cut by the rights of its owner alone.
const PersonalClient = "personal-token"

// PrincipalKind tells people from programs.
type PrincipalKind string

// The kinds of principal.
const (
	User    PrincipalKind = "user"
	Service PrincipalKind = "service"
	// ClientPrincipal is a client that acts for itself (RFC 6749 §4.4). It has the
	// client's id, no secret of its own, and changes with the client.
	ClientPrincipal PrincipalKind = "client"
	// AccountPrincipal is a trading account that acts for itself, by tokens that its
	// developers share. It has the account's id and is bound to that account alone.
	AccountPrincipal PrincipalKind = "account"
)

// Principal is who allows: a user, a service account or a client that acts for
// itself (the resource owner of RFC 6749 §1.1).
type Principal struct {
	Environment Environment
	ID          string
	Kind        PrincipalKind
	Name        string
	SecretHash  string   // as made by token.HashSecret or token.HashPassword; empty: cannot sign in
	MaxScopes   []string // the most that the principal may grant
	Status      Status
	Source      Source
	Epoch       int64 // everything minted under a lower number is dead
	Rights      int64 // everything minted under a lower number is judged by present rights
	Created     time.Time
}

// TradingClient is the id of the built-in client that the grants of shared
// refresh tokens name (class SharedRefresh). Its ceiling is what such a token carries.
const TradingClient = "trading-account"

// Client is a program that asks for tokens (RFC 6749 §2).
type Client struct {
	Environment Environment
	ID          string
	Name        string
	Description string
	Owner       string // the user who registered it; empty: an operator
	Public      bool   // it has no secret and must use PKCE (RFC 6749 §2.1, RFC 7636)
	Exchange    bool   // an app of the access code exchange: no OAuth endpoint serves it
	SecretHash  string // empty: cannot authenticate
	// OldSecretHash is that of the secret before, as made by token.HashSecret, which is
	// good until OldSecretUntil; empty: there is none.
	OldSecretHash  string
	OldSecretUntil time.Time
	MaxScopes      []string // the most that the client may ever carry
	// RedirectURIs are compared as strings (RFC 6749 §3.1.2.2), but for the port of
	// those that lead to a loopback address (RFC 8252 §7.3).
	RedirectURIs  []string
	PKCEOptional  bool // a confidential client from before PKCE
	StateOptional bool // an app of the access code exchange from before state
	Status        Status
	Source        Source
	Epoch         int64
	Rights        int64
	Created       time.Time
}

// MaxSecretOverlap is the longest that a secret may be good beside the one that
// replaced it.
const MaxSecretOverlap = 7 * 24 * time.Hour

// ReplaceSecret gives a client another secret. The one before is good for so much
// longer, and the one before that no more: a client has two at most.
func (c *Client) ReplaceSecret(hash string, now time.Time, overlap time.Duration) {
	before := c.SecretHash
	c.EndOldSecret()
	if before != "" && overlap > 0 {
		c.OldSecretHash, c.OldSecretUntil = before, now.Add(overlap)
	}
	c.SecretHash = hash
}

// EndOldSecret ends what is left of the time of a secret that was replaced.
func (c *Client) EndOldSecret() { c.OldSecretHash, c.OldSecretUntil = "", time.Time{} }

// OldSecret is the hash of the replaced secret that is good at an instant, "" if
// none is.
func (c *Client) OldSecret(now time.Time) string {
	if c.Public || c.Status != Active || !now.Before(c.OldSecretUntil) {
		return ""
	}
	return c.OldSecretHash
}

// AccountKind tells what an account holds.
type AccountKind string

// The kinds of account.
const (
	Trading AccountKind = "trading"
	Bank    AccountKind = "bank"
)

// Account is a trading or bank account: what a token may be used on.
type Account struct {
	Environment Environment
	ID          string // the number that the gated API knows it by
	Kind        AccountKind
	Name        string
	Status      Status
	Source      Source
	Epoch       int64
	Created     time.Time
}

// Access is how much of an account a binding opens.
type Access string

// The levels of access. Partial access is limited to the binding's scopes.
const (
	Full    Access = "full"
	Partial Access = "partial"
)

// Binding opens an account to a principal.
type Binding struct {
	Environment Environment
	Principal   string
	Account     string
	Access      Access
	Scopes      []string // the most that a partial binding allows; empty for full
	Source      Source
}

// Party is whom an id names. Its slices may be shared with other callers: do not
// change them.
type Party struct {
	Client    Client
	Principal Principal
	Accounts  []string // bound to the principal, by id
}

// Grant says who allowed whom what: the family that a revocation kills.
type Grant struct {
	Environment Environment
	ID          string // says when it was made and not how many there are
	Principal   string
	Client      string
	Scopes      []string // as asked, in that order, not expanded
	Accounts    []string
	Epoch       int64     // Standing.Epoch when it was made, filled in by the store: a party with a higher one has been killed since
	Created     time.Time // "consented on"
	Expires     time.Time // zero: as long as its tokens live
	Revoked     time.Time // zero: alive
	Reason      string    // why it was revoked
}

// Hash is the keyed hash by which the store knows a secret.
type Hash [32]byte

// Equal compares in constant time.
func (h Hash) Equal(other Hash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// Class is what an opaque token may be used for. Its value is part of the
// token's text.
type Class string

// The classes of opaque tokens that are stored. (Codes have records of their
// own.)
const (
	// Refresh renews access tokens (RFC 6749 §1.5); this one rotates at each use.
	Refresh Class = "refresh"
	// Personal is an access token that a resource owner issues to itself.
	Personal Class = "personal"
	// SharedRefresh is a refresh token that those who work on a trading account share:
	// it renews access tokens without client authentication and never rotates.
	SharedRefresh Class = "trading"
	// ExchangeAccess is an access token that lives until its connection is ended.
	ExchangeAccess Class = "exchange"
)

// Token is the record of one long-lived opaque token.
type Token struct {
	Environment Environment
	ID          string
	Hash        Hash
	Class       Class
	Grant       string
	KeyID       string // subkey of Hash and of the successor's derivation
	Nonce       []byte // salts the successor's derivation
	Created     time.Time
	Expires     time.Time // zero: permanent
	Revoked     time.Time // zero: not revoked by itself (its grant may be)
	Creator     string    // the user who made it, where that is not the grant's principal

	// Sealed is a copy of class SharedRefresh that its developers may open: encrypted, by
	// the subkeys KeyID, with the token's id as associated data. The store destroys
	// it when the token is revoked or has expired.
	Sealed []byte

	// Limits of class Personal.
	Label    string         // by which its owner tells it from others
	Networks []netip.Prefix // from where it may be used; empty: from anywhere
	Rate     Rate           // how often; zero: as often as one likes
	Used     time.Time      // when last, to the minute or so; zero: never
	UsedFrom string         // the address that it came from then; empty: not known

	// Rotation. Of class Personal, Rotated alone: its successor is a token of its own.
	Successor Hash      // zero: this is the family's head
	Rotated   time.Time // when the successor was made
	Retries   int       // how often it was presented again inside the long window
}

// Rate is how many requests are let through in a span of time.
type Rate struct {
	Requests int
	Per      time.Duration
}

// Head reports whether the token has not been rotated yet.
func (t *Token) Head() bool { return t.Successor == Hash{} }

// Code is an authorization code (RFC 6749 §1.3.1) that is being issued.
type Code struct {
	Hash    Hash
	KeyID   string
	Expires time.Time
	// Challenge is what the verifier must hash to, in base64url (RFC 7636 §4.2,
	// S256); empty: there must be no verifier.
	Challenge string
	// RedirectURI must be named again at the redemption, as it was named when the
	// code was asked for (RFC 6749 §4.1.3); empty: neither there nor here.
	RedirectURI string
}

// Connection is what ties an app to a user beyond their grant: it can be ended by
// whoever has the app's secret, the user's secret and the token.
type Connection struct {
	Environment Environment
	Grant       string // its id is the connection's
	Token       string // id of the token that the access code is exchanged for
	UserSecret  string // hash, as made by token.HashSecret
}

// AccountToken is a token of an account, as lists show it.
type AccountToken struct {
	Token
	Ended  time.Time // when its grant was revoked; zero: not
	Reason string    // why
	Epoch  int64     // of its grant: a party of that with a higher one has been killed since
}

// Session is a person signed in at a browser.
type Session struct {
	Environment   Environment
	Hash          Hash   // of the cookie
	KeyID         string // subkey of Hash
	ID            string // for lists and logs
	Principal     string
	Epoch         int64 // of the principal when it began: a higher one ends it
	Created       time.Time
	Authenticated time.Time // when a password was last given (auth_time)
	Seen          time.Time
	Expires       time.Time
	Address       string
	Agent         string
}

// SessionIdle is how long a session may be unused.
const SessionIdle = time.Hour

// Lives reports whether whoever has the session's cookie is user at this moment.
func (s *Session) Lives(user *Principal, now time.Time) bool {
	return now.Before(s.Expires) && now.Sub(s.Seen) < SessionIdle &&
		user.ID == s.Principal && user.Kind == User && user.Status == Active && s.Epoch >= user.Epoch
}

// Standing is all that a grant stands on, read in one transaction: what a
// token minted from it may carry, and the numbers that say how fresh that is.
// Its slices may be shared with other callers: do not change them.
type Standing struct {
	Grant     Grant
	Principal Principal
	Client    Client
	Accounts  []Standpoint // of the grant's accounts those that are active and still bound
	// AccountEpoch is the highest epoch of all the grant's accounts, of those too
	// that are closed to it by now: who kills an account kills its grants for good.
	AccountEpoch int64
}

// Standpoint is one account of a grant with the binding that opens it.
type Standpoint struct {
	Account Account
	Binding Binding
}

// Epoch is the number that a token minted now carries: the highest epoch of
// all that it stands on.
func (s *Standing) Epoch() int64 {
	return max(s.Principal.Epoch, s.Client.Epoch, s.AccountEpoch)
}

// Dead reports whether the grant can bear nothing more: it was revoked, or
// something that it stands on was disabled or killed after it was made.
func (s *Standing) Dead() bool {
	return !s.Grant.Revoked.IsZero() ||
		s.Principal.Status != Active || s.Client.Status != Active ||
		s.Grant.Epoch < s.Epoch()
}

// Rights is the number that says by which rights a token was cut.
func (s *Standing) Rights() int64 {
	return max(s.Principal.Rights, s.Client.Rights)
}

// SigningKey is a key that signs access tokens. The private half is sealed
// under the root key: the store alone opens nothing.
type SigningKey struct {
	Environment Environment
	ID          string // the JOSE kid
	Algorithm   string // the JOSE alg, fixed for the key's life
	Sealed      []byte // PKCS #8, AEAD-sealed with the key's id as associated data; empty once the key is retired or killed
	SealKeyID   string
	Public      []byte // PKIX, of a key whose private half is in an operator's file and not here; Sealed is empty then
	Epoch       int64
	Created     time.Time // published from now on
	SignFrom    time.Time // signs from now on
	SignUntil   time.Time // zero: until a newer key takes over
	Retired     time.Time // zero: published; afterwards it verifies nothing
}
