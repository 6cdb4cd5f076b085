package pages

import "time"

var homePage = page("home.html")

// HomeData is what the first page shows.
type HomeData struct {
	Layout
	Sessions []OpenSession // newest first
}

// OpenSession is a browser at which the person is signed in.
type OpenSession struct {
	Since, Seen time.Time
	Address     string
	Agent       string // what the browser says of itself
	This        bool   // the one that looks
}

// Home is the first page.
func Home(d HomeData) []byte {
	d.Title = "Your access"
	return write(homePage, d)
}

// Others reports whether the person is signed in elsewhere, too.
func (d HomeData) Others() bool { return len(d.Sessions) > 1 }
