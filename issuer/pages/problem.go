package pages

// FieldProblem is what is wrong with a field, as a text of the catalogue.
type FieldProblem struct {
	id     string
	values []any
}

// NewProblem is the problem with this text; the pairs are names and values that
// stand in it.
func NewProblem(id string, pairs ...any) FieldProblem { return FieldProblem{id, pairs} }

// Says is the text.
func (p FieldProblem) Says() Said { return said(p.id, p.values...) }

// String is what it says in English, for who is no page.
func (p FieldProblem) String() string { return text(english, p.id, p.values...) }
