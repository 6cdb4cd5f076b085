package pages

import _ "embed"

// Choice is a box that may be ticked.
type Choice struct {
	Name     string // of the field
	Title    string
	About    string
	Risk     Risk   // of a scope
	Includes string // of a scope: titles of what it includes
	Ticked   bool
}

// ConnectProblem is what is wrong with a form of the connect page; the zero value:
// nothing.
type ConnectProblem struct {
	Is             Wrong
	Account, Scope string // with OnlyPart
}

// Wrong is a kind of problem.
type Wrong string

// The kinds.
const (
	NoScope  Wrong = "no_scope" // none is ticked
	OnlyPart Wrong = "partial"  // an account is ticked that lacks a scope which is ticked too
)

// ConnectData is what a user is asked when an app wants to be connected.
type ConnectData struct {
	Layout
	App      string
	About    string
	Action   string // where the form goes
	Returns  string // origin that the user is sent back to
	Message  bool   // a message brings the answer there
	Scopes   []Choice
	Accounts []Choice
	Problem  ConnectProblem
}

// Field is a value of a form that people don't see.
type Field struct{ Name, Value string }

// HandBackData is what the browser carries to the app.
type HandBackData struct {
	Layout
	App       string
	To        string // the app's registered address
	Returns   string // its origin
	Fields    []Field
	Connected bool   // the user said yes
	Message   string // origin of the window that gets Fields as a message; empty: it gets none
}

//go:embed handback.js
var handBackSource []byte

var handBackScript = newFile("handback.js", "text/javascript; charset=utf-8", handBackSource)

// HandBackScript is the address of the script of this page alone.
func (d HandBackData) HandBackScript() string { return d.Base + "/assets/" + handBackScript.name }

var (
	connectPage  = page("connect.html", "choice.html", "risk.html")
	handBackPage = page("handback.html")
)

// Connect asks whether an app may be connected, and with what.
func Connect(d ConnectData) []byte {
	d.Layout = d.titled("connect.title", "App", d.App)
	return write(connectPage, d)
}

// HandBack leads back to the app.
func HandBack(d HandBackData) []byte {
	d.Layout = d.titled("connect.declined")
	if d.Connected {
		d.Layout = d.titled("connect.connected")
	}
	return write(handBackPage, d)
}
