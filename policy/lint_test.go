package policy

import (
	"strings"
	"testing"
)

func TestLintIsSilent(t *testing.T) {
	if findings := loadTrading(t).Lint(); len(findings) > 0 {
		t.Errorf("the example:\n%v", findings)
	}
	if findings := mustLoad(t, "version: 1\nscopes: {a: {risk: read}}\n").Lint(); len(findings) > 0 {
		t.Errorf("a vocabulary without routes:\n%v", findings)
	}
	if findings := mustLoad(t, decidePolicy).Lint(); len(findings) != 1 || findings[0].Code != "redundant-alternative" {
		t.Errorf("the decision tests:\n%v", findings)
	}
}

func TestLint(t *testing.T) {
	const scopes = "version: 1\nscopes:\n  a: {risk: read}\n  b: {risk: trade, implies: [a]}\n  c: {risk: read}\nroutes:\n" +
		"  - {id: all, match: {methods: [GET], path: /all}, require: {any_of: [[a, c], [b, c]]}}\n"
	tests := map[string]struct{ routes, want string }{
		"slash with another requirement": {`
  - {id: x, match: {methods: [GET], path: "/x/{id}"}, require: {scopes: [b]}}
  - {id: y, match: {methods: [GET], path: "/x/{name}/"}, require: {scopes: [a]}}`,
			`10:43: /x/{name}/ has other requirements than /x/{id} (line 9), and an upstream may treat both as one [slash-gap]`},
		"slash that is public": {`
  - {id: x, match: {methods: [GET], path: /x}, require: {scopes: [b]}}
  - {id: y, match: {methods: [GET], path: /x/}, public: true}`,
			`10:43: /x/ has other requirements than /x (line 9), and an upstream may treat both as one [slash-gap]`},
		"slash without bind": {`
  - {id: x, match: {methods: [GET], path: "/{id}"}, require: {scopes: [b], bind: {id: token.account}}}
  - {id: y, match: {methods: [GET], path: "/{id}/"}, require: {scopes: [b]}}`,
			`10:43: /{id}/ has other requirements than /{id} (line 9), and an upstream may treat both as one [slash-gap]`},
		"slash with the same requirement": {`
  - {id: x, match: {methods: [GET], path: /x}, require: {any_of: [[a], [c, b]]}}
  - {id: y, match: {methods: [GET], path: /x/}, require: {any_of: [[b, c], [a]]}}`,
			`9:43: route "x": who holds [c, b] holds [a] too, which is enough [redundant-alternative]
10:43: route "y": who holds [b, c] holds [a] too, which is enough [redundant-alternative]`},
		"slash for another method": {`
  - {id: x, match: {methods: [GET], path: /x}, require: {scopes: [a]}}
  - {id: y, match: {methods: [PUT], path: /x/}, require: {scopes: [b]}}`, ``},
		"public write": {`
  - {id: x, match: {methods: [GET, DELETE], path: /x}, public: true}`,
			`9:51: route "x" lets anybody DELETE [public-write]`},
		"scope and what it implies": {`
  - {id: x, match: {methods: [GET], path: /x}, require: {scopes: [a, b]}}`,
			`9:43: route "x" needs both "b" and "a", which the first implies [redundant-scope]`},
		"equal alternatives": {`
  - {id: x, match: {methods: [GET], path: /x}, require: {any_of: [[a], [a]]}}`,
			`9:43: route "x": who holds [a] holds [a] too, which is enough [redundant-alternative]`},
		"unreachable by methods": {`
  - {id: x, match: {methods: [PUT, POST], path: /x}, require: {scopes: [a]}}
  - {id: y, match: {methods: [PUT], path: /x}, require: {scopes: [a]}}
  - {id: z, match: {methods: [POST], path: /x}, require: {scopes: [a]}}`,
			`9:49: route "x" never decides: more specific routes match all its requests [unreachable-route]`},
		"unreachable by paths": {`
  - {id: w, match: {methods: [PUT], path: "/x/{all...}"}, require: {scopes: [a]}}
  - {id: x, match: {methods: [PUT], path: "/x/"}, require: {scopes: [a]}}
  - {id: y, match: {methods: [PUT], path: "/x/{one}"}, require: {scopes: [a]}}
  - {id: z, match: {methods: [PUT], path: "/x/{one}/{more...}"}, require: {scopes: [a]}}`,
			`9:43: route "w" never decides: more specific routes match all its requests [unreachable-route]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, scopes+"  # case"+test.routes)
			var lines []string
			for _, f := range p.Lint() {
				if f.Severity != SeverityWarning {
					t.Errorf("%v is no warning", f)
				}
				if f.Line > 8 {
					lines = append(lines, strings.TrimPrefix(f.String(), "p.yaml:")+" ["+f.Code+"]")
				}
			}
			if got := strings.Join(lines, "\n"); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestLintScopes(t *testing.T) {
	p := mustLoad(t, `
version: 1
scopes:
  used:   {risk: read}
  unused: {risk: read}
  part:   {risk: withdraw}
  bundle: {risk: read, implies: [part]}
routes:
  - {id: r, match: {methods: [GET], path: /}, require: {scopes: [used]}}
`)
	const want = `p.yaml:5:3: no route needs scope "unused"
p.yaml:7:3: scope "bundle" has risk read but implies "part" of risk withdraw`
	if got := p.Lint().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
