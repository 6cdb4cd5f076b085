package pages

import "time"

// StaticToken is a token as its owner sees it.
type StaticToken struct {
	ID       string
	Label    string
	Scopes   []string
	Accounts []string
	Created  time.Time
	Expires  time.Time // zero: never
	Used     time.Time // zero: never
	Status   string    // live, revoked or expired
}

// StaticTokensData is a user's tokens, and the form for one with the full view.
type StaticTokensData struct {
	Layout
	Full     bool     // the user may issue one
	Scopes   []string // that it would have
	Accounts []string
	Tokens   []StaticToken
	Label    string // what was typed
	Problem  string
}

// NewStaticTokenData is a token that was issued a moment ago.
type NewStaticTokenData struct {
	Layout
	Label    string
	Token    string
	Scopes   []string
	Accounts []string
}

var (
	staticTokensPage   = page("statictokens.html")
	newStaticTokenPage = page("statictoken.html")
)

// StaticTokens lists them.
func StaticTokens(d StaticTokensData) []byte {
	d.Layout = d.titled("layout.section.user_tokens")
	return write(staticTokensPage, d)
}

// NewStaticToken shows a token for the only time.
func NewStaticToken(d NewStaticTokenData) []byte { return write(newStaticTokenPage, d) }
