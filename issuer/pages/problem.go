package pages

// Problem is what is wrong with a field, as a text of the catalogue.
type Problem struct {
	id     string
	values []any
}

// Problems are those of a form, by field. "form" is for those of none.
type Problems map[string]Problem

// NewProblem is the problem with this text; the pairs are names and values that
// stand in it.
func NewProblem(id string, pairs ...any) Problem { return Problem{id, pairs} }

// Is reports whether there is one.
func (p Problem) Is() bool { return p.id != "" }

// Says is the text.
func (p Problem) Says() Said { return said(p.id, p.values...) }

// String is what it says in English, for who is no page.
func (p Problem) String() string { return text(english(), p.id, p.values...) }
