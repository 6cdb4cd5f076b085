//go:build clients

package clients

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// The person who is asked for access.
const (
	alice         = "alice"
	alicePassword = "correct horse battery staple"
)

// browser is one without scripts: it keeps cookies, follows redirects within the
// issuer, reads the forms of pages and sends them.
type browser struct {
	*server
	client http.Client
	page   *html.Node
	at     *url.URL // of the page
	away   string   // where the issuer sent it at last, out of its own pages
}

// authorize is what a person does at the address that an app opens: sign in, and
// allow what is asked for. It returns the address to which the app gets its
// answer.
func (s *server) authorize(address string) (back string) {
	s.t.Helper()
	b := s.signedInAt(address)
	b.send(url.Values{"decision": {"allow"}})
	if b.away == "" {
		s.t.Fatalf("%s leads back to no app: %s", address, text(b.page))
	}
	return b.away
}

// signedInAt opens an address and signs in on the way.
func (s *server) signedInAt(address string) *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	b := &browser{server: s, client: *s.client}
	b.client.Jar = jar
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), s.issuerURL()+"/") {
			return nil
		}
		return http.ErrUseLastResponse
	}
	request, err := http.NewRequest("GET", address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	b.open(request)
	b.send(url.Values{"user": {alice}, "password": {alicePassword}})
	return b
}

func (b *browser) open(request *http.Request) {
	b.t.Helper()
	answer, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	if b.page, err = html.Parse(answer.Body); err != nil {
		b.t.Fatal(err)
	}
	b.at, b.away = answer.Request.URL, answer.Header.Get("Location")
	if answer.StatusCode >= 400 {
		b.t.Fatalf("%s %s: %d %s", request.Method, request.URL, answer.StatusCode, text(b.page))
	}
}

// send fills in the form of the page, and ticks every box. What is typed or
// pressed must be there.
func (b *browser) send(typed url.Values) {
	b.t.Helper()
	form := find(find(b.page, "main"), "form")
	if form == nil {
		b.t.Fatalf("%s has no form: %s", b.at, text(b.page))
	}
	fields := make(url.Values)
	for field := range form.Descendants() {
		name, value := attribute(field, "name"), attribute(field, "value")
		kind := attribute(field, "type")
		_, checked := lookup(field, "checked")
		switch {
		case field.Data == "input" && (kind == "hidden" || kind == "checkbox" || checked):
			fields.Set(name, value)
		case (field.Data == "input" && kind != "radio" || field.Data == "textarea") && typed.Has(name), field.Data == "button" && typed.Get(name) == value:
			fields.Set(name, typed.Get(name))
		}
	}
	for name := range typed {
		if !fields.Has(name) {
			b.t.Fatalf("%s has no field %s: %s", b.at, name, text(b.page))
		}
	}
	action, err := b.at.Parse(attribute(form, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequest("POST", action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.issuerURL())
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	b.open(request)
}

// find is the first element of this name.
func find(in *html.Node, name string) *html.Node {
	if in == nil {
		return nil
	}
	for node := range in.Descendants() {
		if node.Type == html.ElementNode && node.Data == name {
			return node
		}
	}
	return nil
}

func attribute(node *html.Node, name string) string {
	value, _ := lookup(node, name)
	return value
}

func lookup(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// text is what a page says.
func text(page *html.Node) string {
	var words []string
	for node := range page.Descendants() {
		if node.Type == html.TextNode {
			words = append(words, strings.Fields(node.Data)...)
		}
	}
	return strings.Join(words, " ")
}
