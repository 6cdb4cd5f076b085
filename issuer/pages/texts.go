package pages

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

// All words of the pages stand in texts, a file for each area of the portal and
// language. A further language is a further file for each.
//
//go:embed texts
var texts embed.FS

// english is the language that there is. The catalogue is read when it is first
// asked for, as templates are.
var english = sync.OnceValue(func() *i18n.Localizer {
	return i18n.NewLocalizer(catalogue(), language.English.String())
})

// catalogue reads all texts. They are part of the program: one that is wrong is a
// bug.
func catalogue() *i18n.Bundle {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	files, err := fs.Glob(texts, "texts/*.yaml")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		if _, err := bundle.LoadMessageFileFS(texts, file); err != nil {
			panic(fmt.Sprintf("texts: %s: %v", file, err))
		}
	}
	return bundle
}

// text says a text of the catalogue. The pairs are names and values that stand in
// it; of a text that has a plural, Count decides which form is said.
func text(in *i18n.Localizer, id string, pairs ...any) string {
	return say(in, id, values(pairs, func(v any) any { return v }))
}

// rich is text for one that holds HTML of ours. Values are escaped, and isolated
// from the direction of what stands around them: strangers may have written them.
func rich(in *i18n.Localizer, id string, pairs ...any) template.HTML {
	return template.HTML(say(in, id, values(pairs, func(v any) any { //nolint:gosec // the text is ours, its values are escaped
		if s, ok := v.(string); ok {
			return "<bdi>" + template.HTMLEscapeString(s) + "</bdi>"
		}
		return v
	})))
}

func values(pairs []any, as func(any) any) map[string]any {
	named := make(map[string]any, len(pairs)/2)
	for k := 0; k+1 < len(pairs); k += 2 {
		if name, ok := pairs[k].(string); ok {
			named[name] = as(pairs[k+1])
		}
	}
	return named
}

func say(in *i18n.Localizer, id string, named map[string]any) string {
	said, err := in.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: named, PluralCount: named["Count"]})
	if err != nil {
		panic(fmt.Sprintf("text %s: %v", id, err))
	}
	return said
}

// Said is a text that is decided on and in no language yet; nil: none.
type Said func(in *i18n.Localizer) string

// SaidRich is Said with HTML of ours.
type SaidRich func(in *i18n.Localizer) template.HTML

// said is a text of the catalogue with its values.
func said(id string, pairs ...any) Said {
	return func(in *i18n.Localizer) string { return text(in, id, pairs...) }
}

// functions are what templates say texts with.
func functions(in *i18n.Localizer) template.FuncMap {
	return template.FuncMap{
		"t":    func(id string, pairs ...any) string { return text(in, id, pairs...) },
		"rich": func(id string, pairs ...any) template.HTML { return rich(in, id, pairs...) },

		"say":     func(what Said) string { return what(in) },
		"sayrich": func(what SaidRich) template.HTML { return what(in) },
	}
}
