package pages

import "time"

// ConnectedApp is a program that somebody lets act for them.
type ConnectedApp struct {
	Grant       string
	App         string
	Description string
	Owner       string         // who registered it; empty: an operator
	Scopes      []ConsentScope // what it may do now, the most dangerous first
	Accounts    []ConnectedAccount

	Since   time.Time
	Until   time.Time // zero: until somebody ends it
	Renewed time.Time // when it last came for another token; zero: not known
	Waiting bool      // it has not fetched what it was given yet

	Requests, Streams int // under way now
}

// ConnectedAccount is an account that it may use.
type ConnectedAccount struct{ ID, Name string }

// Busy reports whether something of it is under way.
func (a ConnectedApp) Busy() bool { return a.Requests+a.Streams > 0 }

// ConnectedAppsData is what acts for somebody.
type ConnectedAppsData struct {
	Layout

	Apps []ConnectedApp // newest first
	More bool           // there are others
}

// DisconnectData is what would be ended.
type DisconnectData struct {
	Layout
	ConnectedApp
}

var (
	connectedPage  = page("connected.html", "connected_app.html", "risk.html")
	disconnectPage = page("disconnect.html", "connected_app.html", "risk.html")
)

// ConnectedApps lists what acts for somebody.
func ConnectedApps(d ConnectedAppsData) []byte {
	d.Layout = d.titled("layout.section.apps")
	return write(connectedPage, d)
}

// Disconnect asks whether an app shall be disconnected.
func Disconnect(d DisconnectData) []byte {
	d.Layout = d.titled("connected.disconnect_title", "App", d.App)
	return write(disconnectPage, d)
}
