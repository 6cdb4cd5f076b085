package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// FuzzCaddyfile: whatever stands in our blocks of a Caddyfile, they are refused with
// the line where it is, or become the same JSON each time, which reads back.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		f.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		source, _, _ := strings.Cut(readText(f, file), "----------\n")
		f.Add(source)
	}
	f.Add("{\n\tbearer {\n\t\t\n")
	f.Add("{\n\tbearer {\n\t\tenvironment sandbox {\n\t\t\tissuer\n")
	f.Add(":80 {\n\tbearer_gate {\n\t\troute a GET / {\n\t\t\tscopes {\n")
	scopes, err := policy.Load("policy.yaml", []byte(readText(f, "../examples/quickstart/policy.yaml")))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "import") {
			return // reads other files
		}
		blocks, err := caddyfile.Parse("Caddyfile", []byte(source))
		if err != nil {
			return
		}
		for _, block := range blocks {
			for _, segment := range block.Segments {
				read := blockReaders[segment.Directive()]
				if read == nil {
					continue
				}
				if g, is := checkBlock(t, segment, read).(*Gate); is {
					checkRoutes(t, g, scopes)
				}
			}
		}
	})
}

// blockReaders read what begins with these words, and return it with what its JSON
// is read back into.
var blockReaders = map[string]func(*caddyfile.Dispenser) (read any, into func() any, err error){
	appName: func(d *caddyfile.Dispenser) (any, func() any, error) {
		read, err := parseApp(d, nil)
		if err != nil {
			return nil, nil, err
		}
		option, ok := read.(httpcaddyfile.App)
		if !ok {
			return nil, nil, fmt.Errorf("%s reads a %T", appName, read)
		}
		return option.Value, func() any { return new(App) }, nil
	},
	"bearer_gate": func(d *caddyfile.Dispenser) (any, func() any, error) {
		g := new(Gate)
		return g, func() any { return new(Gate) }, g.UnmarshalCaddyfile(d)
	},
	"bearer_health": func(d *caddyfile.Dispenser) (any, func() any, error) {
		h := new(Health)
		return h, func() any { return new(Health) }, h.UnmarshalCaddyfile(d)
	},
	"bearer_issuer": func(d *caddyfile.Dispenser) (any, func() any, error) {
		i := new(Issuer)
		return i, func() any { return new(Issuer) }, i.UnmarshalCaddyfile(d)
	},
}

// checkBlock reads a block and returns what its JSON is read back as, nil if it is
// refused.
func checkBlock(t *testing.T, segment caddyfile.Segment, read func(*caddyfile.Dispenser) (any, func() any, error)) any {
	t.Helper()
	adapt := func() (string, func() any, error) {
		value, into, err := read(caddyfile.NewDispenser(segment))
		if err != nil {
			return "", nil, err
		}
		return asJSON(t, value), into, nil
	}
	first, into, err := adapt()
	again, _, errAgain := adapt()
	if first != again || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
		t.Errorf("read twice:\n%s %v\n%s %v", first, err, again, errAgain)
	}
	if err != nil {
		if !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("the error does not say where: %v", err)
		}
		return nil
	}
	back := into()
	if err := json.Unmarshal([]byte(first), back); err != nil {
		t.Fatalf("%s is not read back: %v", first, err)
	}
	if got := asJSON(t, back); got != first {
		t.Errorf("%s is read back as\n%s", first, got)
	}
	return back
}

// checkRoutes compiles the routes of a gate, each of which then is found by what its
// pattern says literally.
func checkRoutes(t *testing.T, g *Gate, scopes *policy.Policy) {
	t.Helper()
	compiled, err := compileRoutes(g.Routes, g.CORS, "scopes", scopes)
	if err != nil || len(g.Routes) == 0 {
		return
	}
	for _, r := range compiled.policy.Routes() {
		m, ok := compiled.policy.Match(r.Methods[0], r.Path)
		if !ok {
			t.Fatalf("%s %s matches nothing", r.Methods[0], r.Path)
		}
		if m.Route == r && r.Public != compiled.policy.Decide(&m, policy.Facts{}).Allow {
			t.Errorf("%s: public is %t, and that is not what is decided", r.ID, r.Public)
		}
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzOperatorFile: a file gives each of its tokens the role that its line names,
// or is refused without a word of what it holds.
func FuzzOperatorFile(f *testing.F) {
	token := strings.Repeat("t", minOperatorToken)
	for _, content := range []string{
		"admin " + token, "admin " + token + "\nread " + token + "2\n", "# comment\n\nrevoke  " + token + " \r\n", "root " + token, "admin", "admin short",
		"Admin " + token, token, "admin\t" + token, "", "# only a comment", "read " + token + "\nadmin " + token, "\xef\xbb\xbfadmin " + token,
	} {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content string) {
		tokens, err := parseOperators("operator.token", content)
		if err != nil {
			for line := range strings.Lines(content) {
				if line = strings.TrimSpace(line); len(line) >= minOperatorToken && strings.Contains(err.Error(), line) {
					t.Errorf("the error shows the file: %v", err)
				}
			}
			return
		}
		var written strings.Builder
		ops := hashOperators(tokens)
		for _, one := range tokens {
			if one.role == roleNone || len(one.token) < minOperatorToken || ops.role(one.token) < one.role {
				t.Errorf("%q: role %s, opens %s", content, one.role, ops.role(one.token))
			}
			written.WriteString(one.role.String() + " " + one.token + "\n")
		}
		if ops.role("") != roleNone || ops.role(content+"x") != roleNone {
			t.Errorf("%q opens to what is no token", content)
		}
		if again, err := parseOperators("again", written.String()); err != nil || !reflect.DeepEqual(again, tokens) {
			t.Errorf("%q, written again, is %v", content, err)
		}
	})
}

// FuzzAdminBody: a body of the admin API that is accepted has known members only,
// each once and in this spelling, and means the same to every reader.
func FuzzAdminBody(f *testing.F) {
	for _, body := range []string{
		`{"id":"a","scopes":["read:eft"],"public":true}`, `{"ID":"a"}`, `{"id":"a","id":"b"}`, `{"id":7}`, `{"id":"a"} {}`, `null`, `[]`, ``, "{\"id\":\"\xff\"}",
		`{"redirect_uris":null,"description":""}`, `{"scopes":[null]}`, "{\"\u017fcopes\":[]}", `{"public":"true"}`, strings.Repeat("[", 5000),
	} {
		f.Add("application/json", body)
	}
	f.Add("text/json", `{}`)
	f.Add("application/json; charset=x", `{}`)
	type input struct {
		ID     string    `json:"id"`
		Name   *string   `json:"name"`
		Scopes *[]string `json:"scopes"`
		clientFields
	}
	known := []string{"id", "name", "scopes", "description", "public", "redirect_uris", "pkce_optional"}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header["Content-Type"] = []string{contentType}
		c := &adminCall{request: r}
		var got, lenient input
		if err := c.decode(&got); err != nil {
			checkRefusal(t, err)
			return
		}
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &members) != nil || json.Unmarshal([]byte(body), &lenient) != nil {
			t.Fatalf("%q is accepted", body)
		}
		for _, name := range known {
			delete(members, name)
		}
		if len(members) > 0 || !reflect.DeepEqual(got, lenient) {
			t.Errorf("%q is read as %s, and leniently as %s", body, asJSON(t, got), asJSON(t, lenient))
		}
	})
}

// FuzzAdminQuery: every parameter of a list counts, or the list is refused.
func FuzzAdminQuery(f *testing.F) {
	for _, query := range []string{
		"", "client=a&limit=5&all=true", "client=a&client=b", "clinet=a", "client=a;limit=5", "client=%zz", "limit=0", "limit=+5", "limit=1e2", "all=maybe", "&&", "=", "%63lient=a",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		asked, _, limit, err := (&adminCall{request: r}).listQuery("client")
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if limit < 1 || limit > maxLimit {
			t.Errorf("%q: limit %d", query, limit)
		}
		pairs := 0
		for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
			pairs++
			name, value, _ := strings.Cut(pair, "=")
			name, nameErr := url.QueryUnescape(name)
			value, valueErr := url.QueryUnescape(value)
			if nameErr != nil || valueErr != nil || asked[name] != value {
				t.Errorf("%q is read as %q", query, asked)
			}
		}
		if pairs != len(asked) {
			t.Errorf("%q is read as %q", query, asked)
		}
	})
}

// checkRefusal wants an answer that is the caller's to mend.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	refused, ok := errors.AsType[caddy.APIError](err)
	if !ok || refused.HTTPStatus < http.StatusBadRequest || refused.HTTPStatus >= http.StatusInternalServerError {
		t.Errorf("refused with %v", err)
	}
}
