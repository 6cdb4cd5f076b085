// Package pages writes the pages for people: from data to HTML, and nothing else.
// It knows neither requests nor the store. A page works without scripts.
package pages

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates
var templates embed.FS

//go:embed style.css
var style []byte

// Layout is what all pages have in common.
type Layout struct {
	Title       string
	Environment string // "sandbox" stands on each page, so that nobody takes it for the real thing
	Base        string // path of the issuer's URL
	User        string // name of who is signed in; empty: nobody
	CSRF        string // of the session, for the form that signs out
	Wide        bool   // the page holds tables
}

// Style is the address of the style sheet.
func (l Layout) Style() string { return l.Base + "/assets/" + styleName }

// Home is the address of the first page.
func (l Layout) Home() string { return cmp.Or(l.Base, "/") }

// styleName changes with the file, so that browsers may keep it for ever.
var styleName = func() string {
	sum := sha256.Sum256(style)
	return "style-" + hex.EncodeToString(sum[:6]) + ".css"
}()

// File is what a page needs beside itself.
type File struct {
	ContentType string
	Body        []byte
}

// Asset returns a file by its name.
func Asset(name string) (File, bool) {
	if name == styleName {
		return File{"text/css; charset=utf-8", style}, true
	}
	return File{}, false
}

// page parses a template together with the layout that it fills, and with parts
// that several pages have.
func page(name string, parts ...string) *template.Template {
	files := []string{"templates/layout.html", "templates/" + name}
	for _, part := range parts {
		files = append(files, "templates/"+part)
	}
	return template.Must(template.New("layout.html").Funcs(template.FuncMap{"words": words}).
		ParseFS(templates, files...))
}

// write executes a template. Templates are part of the program: an error in one
// is a bug, and tests execute all of them.
func write(t *template.Template, data any) []byte {
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		panic(fmt.Sprintf("page: %v", err))
	}
	return out.Bytes()
}

var errorPage = page("error.html")

// words says what a status means to who doesn't know them.
func words(status int) string {
	switch status {
	case http.StatusForbidden:
		return "This is not allowed"
	case http.StatusNotFound:
		return "There is no such page"
	case http.StatusTooManyRequests:
		return "Too much at once"
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		return "Not available now"
	}
	if status >= 500 {
		return "Something went wrong here"
	}
	return "This cannot be done"
}

// ErrorData is what went wrong.
type ErrorData struct {
	Layout
	Status int
	Says   string
}

// Error says what went wrong.
func Error(d ErrorData) []byte { return write(errorPage, d) }
