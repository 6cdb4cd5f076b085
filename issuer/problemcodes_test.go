package issuer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestEachCodeOfTheGateHasAPage reads the codes where they are declared: the gate
// does not know the issuer, and neither imports the other.
func TestEachCodeOfTheGateHasAPage(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../gate/refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			code, _ := strconv.Unquote(literal.Value)
			codes[strings.ReplaceAll(code, "_", "-")] = true
		}
		return true
	})
	if len(codes) < 10 {
		t.Fatalf("found %d codes", len(codes))
	}
	for code := range codes {
		if problemTexts[code].Title == "" {
			t.Errorf("%s has no page", code)
		}
	}
	for code := range problemTexts {
		if !codes[code] {
			t.Errorf("%s has a page, and no gate answers with it", code)
		}
	}
}
