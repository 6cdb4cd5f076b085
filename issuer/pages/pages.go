// Package pages writes the pages for people: from data to HTML, and nothing else.
// It knows neither requests nor the store. A page works without scripts.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

//go:embed templates
var templates embed.FS

// translated is the template of a page in each language: templates say texts by
// functions, which belong to a language.
type translated struct {
	files []string
	in    map[*i18n.Localizer]*template.Template
}

// registered are all pages.
var registered []*translated

// page parses a template together with the layout that it fills, and with parts
// that several pages have.
func page(name string, parts ...string) *translated {
	p := &translated{files: []string{"templates/layout.html", "templates/" + name}, in: make(map[*i18n.Localizer]*template.Template)}
	for _, part := range parts {
		p.files = append(p.files, "templates/"+part)
	}
	p.translate(english)
	registered = append(registered, p)
	return p
}

// translate adds a language.
func (p *translated) translate(in *i18n.Localizer) {
	p.in[in] = template.Must(template.New("layout.html").Funcs(functions(in)).ParseFS(templates, p.files...))
}

// Execute writes the page in the language of its layout, which data has embedded.
func (p *translated) Execute(w io.Writer, data interface{ language() *i18n.Localizer }) error {
	return p.in[data.language()].Execute(w, data)
}

// write executes a template. Templates are part of the program: an error in one
// is a bug, and tests execute all of them.
func write(p *translated, data interface{ language() *i18n.Localizer }) []byte {
	var out bytes.Buffer
	if err := p.Execute(&out, data); err != nil {
		panic(fmt.Sprintf("page: %v", err))
	}
	return out.Bytes()
}
