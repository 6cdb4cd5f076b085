package pages

import "time"

var homePage = page("home.html")

// HomeData is what the first page shows.
type HomeData struct {
	Layout
	Counts map[Section]int // of what there is in a section; none for one that isn't counted
	Ending []EndingToken   // soon, the first to end first
	More   int             // end soon, too
}

// EndingToken is a token that ends soon.
type EndingToken struct {
	Section Section // where there are others
	Name    string  // its label, or its account
	Expires time.Time
}

// Home is the first page.
func Home(d HomeData) []byte {
	d.Layout = d.titled("home.title")
	d.Wide = true
	return write(homePage, d)
}

// Area is a group of cards, each of which leads to a section.
type Area struct {
	Name  string // text
	Cards []Tab
}

// Areas are all that there is to go to.
func (d HomeData) Areas() []Area {
	return []Area{{"layout.api", d.existing(apiTabs)}, {"layout.settings", d.existing(settingsTabs)}}
}

// Counted reports whether the things of a section are counted.
func (d HomeData) Counted(s Section) bool {
	_, counted := d.Counts[s]
	return counted
}

// Path is where a section is.
func (d HomeData) Path(s Section) string {
	for _, tabs := range [][]Tab{apiTabs, settingsTabs} {
		for _, tab := range tabs {
			if tab.Section == s {
				return d.Base + tab.Path
			}
		}
	}
	return d.Home()
}
