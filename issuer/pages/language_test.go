package pages

import (
	"io/fs"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/net/html"
	"golang.org/x/text/language"
)

// all are the functions of this package that write a page. Who adds one adds it here,
// and it is tested in the states that its data can have.
var all = []any{
	Error, SignIn, Home, Consent, Connect, HandBack,
	Security, Integrations, IntegrationForm, IntegrationRotate, IntegrationRevoke, IntegrationTry, ConnectedApps, Disconnect, Activity, Notifications,
	Developer, Applications, NewApplication, NotFullAccess, ApplicationOf, ApplicationSecret, ApplicationEnd,
	StaticTokens, NewStaticToken, StaticTokenRevoke, Trading, TradingAccounts, TradingToken, TradingRevoke,
}

// nameOf is the name of a function.
func nameOf(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// pseudo is a language that is read as English and has none of its letters: whatever
// has, on a page, is not of the catalogue.
func pseudo(t *testing.T) *i18n.Localizer {
	t.Helper()
	tag := language.MustParse("en-XA")
	bundle := i18n.NewBundle(tag)
	add := func(id, one, other string) {
		if err := bundle.AddMessages(tag, &i18n.Message{ID: id, One: widened(one), Other: widened(other)}); err != nil {
			t.Fatal(err)
		}
	}
	for id, m := range messages() {
		add(id, m.one, m.other)
	}
	// What the filler puts where data names a text.
	named := append(sayings(t), saying{prefix: true})
	for _, begin := range literals(t, ".") {
		if strings.HasSuffix(begin, ".") && len(below(messages(), begin)) > 0 {
			named = append(named, saying{id: begin, prefix: true})
		}
	}
	for _, s := range named {
		for _, data := range append(fillings, "") {
			if id := s.id + data + s.end; s.prefix && id != "" {
				add(id, "", "Ω")
				add(id+"_named", "", "Ω") // of who did something
			}
		}
	}
	return i18n.NewLocalizer(bundle, tag.String())
}

var notWords = regexp.MustCompile(`\{\{.*?\}\}|</?[a-z][^>]*>|&[a-z]+;`)

// widened has the full-width form of each letter (Unicode block FF00), but in what
// is not for people.
func widened(says string) string {
	wide := func(words string) string {
		return strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
				return c + 0xfee0
			}
			return c
		}, words)
	}
	var out strings.Builder
	rest := 0
	for _, at := range notWords.FindAllStringIndex(says, -1) {
		out.WriteString(wide(says[rest:at[0]]) + says[at[0]:at[1]])
		rest = at[1]
	}
	return out.String() + wide(says[rest:])
}

// In a language that has none of its letters, no page says a word of English, and
// none lacks a value.
func TestPagesAreReadyForAnotherLanguage(t *testing.T) {
	in := pseudo(t)
	for _, page := range all {
		name := nameOf(page)
		t.Run(name, func(t *testing.T) {
			for state := range states {
				written := render(page, in, state)
				if strings.Contains(written, "no value") {
					t.Errorf("state %d: a value is missing: %s", state, written)
				}
				for _, words := range wordsOf(t, written) {
					t.Errorf("state %d: %q is not of the catalogue", state, words)
				}
			}
		})
	}
}

// Whatever a template shows to people comes from the catalogue or from data, in
// branches too that no test's data leads to.
func TestTemplatesHaveNoWords(t *testing.T) {
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	actions := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	for _, file := range files {
		source, err := templates.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wordsOf(t, actions.ReplaceAllString(string(source), "")) {
			t.Errorf("%s: %q is not of the catalogue", file, w)
		}
	}
}

var (
	shownAttributes = []string{"title", "alt", "placeholder", "aria-label", "aria-description", "data-label", "data-copied", "label", "content"}
	letters         = regexp.MustCompile(`[A-Za-z]`)
	// verbatim is what programs read, in all languages as it is: addresses, and names
	// like CLIENT_ID.
	verbatim = regexp.MustCompile(`https?://[!-~]*|\b[A-Z]+(?:_[A-Z]+)+\b`)
	// names are those that a page may show without a text: ours, of environments, and of
	// the time.
	names = strings.NewReplacer("caddy-bearer", "", "sandbox", "", "production", "", "UTC", "")
)

// wordsOf lists what a page shows to people that has a letter of English.
func wordsOf(t *testing.T, page string) (words []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	add := func(says string) {
		if letters.MatchString(names.Replace(verbatim.ReplaceAllString(says, ""))) {
			words = append(words, strings.TrimSpace(says))
		}
	}
	for n := range root.Descendants() {
		if n.Type == html.TextNode && !forMachines(n) {
			add(n.Data)
		}
		for _, a := range n.Attr {
			submits := a.Key == "value" && n.Data == "input" && slices.Contains(n.Attr, html.Attribute{Key: "type", Val: "submit"})
			if slices.Contains(shownAttributes, a.Key) && n.Data != "meta" || submits {
				add(a.Val)
			}
		}
	}
	return words
}

// forMachines reports whether a text is code, which is the same in all languages.
func forMachines(n *html.Node) bool {
	for above := range n.Ancestors() {
		if slices.Contains([]string{"script", "style", "pre", "code", "kbd", "samp"}, above.Data) {
			return true
		}
	}
	return false
}

// Nobody who adds a page can forget to have it looked at.
func TestEveryPageIsRead(t *testing.T) {
	var listed []string
	for _, page := range all {
		listed = append(listed, nameOf(page))
	}
	for _, name := range writers() {
		if !slices.Contains(listed, name) {
			t.Errorf("%s writes a page: add it to the list all of language_test.go", name)
		}
	}
}

// render writes a page in a language, in one of the states of its data.
func render(page any, in *i18n.Localizer, state int) string {
	f := reflect.ValueOf(page)
	data := reflect.New(f.Type().In(f.Type().NumIn() - 1)).Elem()
	fill(data, state)
	layout, _ := data.FieldByName("Layout").Addr().Interface().(*Layout)
	layout.in, layout.Environment = in, []string{"sandbox", "production"}[state%2]
	if f.Type().NumIn() == 1 {
		return string(f.Call([]reflect.Value{data})[0].Bytes())
	}
	var out strings.Builder
	if err := f.Call([]reflect.Value{reflect.ValueOf(&out), data})[0]; !err.IsNil() {
		panic(err.Interface())
	}
	return out.String()
}
