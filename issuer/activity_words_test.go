package issuer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
)

// What the code records, or writes in the same form, and what is never about a user
// or a user's things: whole kinds of it, and words.
var (
	kindsOfNoPeople = []string{
		"app", "client_credentials", "key", "operator", "policy", "root_key", "server", "service_account", "store",
		"bearer", "enduser", // files, placeholders, attributes of spans
	}
	notOfPeople = []string{
		"client.sign_in",                              // a program that proves who it is
		"grant.issue",                                 // a grant of which nobody says how it was made
		"token.present",                               // an account that acts by itself
		"account.rotate_secret", "user.rotate_secret", // the configuration declares neither with a secret
		"token.issued", "token.revoked", "token.expiring", "notifications.limited", // kinds of message
		"revocations.journal", "root.key", // files
		"user.id", "user.client", "user.token_id", // placeholders
	}
)

// TestEveryActionOfPeopleHasAText reads the actions out of the code. Who adds one gives
// it a kind and a text, or says above that no user has anything to do with it.
func TestEveryActionOfPeopleHasAText(t *testing.T) {
	code := readActions(t)
	for _, action := range code {
		kind, _, _ := strings.Cut(action, ".")
		if !knownActivity(action) && !slices.Contains(kindsOfNoPeople, kind) && !slices.Contains(notOfPeople, action) {
			t.Errorf("the code records %s: give it a kind in activity_words.go and a text in pages/texts/activity.en.yaml, or say in notOfPeople that it concerns no user", action)
		}
	}
	for _, action := range notOfPeople {
		if !slices.Contains(code, action) {
			t.Errorf("notOfPeople has %s, which is not in the code any more", action)
		}
	}
	for kind, actions := range activityActions {
		for _, action := range actions {
			if !slices.Contains(code, action) {
				t.Errorf("%s is among the %s and not recorded anywhere", action, kind)
			}
			ends := action == actionDelink || action == "grant.revoke" || action == "token.revoke" // told by what was ended
			if !ends && !pages.HasDeed(deed(action, "")) {
				t.Errorf("%s has no text activity.did.%s", action, deed(action, ""))
			}
		}
	}
	for _, form := range []string{"personal", "trading", "app", "app_itself", "gone", "gone_account"} {
		if !pages.HasDeed("end_" + form) {
			t.Errorf("no text activity.did.end_%s", form)
		}
	}
}

var (
	actionForm = regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$`)
	verbForm   = regexp.MustCompile(`^\.[a-z]+(_[a-z]+)*$`)
)

// actionReader collects the texts in the code that have the form of an action, or
// become one when they are put together.
type actionReader struct {
	actions, endpoints []string
	records            []string // kinds of record
	changes            []string // what is done to all of them
}

func readActions(t *testing.T) []string {
	t.Helper()
	r := new(actionReader)
	for _, room := range []string{".", "../caddymodule", "../token", "../store/sqlite", "../store/journal", "../notify"} {
		files, err := os.ReadDir(room)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if name := file.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "activity") {
				tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(room, name), nil, parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				ast.Inspect(tree, r.visit)
			}
		}
	}
	for _, record := range r.records {
		for _, change := range r.changes {
			r.actions = append(r.actions, record+change)
		}
	}
	slices.Sort(r.actions)
	return slices.DeleteFunc(slices.Compact(r.actions), func(s string) bool { return slices.Contains(r.endpoints, s) })
}

func (r *actionReader) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BasicLit:
		if s := literal(n); actionForm.MatchString(s) {
			r.actions = append(r.actions, s)
		}
	case *ast.BinaryExpr:
		if s := literal(n.Y); n.Op == token.ADD && verbForm.MatchString(s) {
			r.joined(n.X, s)
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "action" {
			r.records = append(r.records, literal(n.Value))
		}
	case *ast.CallExpr:
		r.call(n)
	}
	return true
}

// joined takes what ends an action that is put together: behind the kind of a record,
// or of a revocation.
func (r *actionReader) joined(kind ast.Expr, verb string) {
	if selector, ok := kind.(*ast.SelectorExpr); ok && selector.Sel.Name == "action" {
		r.changes = append(r.changes, verb)
		return
	}
	numbered := []string{"rights", "client_rights"}
	switch verb {
	case ".give":
	case ".revoke":
		numbered = append(numbered, "principal", "account", "client", "grant", "token", "key")
	default:
		return // the end of a file's name
	}
	for _, kind := range numbered {
		r.actions = append(r.actions, kind+verb)
	}
}

// call knows the functions that take an endpoint's name, and the one that takes what
// is done to a record: users.edit, or k.edit for all kinds.
func (r *actionReader) call(n *ast.CallExpr) {
	name, of := "", ""
	switch f := n.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if receiver, ok := f.X.(*ast.Ident); ok {
			of = receiver.Name
		}
	}
	for k, arg := range n.Args {
		s := literal(arg)
		switch {
		case s == "":
		case name == "handle" || name == "handlePage" || name == "page" || name == "NewProblem":
			r.endpoints = append(r.endpoints, s)
		case name == "edit" && k == 1 && (of == "k" || of == "kind"):
			r.changes = append(r.changes, "."+s)
		case name == "edit" && k == 1:
			r.actions = append(r.actions, strings.TrimSuffix(of, "s")+"."+s)
		}
	}
}

func literal(n ast.Node) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
