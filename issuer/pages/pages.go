// Package pages writes the pages for people: from data to HTML, and nothing else.
// It knows neither requests nor the store. A page works without scripts.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
)

//go:embed templates
var templates embed.FS

// page parses a template together with the layout that it fills, and with parts
// that several pages have.
func page(name string, parts ...string) *template.Template {
	files := []string{"templates/layout.html", "templates/" + name}
	for _, part := range parts {
		files = append(files, "templates/"+part)
	}
	return template.Must(template.New("layout.html").Funcs(functions(english)).ParseFS(templates, files...))
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
