package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"

	"go.yaml.in/yaml/v3"
)

// message is a text of the catalogue; one is empty if it has no plural.
type message struct{ one, other string }

// messages are all texts by their ids, as the files have them.
func messages() map[string]message {
	found := map[string]message{}
	files, err := fs.Glob(texts, "texts/*.en.yaml")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		raw, err := texts.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var tree map[string]any
		if err := yaml.Unmarshal(raw, &tree); err != nil {
			panic(err)
		}
		addMessages(found, "", tree)
	}
	return found
}

func addMessages(found map[string]message, prefix string, tree map[string]any) {
	for key, below := range tree {
		switch below := below.(type) {
		case string:
			found[prefix+key] = message{other: below}
		case map[string]any:
			if other, plural := below["other"].(string); plural {
				one, _ := below["one"].(string)
				found[prefix+key] = message{one, other}
				continue
			}
			addMessages(found, prefix+key+".", below)
		}
	}
}

// saying is a place in a template where a text is said.
type saying struct {
	file   string
	id     string   // or how it begins
	prefix bool     // data says how it goes on
	end    string   // and this is how it ends then
	names  []string // of the values
}

// sayings are all such places but for those where data names the whole text.
func sayings(t *testing.T) (found []saying) {
	t.Helper()
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := templates.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tree := parse.New(file)
		tree.Mode = parse.SkipFuncCheck
		trees := map[string]*parse.Tree{}
		if _, err := tree.Parse(string(source), "", "", trees); err != nil {
			t.Fatal(err)
		}
		for _, one := range trees {
			commands(one.Root, func(c *parse.CommandNode) {
				if s, ok := sayingOf(c); ok {
					s.file = file
					found = append(found, s)
				}
			})
		}
	}
	return found
}

func sayingOf(c *parse.CommandNode) (s saying, ok bool) {
	if says, is := c.Args[0].(*parse.IdentifierNode); !is || says.Ident != "t" && says.Ident != "rich" || len(c.Args) < 2 {
		return s, false
	}
	switch id := c.Args[1].(type) {
	case *parse.StringNode:
		s.id = id.Text
	case *parse.PipeNode:
		if args := id.Cmds[0].Args; args[0].String() == "print" {
			if begin, is := args[1].(*parse.StringNode); is {
				s.id, s.prefix = begin.Text, true
			}
			if end, is := args[len(args)-1].(*parse.StringNode); is && len(args) > 2 {
				s.end = end.Text
			}
		}
	}
	for k := 2; k < len(c.Args); k += 2 {
		if name, is := c.Args[k].(*parse.StringNode); is {
			s.names = append(s.names, name.Text)
		}
	}
	return s, s.id != ""
}

// commands calls see for each command below a node.
func commands(n parse.Node, see func(*parse.CommandNode)) {
	pipe := func(p *parse.PipeNode) {
		if p == nil {
			return
		}
		for _, c := range p.Cmds {
			see(c)
			for _, arg := range c.Args {
				commands(arg, see)
			}
		}
	}
	branch := func(b *parse.BranchNode) {
		pipe(b.Pipe)
		commands(b.List, see)
		if b.ElseList != nil {
			commands(b.ElseList, see)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, one := range n.Nodes {
			commands(one, see)
		}
	case *parse.ActionNode:
		pipe(n.Pipe)
	case *parse.PipeNode:
		pipe(n)
	case *parse.TemplateNode:
		pipe(n.Pipe)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	}
}

var placeholder = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// Each text that a template says is there, with all values that stand in it.
func TestTemplatesSayTextsThatExist(t *testing.T) {
	all := messages()
	for _, s := range sayings(t) {
		if s.prefix {
			if len(below(all, s.id)) == 0 {
				t.Errorf("%s: no text begins with %q", s.file, s.id)
			}
			continue
		}
		m, known := all[s.id]
		if !known {
			t.Errorf("%s: there is no text %q", s.file, s.id)
			continue
		}
		for _, found := range placeholder.FindAllStringSubmatch(m.one+m.other, -1) {
			if !slices.Contains(s.names, found[1]) {
				t.Errorf("%s: %s is said without %s", s.file, s.id, found[1])
			}
		}
		if (m.one != "") != slices.Contains(s.names, "Count") {
			t.Errorf("%s: %s: who has a plural, and nobody else, needs Count", s.file, s.id)
		}
	}
}

// below are the texts whose ids begin so.
func below(all map[string]message, prefix string) (ids []string) {
	for id := range all {
		if strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	return ids
}

var looksLikeText = regexp.MustCompile(`^[a-z_]+(\.[a-z0-9_]+)*\.?$`)

// Go code names texts that exist: here all that look like one, in the issuer those of
// errors. (Others look like endpoints and actions.)
func TestCodeNamesTextsThatExist(t *testing.T) {
	all := messages()
	areas := map[string]bool{}
	for id := range all {
		area, _, _ := strings.Cut(id, ".")
		areas[area] = true
	}
	check := func(folder string, ours func(area string) bool) {
		for _, literal := range literals(t, folder) {
			area, rest, dotted := strings.Cut(literal, ".")
			if !dotted || rest == "html" || !ours(area) || !looksLikeText.MatchString(literal) {
				continue
			}
			if _, known := all[literal]; !known && (!strings.HasSuffix(literal, ".") || len(below(all, literal)) == 0) {
				t.Errorf("%s: there is no text %q", folder, literal)
			}
		}
	}
	check(".", func(area string) bool { return areas[area] })
	check("..", func(area string) bool { return area == "error" })
}

// A text that nobody says is not carried from language to language.
func TestEveryTextIsSaid(t *testing.T) {
	said := append(literals(t, "."), literals(t, "..")...)
	for _, s := range sayings(t) {
		said = append(said, s.id)
	}
	for id := range messages() {
		if !slices.ContainsFunc(said, func(s string) bool {
			return s == id || strings.HasSuffix(s, ".") && strings.Count(s, ".") > 0 && looksLikeText.MatchString(s) && strings.HasPrefix(id, s)
		}) {
			t.Errorf("nobody says %s", id)
		}
	}
}

// literals are the strings of a package's source, without its tests.
func literals(t *testing.T, folder string) (found []string) {
	t.Helper()
	for _, file := range sources(folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					found = append(found, value)
				}
			}
			return true
		})
	}
	return found
}

func sources(folder string) (files []*ast.File) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			panic(err)
		}
		files = append(files, file)
	}
	return files
}

// constants are those of this package's types of texts, by the type.
var constants = func() map[string][]string {
	found := map[string][]string{}
	for _, file := range sources(".") {
		ast.Inspect(file, func(n ast.Node) bool {
			one, ok := n.(*ast.ValueSpec)
			if !ok || len(one.Values) != 1 {
				return true
			}
			kind, typed := one.Type.(*ast.Ident)
			literal, plain := one.Values[0].(*ast.BasicLit)
			if typed && plain && literal.Kind == token.STRING {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					found[kind.Name] = append(found[kind.Name], value)
				}
			}
			return true
		})
	}
	return found
}()

// writers are the functions of this package that write a page, by their names: the
// last that they take is data.
func writers() (found []string) {
	for _, file := range sources(".") {
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Params.NumFields() == 0 {
				continue
			}
			list := f.Type.Params.List
			if kind, ok := list[len(list)-1].Type.(*ast.Ident); ok && strings.HasSuffix(kind.Name, "Data") {
				found = append(found, f.Name.Name)
			}
		}
	}
	return found
}
