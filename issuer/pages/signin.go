package pages

var signInPage = page("signin.html")

// SignInProblem is what was wrong with a sign-in, if anything was.
type SignInProblem string

// What can be wrong with a sign-in.
const (
	NoUser        SignInProblem = "no_user"
	NoPassword    SignInProblem = "no_password"
	WrongPassword SignInProblem = "wrong"     // or there is no such user: nobody is told which
	Throttled     SignInProblem = "throttled" // too many were wrong
	Busy          SignInProblem = "busy"      // too many sign in at this moment
)

// SignInData is what the sign-in page shows.
type SignInData struct {
	Layout
	Next    string // where it leads
	ID      string // the user's, as it was typed
	Confirm bool   // that user is signed in already, and gives the password again
	// Provider is the host of who signs people in; empty: we do, by a password.
	Provider string
	Problem  SignInProblem
	Wait     int // with Throttled: how long, in seconds
}

// SignIn asks for a user id and a password.
func SignIn(d SignInData) []byte {
	d.Layout = d.titled("signin.title")
	if d.Confirm {
		d.Layout = d.titled("signin.confirm_title")
	}
	return write(signInPage, d)
}

// UserProblem reports whether the problem stands beside the user id.
func (d SignInData) UserProblem() bool { return d.Problem == NoUser }

// PasswordProblem reports whether the problem stands beside the password.
func (d SignInData) PasswordProblem() bool { return d.Problem != "" && !d.UserProblem() }

// Says is the text that tells the problem.
func (d SignInData) Says() string {
	if d.Confirm && d.Problem == WrongPassword {
		return "signin.problem.not_yours"
	}
	return "signin.problem." + string(d.Problem)
}
