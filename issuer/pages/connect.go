package pages

// Choice is a box that may be ticked.
type Choice struct {
	Name   string // of the field
	Title  string
	About  string
	Risk   string // of a scope: read, trade, withdraw or admin
	Ticked bool
}

// ConnectData is what a user is asked when an app wants to be connected.
type ConnectData struct {
	Layout
	App      string
	About    string
	Action   string // where the form goes
	Returns  string // origin that the user is sent back to
	Scopes   []Choice
	Accounts []Choice
	Problem  string
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
	Connected bool
}

var (
	connectPage  = page("connect.html", "choice.html")
	handBackPage = page("handback.html")
)

// Connect asks whether an app may be connected, and with what.
func Connect(d ConnectData) []byte { return write(connectPage, d) }

// HandBack leads back to the app.
func HandBack(d HandBackData) []byte { return write(handBackPage, d) }
