package docs_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	reasonRow  = regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\|")
	reasonWord = regexp.MustCompile("`([a-z_]+)`")
	wordsOfCut = regexp.MustCompile(`(?s)func eventOf\(.*?\n}\n`)
	returned   = regexp.MustCompile(`return "([a-z_]+)"`)
)

// Who sees a reason in a graph at night finds it in the table, and the table has
// none that is never given.
func TestReasonsAreExplained(t *testing.T) {
	var written []string
	for _, row := range reasonRow.FindAllStringSubmatch(section(t, read(t, "monitoring.md"), "## Reasons"), -1) {
		for _, word := range reasonWord.FindAllStringSubmatch(row[1], -1) {
			written = append(written, word[1])
		}
	}
	given := map[string]bool{"allowed": true, "public": true, "cut_forbidden": true, "rights_changed": true}
	gate := parsed(t, "../gate")
	codes := namesOf(gate, "Code")
	for _, file := range gate {
		ast.Inspect(file, func(node ast.Node) bool {
			for _, word := range reasonsIn(node, codes) {
				given[word] = true
			}
			return true
		})
	}
	for word := range constants(parsed(t, "../token"), "Reason") {
		given[word] = true
	}
	for _, word := range returned.FindAllStringSubmatch(wordsOfCut.FindString(read(t, "../gate/stream.go")), -1) {
		given["cut_"+word[1]] = true
	}
	delete(given, "cut_body_size") // the stream's end has that name; a request that is cut for it is refused as body_size
	var words []string
	for word := range given {
		words = append(words, word)
	}
	if len(words) < 40 {
		t.Errorf("%d reasons were found: they are written in another way", len(words))
	}
	compare(t, "monitoring.md", written, "the gate", words)
}

// reasonArgument is the place of the reason in calls that make a refusal.
var reasonArgument = map[string]int{"malformed": 0, "ambiguous": 0, "anonymous": 0, "unavailable": 0, "tooLarge": 2}

// reasonsIn returns the reasons that a piece of the gate's code gives.
func reasonsIn(node ast.Node, codes map[string]string) []string {
	var value ast.Expr
	switch node := node.(type) {
	case *ast.CallExpr:
		name, ok := node.Fun.(*ast.Ident)
		if !ok {
			return nil
		}
		at, makes := reasonArgument[name.Name]
		if !makes || at >= len(node.Args) {
			return nil
		}
		value = node.Args[at]
	case *ast.KeyValueExpr:
		if key, ok := node.Key.(*ast.Ident); !ok || key.Name != "reason" {
			return nil
		}
		value = node.Value
	}
	switch value := value.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(value.Value)
		return []string{text}
	case *ast.Ident:
		if text, known := codes[value.Name]; known {
			return []string{text}
		}
	}
	return nil
}

// namesOf returns the strings of constants by the constants' names.
func namesOf(files map[string]*ast.File, prefix string) map[string]string {
	found := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if strings.HasPrefix(name.Name, prefix) && i < len(spec.Values) {
					if value, ok := spec.Values[i].(*ast.BasicLit); ok && value.Kind == token.STRING {
						found[name.Name], _ = strconv.Unquote(value.Value)
					}
				}
			}
			return true
		})
	}
	return found
}
