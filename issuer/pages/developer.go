package pages

var developerPage = page("developer.html")

// DeveloperData is the first page of "</> API".
type DeveloperData struct{ Layout }

// Developer tells which token is for what.
func Developer(d DeveloperData) []byte {
	d.Layout = d.titled("developer.title")
	return write(developerPage, d)
}
