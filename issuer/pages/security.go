package pages

import "time"

var securityPage = page("security.html")

// PasswordPlace is where the password of a user is changed.
type PasswordPlace string

// The places.
const (
	PasswordHere       PasswordPlace = "here"
	PasswordAtProvider PasswordPlace = "provider"
	PasswordDeclared   PasswordPlace = "declared" // in the configuration
	PasswordNowhere    PasswordPlace = "nowhere"  // there is none
)

// PasswordProblem is what was wrong with the form that changes a password.
type PasswordProblem string

// What can be wrong with it. Those of a new password are flaws that package token
// knows.
const (
	NoOldPassword        PasswordProblem = "old_missing"
	WrongOldPassword     PasswordProblem = "old_wrong"
	TooManyOldPasswords  PasswordProblem = "old_throttled" // were wrong
	TooBusyForPasswords  PasswordProblem = "old_busy"
	NoNewPassword        PasswordProblem = "new_empty"
	NewPasswordNotText   PasswordProblem = "new_not_text"
	NewPasswordShort     PasswordProblem = "new_short"
	NewPasswordLong      PasswordProblem = "new_long"
	NewPasswordIsID      PasswordProblem = "new_is_id"
	NewPasswordUntypable PasswordProblem = "new_untypable"
	NewPasswordIsOld     PasswordProblem = "new_is_old"
	NewPasswordsDiffer   PasswordProblem = "again_differs"
)

// BoundAccount is an account that is open to the person.
type BoundAccount struct {
	ID, Name string
	Partial  bool
	Limits   []string // with partial access: titles of the scopes that it has
}

// OpenSession is a browser at which the person is signed in.
type OpenSession struct {
	ID              string
	Since, Seen     time.Time
	Address         string
	Agent           string // what the browser says of itself
	Browser, System string // what that means; empty: not known
	This            bool   // the one that looks
}

// SecurityData is who a person is, and where signed in.
type SecurityData struct {
	Layout
	Name, ID string
	Full     bool // access
	Accounts []BoundAccount

	Password    PasswordPlace
	Provider    string // host of who signs people in
	MinPassword int    // characters
	Problem     PasswordProblem
	Wait        int  // with TooManyOldPasswords: how long, in seconds
	Changed     bool // the password was, a moment ago

	Sessions []OpenSession // newest first
}

// Security is the page of who a person is, and where signed in.
func Security(d SecurityData) []byte {
	d.Layout = d.titled("layout.section.security")
	return write(securityPage, d)
}

// Others reports whether the person is signed in elsewhere, too.
func (d SecurityData) Others() bool { return len(d.Sessions) > 1 }

// Called is what a session's browser is called.
func (d SecurityData) Called(s OpenSession) string {
	switch {
	case s.Browser != "" && s.System != "":
		return text(d.language(), "security.on_system", "Browser", s.Browser, "System", s.System)
	case s.Browser != "" || s.System != "":
		return s.Browser + s.System
	}
	return text(d.language(), "security.unknown_browser")
}

// ProblemOf is the text of the problem if it stands beside a field, named as the
// problems of it begin.
func (d SecurityData) ProblemOf(field string) string {
	if n := len(field); len(d.Problem) > n && string(d.Problem[:n+1]) == field+"_" {
		return "security.problem." + string(d.Problem)
	}
	return ""
}
