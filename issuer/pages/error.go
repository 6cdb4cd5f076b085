package pages

import "net/http"

var errorPage = page("error.html")

// ErrorData is what went wrong.
type ErrorData struct {
	Layout
	Status int
	Says   string
}

// Error says what went wrong.
func Error(d ErrorData) []byte {
	d.Layout = d.titled("error.title")
	return write(errorPage, d)
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
