package issuer

import (
	"net/http"
	"slices"
	"strings"
)

// forPerson lets in who is signed in and sends everybody else to the sign-in
// page.
func (i *Issuer) forPerson(serve func(*exchange, *person) (response, error)) func(*exchange) (response, error) {
	return func(x *exchange) (response, error) {
		p, elsewhere, err := i.mustSignIn(x)
		switch {
		case err != nil:
			return response{}, err
		case elsewhere != nil:
			return *elsewhere, nil
		}
		return serve(x, p)
	}
}

// personPage serves a page to who is signed in: show what is only looked at, and
// act on a form of this session.
func (i *Issuer) personPage(show func(*exchange, *person) (response, error), act func(*exchange, *person, form) (response, error)) func(*exchange) (response, error) {
	return i.forPerson(func(x *exchange, p *person) (response, error) {
		if x.Method != http.MethodPost {
			return show(x, p)
		}
		f, err := readForm(x.Request)
		if err != nil {
			return response{}, err
		}
		if err := p.checkForm(f); err != nil {
			return response{}, err
		}
		return act(x, p, f)
	})
}

// posted acts on a form that one of our pages holds. A GET, as of who had to sign
// in between, goes back to that page.
func (i *Issuer) posted(page string, act func(*exchange, *person, form) (response, error)) func(*exchange) (response, error) {
	return i.personPage(func(*exchange, *person) (response, error) { return seeOther(i.base + page), nil }, act)
}

// ticked are the boxes of a form whose names begin so, without that beginning and
// in the order of the alphabet.
func (f form) ticked(prefix string) []string {
	var names []string
	for name := range f {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}
