package pages

import "time"

// TokenStatus is what has become of a token. The texts that say it are
// user_token.STATUS and integrations.status.STATUS.
type TokenStatus string

// What there may be.
const (
	TokenLive    TokenStatus = "live"
	TokenRevoked TokenStatus = "revoked"
	TokenExpired TokenStatus = "expired"
	TokenEnded   TokenStatus = "ended" // what it stood on ended
)

// StaticToken is a token as its owner sees it.
type StaticToken struct {
	ID       string
	Label    string
	Scopes   []string
	Accounts []string
	Created  time.Time
	Expires  time.Time // zero: never
	Used     time.Time // zero: never
	Status   TokenStatus
}

// Live reports whether it may be used.
func (t StaticToken) Live() bool { return t.Status == TokenLive }

// StaticTokensData is a user's tokens, and the form for one with the full view.
type StaticTokensData struct {
	Layout
	Full     bool     // the user may issue one
	Scopes   []string // that it would have
	Accounts []string
	Tokens   []StaticToken
	Label    string   // what was typed
	Problem  *Problem // nil: none
}

// NewStaticTokenData is a token that was issued a moment ago.
type NewStaticTokenData struct {
	Layout
	Label    string
	Token    string
	Scopes   []string
	Accounts []string
}

// StaticTokenRevokeData asks whether a token shall be revoked.
type StaticTokenRevokeData struct {
	Layout
	Token StaticToken
	Uses  Uses
}

var (
	staticTokensPage      = page("statictokens.html")
	newStaticTokenPage    = page("statictoken.html")
	staticTokenRevokePage = page("statictoken_revoke.html")
)

// StaticTokens lists them.
func StaticTokens(d StaticTokensData) []byte {
	d.Layout = d.titled("user_token.title")
	return write(staticTokensPage, d)
}

// NewStaticToken shows a token for the only time.
func NewStaticToken(d NewStaticTokenData) []byte {
	d.Layout = d.titled("user_token.made")
	return write(newStaticTokenPage, d)
}

// StaticTokenRevoke asks before the end.
func StaticTokenRevoke(d StaticTokenRevokeData) []byte {
	d.Layout = d.titled("user_token.revoke")
	return write(staticTokenRevokePage, d)
}
