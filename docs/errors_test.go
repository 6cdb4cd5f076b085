package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// section returns the part of a document below a heading, up to the next one of
// the same level.
func section(t *testing.T, document, title string) string {
	t.Helper()
	level, _, _ := strings.Cut(title, " ")
	_, text, found := strings.Cut(document, "\n"+title+"\n")
	if !found {
		t.Fatalf("there is no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	return text
}

// parsed returns the Go files of a folder by their paths, without tests.
func parsed(t *testing.T, folder string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, error %v", folder, len(names), err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files
}

// constants returns the strings of the constants whose names begin so, with the
// comments behind them.
func constants(files map[string]*ast.File, prefix string) map[string]string {
	found := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
					continue
				}
				if value, ok := spec.Values[i].(*ast.BasicLit); ok && value.Kind == token.STRING {
					text, _ := strconv.Unquote(value.Value)
					found[text] = strings.TrimSpace(spec.Comment.Text())
				}
			}
			return true
		})
	}
	return found
}

var errorRow = regexp.MustCompile("(?m)^\\| ([0-9]{3}) `([a-z_]+)` \\|")

// members returns the strings that are given to the members of that name.
func members(files map[string]*ast.File, name string) (found []string) {
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			pair, ok := node.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, named := pair.Key.(*ast.Ident)
			if value, ok := pair.Value.(*ast.BasicLit); ok && named && key.Name == name && value.Kind == token.STRING {
				text, _ := strconv.Unquote(value.Value)
				found = append(found, text)
			}
			return true
		})
	}
	return found
}

// A bot's author finds each answer of the gate in the table, and none that is
// never given.
func TestErrorsOfTheGateAreDocumented(t *testing.T) {
	var written, given []string
	for _, row := range errorRow.FindAllStringSubmatch(section(t, read(t, "bots.md"), "## Errors of the gate"), -1) {
		written = append(written, row[1]+" "+row[2])
	}
	for code, status := range constants(parsed(t, "../gate"), "Code") {
		given = append(given, status+" "+code)
	}
	compare(t, "bots.md", written, "the gate", given)
}

// Errors that people alone meet, on pages.
var errorsOfPages = []string{"invalid_user"}

func TestErrorsOfTheIssuerAreDocumented(t *testing.T) {
	page := read(t, "bots.md")
	codes := constants(parsed(t, "../issuer"), "code")
	for _, code := range members(parsed(t, "../issuer"), "code") {
		codes[code] = ""
	}
	for code := range codes {
		if !strings.Contains(page, "`"+code+"`") && !slices.Contains(errorsOfPages, code) {
			t.Errorf("bots.md does not say what %s means", code)
		}
	}
	rows := errorRow.FindAllStringSubmatch(section(t, page, "## Errors of the issuer"), -1)
	if len(rows) < 10 {
		t.Fatalf("%d errors: the table is written in another way", len(rows))
	}
	for _, row := range rows {
		if _, known := codes[row[2]]; !known {
			t.Errorf("bots.md explains %s, which the issuer never says", row[2])
		}
	}
}

var exchangeType = regexp.MustCompile(`return "([A-Z_]+)"`)

// The access code exchange has words of its own.
func TestErrorsOfTheExchangeAreDocumented(t *testing.T) {
	page := section(t, read(t, "bots.md"), "## 9. Access code exchange")
	types := exchangeType.FindAllStringSubmatch(read(t, "../issuer/exchange_json.go"), -1)
	if len(types) < 5 {
		t.Fatalf("%d types: they are written in another way", len(types))
	}
	for _, found := range types {
		if !strings.Contains(page, "`"+found[1]+"`") {
			t.Errorf("bots.md does not say what %s means", found[1])
		}
	}
}

// What invalid_grant can say stands in a table; what the access code exchange says
// in its place stands there.
func TestDescriptionsOfInvalidGrantAreDocumented(t *testing.T) {
	page := read(t, "bots.md")
	_, table, _ := strings.Cut(section(t, page, "## Errors of the issuer"), "\nWhat `invalid_grant` says")
	table, _, _ = strings.Cut(table, "\n#")
	var written, given []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) == 2 && cells[0] != "| description" {
			written = append(written, strings.TrimPrefix(cells[0], "| "))
		}
	}
	exchange := section(t, page, "## 9. Access code exchange")
	for name, file := range parsed(t, "../issuer") {
		for _, said := range arguments(file, "invalidGrant") {
			switch {
			case filepath.Base(name) != "exchange.go":
				given = append(given, said)
			case !strings.Contains(exchange, "`"+said+"`"):
				t.Errorf("bots.md does not say what %q means", said)
			}
		}
	}
	compare(t, "bots.md", written, "the issuer", given)
}

// arguments returns the strings that are the first argument in calls of a function.
func arguments(file *ast.File, function string) (found []string) {
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name, named := call.Fun.(*ast.Ident)
		if text, ok := call.Args[0].(*ast.BasicLit); ok && named && name.Name == function {
			said, _ := strconv.Unquote(text.Value)
			found = append(found, said)
		}
		return true
	})
	return found
}

// compare wants two lists to be the same, in any order.
func compare(t *testing.T, page string, written []string, who string, given []string) {
	t.Helper()
	if len(written) == 0 || len(given) == 0 {
		t.Fatalf("%d errors in %s, %d in the code of %s", len(written), page, len(given), who)
	}
	for _, one := range given {
		if !slices.Contains(written, one) {
			t.Errorf("%s says %q, and %s does not explain it", who, one, page)
		}
	}
	for _, one := range written {
		if !slices.Contains(given, one) {
			t.Errorf("%s explains %q, which %s never says", page, one, who)
		}
	}
}
