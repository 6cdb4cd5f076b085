package policy

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

// Each file in testdata/bad has one thing wrong and ends with the findings that
// Load must report, as comments: "# want: line:column: message [code]".
func TestLoadRefuses(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body, want, _ := strings.Cut(string(src), "# want: ")
			want = "# want: " + want
			if got := wantLines(t, body); *update {
				if err := os.WriteFile(file, []byte(body+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func wantLines(t *testing.T, src string) string {
	t.Helper()
	p, err := Load("p.yaml", []byte(src))
	var findings Findings
	if p != nil || !errors.As(err, &findings) {
		t.Fatalf("Load returned %v, %v; want findings", p, err)
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "# want: %d:%d: %s [%s]\n", f.Line, f.Column, f.Message, f.Code)
	}
	return b.String()
}

func TestLoadRefusesBytes(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"not UTF-8":       {"version: 1\ntitle: \"\xe9\"", "p.yaml:2:9: byte 0xe9 is not UTF-8"},
		"UTF-16":          {"\xff\xfev\x00", "p.yaml:1:1: byte 0xff is not UTF-8"},
		"NUL":             {"version: 1\nä\x00", "p.yaml:2:2: a NUL byte"},
		"empty":           {"", "p.yaml:1:1: the file is empty"},
		"too large":       {strings.Repeat("#", MaxFileSize+1), "p.yaml:1:1: the file has 8388609 bytes; at most 8388608 are read"},
		"control":         {"version: \x01", "p.yaml:1:1: not valid YAML: control characters are not allowed"},
		"endless nesting": {strings.Repeat("[", 20_000), "p.yaml:1:1: not valid YAML: exceeded max depth of 10000"},
		"null":            {"~", "p.yaml:1:1: policy: found nothing, expected a mapping with version, cors, scopes, routes, tests"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load("p.yaml", []byte(test.src))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadLimits(t *testing.T) {
	scopes := "version: 1\nscopes:\n"
	for i := range maxScopes + 1 {
		scopes += fmt.Sprintf("  s%d: {risk: read}\n", i)
	}
	methods := "version: 1\nroutes:\n"
	for i := range maxMethods + 1 {
		methods += fmt.Sprintf("  - {id: r%d, match: {methods: [M%d], path: /}, public: true}\n", i, i)
	}
	for src, want := range map[string]string{
		scopes:  "p.yaml:4099:3: 4097 scopes; a policy may have at most 4096",
		methods: "p.yaml:67:33: more than 64 different methods in one policy",
	} {
		if _, err := Load("p.yaml", []byte(src)); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestManyFindingsStayReadable(t *testing.T) {
	src := "version: 1\nroutes:\n" + strings.Repeat("  - {}\n", 100)
	_, err := Load("p.yaml", []byte(src))
	if got := strings.Count(err.Error(), "\n"); got != maxPrinted {
		t.Errorf("%d lines", got)
	}
	if !strings.HasSuffix(err.Error(), "\nand 250 more") {
		t.Errorf("ends with %q", err.Error()[len(err.Error())-50:])
	}
}

func TestLoadAcceptsJSON(t *testing.T) {
	p := mustLoad(t, `{
	"version": 1,
	"scopes": {"read:a": {"title": "S\u00e9", "risk": "read"}},
	"routes": [{"id":"a","match":{"methods":["GET"],"path":"/a"},"require":{"scopes":["read:a"]}}],
	"tests": [{"request":"GET /a","scopes":["read:a"],"expect":"allow"}]
}`)
	if s, _ := p.Scope("read:a"); s.Title != "Sé" || !p.Test().OK() {
		t.Errorf("title %q, report %+v", s.Title, p.Test())
	}
}

func TestPolicyIsReadOnly(t *testing.T) {
	p := loadTrading(t)
	p.Scopes()[0].Name = "changed"
	p.Routes()[0] = nil
	if p.Scopes()[0].Name != "read:accounts" || p.Routes()[0] == nil {
		t.Error("a caller's change reached the policy")
	}
}

func TestPolicyIdentity(t *testing.T) {
	p, err := Load("/etc/policies/trading.yaml", []byte("version: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "trading" || p.Filename() != "/etc/policies/trading.yaml" {
		t.Errorf("name %q, filename %q", p.Name(), p.Filename())
	}
	if p.Revision() != "09bfcc6a14b8" {
		t.Errorf("revision %q is not the start of the file's SHA-256", p.Revision())
	}
}

func TestLoadTrading(t *testing.T) {
	p := loadTrading(t)
	stream := p.Routes()[2]
	if stream.ID != "market-stream" || stream.Credentials != Header|Subprotocol || stream.Credentials.String() != "header subprotocol" {
		t.Errorf("%s takes credentials from %s", stream.ID, stream.Credentials)
	}
	if r := p.Routes()[0]; r.Credentials != Header || r.Public {
		t.Errorf("%s: credentials %s, public %t", r.ID, r.Credentials, r.Public)
	}
	if s, ok := p.Scope("admin:desk"); !ok || !s.Hidden || s.Risk != RiskAdmin || s.Risk.String() != "admin" {
		t.Errorf("admin:desk is %+v", s)
	}
	if _, ok := p.Scope("admin"); ok {
		t.Error("found a scope that does not exist")
	}
}

// loadTrading loads the example that people will copy.
func loadTrading(tb testing.TB) *Policy {
	tb.Helper()
	src, err := os.ReadFile("testdata/trading.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	return mustLoad(tb, string(src))
}

func mustLoad(tb testing.TB, src string) *Policy {
	tb.Helper()
	p, err := Load("p.yaml", []byte(src))
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return p
}

// Whatever the bytes are, Load either compiles a policy that works or says
// where it does not.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := Load("p.yaml", src)
		if err == nil {
			p.Lint()
			p.Test()
			checkRoutes(t, p)
			checkOrigins(t, p)
			return
		}
		var findings Findings
		if !errors.As(err, &findings) || len(findings) == 0 {
			t.Fatalf("%#v is no Findings", err)
		}
		for _, finding := range findings {
			if finding.Line < 1 || finding.Column < 1 || finding.Severity != SeverityError || finding.Code == "" {
				t.Errorf("%#v", finding)
			}
		}
	})
}

// checkRoutes checks that what a pattern says literally leads to a route that is
// at least as specific.
func checkRoutes(t *testing.T, p *Policy) {
	for _, r := range p.Routes() {
		m, ok := p.Match(r.Methods[0], r.Path)
		if !ok {
			t.Fatalf("%s %s matches nothing", r.Methods[0], r.Path)
		}
		if r.Public != p.Decide(&m, Facts{}).Allow && m.Route == r {
			t.Errorf("%s: public is %t, but without a token it is %+v", r.ID, r.Public, p.Decide(&m, Facts{}))
		}
	}
}

// checkOrigins checks that only origins are let in which a browser can send, by
// which it means one site, and which need no escaping in a header.
func checkOrigins(t *testing.T, p *Policy) {
	for _, r := range p.Routes() {
		c := r.CORS
		if c == nil {
			continue
		}
		if c.Allows("") || c.Allows("*") || c.Allows("null") {
			t.Errorf("%s lets in anybody: %q", r.ID, c.Origins)
		}
		for _, origin := range c.Origins {
			if u, err := url.Parse(origin); err != nil || u.Scheme+"://"+u.Host != origin || !c.Allows(origin) || strings.ContainsAny(origin, " ,*\r\n") {
				t.Errorf("%s: origin %q", r.ID, origin)
			}
		}
		for _, name := range append(c.Headers, c.Expose...) {
			if checkHeaderName(name) != nil {
				t.Errorf("%s: header %q", r.ID, name)
			}
		}
	}
}
