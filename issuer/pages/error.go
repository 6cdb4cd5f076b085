package pages

import (
	"html/template"
	"net/http"
)

var errorPage = page("error.html")

// ErrorData is what went wrong.
type ErrorData struct {
	Layout
	Status int
	Text   string // of the catalogue; empty: there is none
	Values []any  // that stand in it
	// Description is what programs are told, without its full stop, where there is no
	// text: protocols have it in English (RFC 6749 §5.2).
	Description string
}

// Error says what went wrong.
func Error(d ErrorData) []byte {
	d.Layout = d.titled("error.title")
	return write(errorPage, d)
}

// Says tells what it was.
func (d ErrorData) Says() template.HTML {
	if d.Text != "" {
		return template.HTML(template.HTMLEscapeString(text(d.language(), d.Text, d.Values...))) //nolint:gosec // it is escaped
	}
	return template.HTML(`<span class="sentence" lang="en">` + template.HTMLEscapeString(d.Description) + `.</span>`) //nolint:gosec // it is escaped
}

// Words is the text that says what a status means to who doesn't know them.
func (d ErrorData) Words() string {
	switch d.Status {
	case http.StatusForbidden:
		return "error.forbidden"
	case http.StatusNotFound:
		return "error.not_found"
	case http.StatusTooManyRequests:
		return "error.too_many"
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		return "error.unavailable"
	}
	if d.Status >= 500 {
		return "error.here"
	}
	return "error.refused"
}
