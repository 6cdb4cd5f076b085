package caddymodule

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayUse is the one direction of imports (ARCHITECTURE.md): what each room's
// code, tests aside, may use of ours and which outside packages it must not.
var mayUse = map[string]struct {
	ours    []string
	without []string
}{
	"internal/freeport":       {nil, []string{"net/http", "github.com/caddyserver/", "database/sql"}},
	"internal/testnames":      {nil, []string{"net/http", "github.com/caddyserver/", "database/sql"}},
	"internal/openidtest":     {nil, []string{"github.com/caddyserver/", "database/sql"}},
	"internal/durable":        {nil, []string{"net/http", "github.com/caddyserver/", "database/sql"}},
	"policy":                  {nil, []string{"net/http", "github.com/caddyserver/", "database/sql"}},
	"store":                   {nil, []string{"net/http", "github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"store/journal":           {[]string{"store", "internal/durable"}, []string{"net/http", "github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"store/sqlite":            {[]string{"store", "internal/durable"}, []string{"net/http", "github.com/caddyserver/", "github.com/golang-jwt/"}},
	"store/storetest":         {[]string{"store"}, []string{"net/http", "github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"notify":                  {[]string{"store"}, []string{"github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"audit":                   {[]string{"store", "internal/durable"}, []string{"net/http", "github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"token":                   {[]string{"store", "policy", "internal/durable"}, []string{"net/http", "html/template", "github.com/caddyserver/", "database/sql"}},
	"gate":                    {[]string{"token", "store", "policy"}, []string{"github.com/caddyserver/", "database/sql"}},
	"issuer":                  {[]string{"issuer/pages", "notify", "token", "store", "policy"}, []string{"github.com/caddyserver/", "database/sql"}},
	"issuer/pages":            {nil, []string{"github.com/caddyserver/", "database/sql", "github.com/golang-jwt/"}},
	"caddymodule":             {[]string{"gate", "issuer", "notify", "token", "audit", "store", "store/journal", "store/sqlite", "policy", "internal/durable"}, nil},
	"cmd/caddy":               {[]string{"caddymodule"}, nil},
	"examples/exchange":       {nil, []string{"github.com/caddyserver/"}},
	"bench":                   {nil, []string{"github.com/caddyserver/"}},
	"bench/stock":             {nil, nil},
	"clients":                 {nil, nil},
	"clients/golang/bot":      {nil, []string{"github.com/caddyserver/"}},
	"clients/golang/tour":     {nil, []string{"github.com/caddyserver/"}},
	"proof":                   {nil, nil},
	"store/sqlite/sqlitetest": {[]string{"store/sqlite"}, []string{"net/http", "github.com/caddyserver/", "github.com/golang-jwt/"}},
}

// watching is what shows operators what happens. Rooms count, and tell who asks.
var watching = func() map[string][]string {
	all := map[string][]string{}
	for room := range mayUse {
		if room != "caddymodule" {
			all[room] = []string{"github.com/prometheus/", "go.opentelemetry.io/"}
		}
	}
	return all
}()

const ourModule = "github.com/caddy-bearer/caddy-bearer/"

func TestImportsRunOneWay(t *testing.T) {
	root := ".."
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && file != root {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		room := filepath.ToSlash(relative)
		rule, known := mayUse[room]
		if !known {
			t.Errorf("%s: the room %s has no rule here", file, room)
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, found := strings.CutPrefix(imported, ourModule); found && !slices.Contains(rule.ours, ours) {
				t.Errorf("%s: %s must not use %s", file, room, ours)
			}
			for _, banned := range slices.Concat(rule.without, watching[room]) {
				if strings.HasPrefix(imported, banned) && (strings.HasSuffix(banned, "/") || path.Clean(imported) == banned) {
					t.Errorf("%s: %s must not know %s", file, room, imported)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A decision depends on the policy, the request and the token, and on nothing that
// passes. Durations may be written in a policy; what time it is, it never asks.
func TestPolicyReadsNoClock(t *testing.T) {
	files, err := filepath.Glob("../policy/*.go")
	must(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until", "time.After", "time.Tick", "time.NewT", "time.Sleep"} {
			if strings.Contains(readText(t, file), clock) {
				t.Errorf("%s asks %s", file, clock)
			}
		}
	}
}
