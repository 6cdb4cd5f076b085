// Package pages writes the pages for people: from data to HTML, and nothing else.
// It knows neither requests nor the store. A page works without scripts.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

//go:embed templates
var templates embed.FS

// translated is the template of a page in each language: templates say texts by
// functions, which belong to a language.
type translated struct {
	files []string
	in    sync.Map // of *template.Template, by *i18n.Localizer
}

// page is a template together with the layout that it fills, and with parts that
// several pages have.
func page(name string, parts ...string) *translated {
	p := &translated{files: []string{"templates/layout.html", "templates/" + name}}
	for _, part := range parts {
		p.files = append(p.files, "templates/"+part)
	}
	return p
}

// Execute writes the page in the language of its layout, which data has embedded.
func (p *translated) Execute(w io.Writer, data interface{ language() *i18n.Localizer }) error {
	return p.parsed(data.language()).Execute(w, data)
}

// parsed is the template in a language. It is parsed when it is first asked for:
// most commands write no page, and should not wait for all of them.
func (p *translated) parsed(in *i18n.Localizer) *template.Template {
	known, ok := p.in.Load(in)
	if !ok {
		known, _ = p.in.LoadOrStore(in, template.Must(template.New("layout.html").Funcs(functions(in)).ParseFS(templates, p.files...)))
	}
	t, _ := known.(*template.Template)
	return t
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
