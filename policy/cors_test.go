package policy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func loadCORS(t *testing.T) *Policy {
	t.Helper()
	src, err := os.ReadFile("testdata/cors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustLoad(t, string(src))
}

func TestCORS(t *testing.T) {
	p := loadCORS(t)
	const app, desk = "https://app.test", "https://desk.test"
	tests := []struct {
		request string
		origins []string // that are let in, of those tried
		methods string   // that share what holds
	}{
		{"GET /a", []string{app}, "GET HEAD POST"},
		{"HEAD /a", []string{app}, "GET HEAD POST"},
		{"GET /a/1", []string{app}, "GET HEAD"},
		{"PUT /a/1", []string{desk}, "PUT"},
		{"DELETE /a/1", nil, "DELETE"},
		{"PATCH /a/1", []string{app}, "GET HEAD"},      // no route: what the policy says
		{"PURGE /a", []string{app}, "GET HEAD POST"},   // a method that no route has
		{"GET /nowhere", []string{app}, ""},            // no route
		{"GET /health", []string{app}, "GET HEAD"},     // public
		{"OPTIONS /a", []string{app}, "GET HEAD POST"}, // as a request, not as a preflight
	}
	strangers := []string{"", "null", "*", "http://app.test", "https://app.test:443", "https://app.test/", "https://APP.test",
		"https://app.test.evil.test", "https://evil-app.test", "https://x.app.test", "https://app.test ", "https://app.test, https://desk.test"}
	for _, test := range tests {
		method, path, _ := strings.Cut(test.request, " ")
		c := p.CORSOf(method, path)
		for _, origin := range append(strangers, app, desk) {
			if got, want := c.Allows(origin), slices.Contains(test.origins, origin); got != want {
				t.Errorf("%s: %q is let in: %t", test.request, origin, got)
			}
		}
		if got := strings.Join(p.MethodsUnder(c, path), " "); got != test.methods {
			t.Errorf("%s: methods %q, want %q", test.request, got, test.methods)
		}
	}
}

func TestCORSValues(t *testing.T) {
	p := loadCORS(t)
	for request, want := range map[string]string{
		"GET /a":      "5 [authorization content-type x-request-id] [x-total-count] 3600",
		"PUT /a/1":    "1 [authorization content-type] [] 0",
		"DELETE /a/1": "0 [] [] 0",
	} {
		method, path, _ := strings.Cut(request, " ")
		c := p.CORSOf(method, path)
		if got := fmt.Sprint(len(c.Origins), c.Headers, c.Expose, c.MaxAge); got != want {
			t.Errorf("%s: got %s, want %s", request, got, want)
		}
		if e := p.Explain(method, path, nil, nil); e.CORS != c {
			t.Errorf("%s is explained with %+v", request, e.CORS)
		}
	}
	if c := mustLoad(t, `{"version": 1, "cors": {"origins": ["http://localhost:3000", "http://[::1]", "https://localhost"]}}`).CORS(); c.MaxAge != 600 {
		t.Errorf("the default is %d s", c.MaxAge)
	}
	if c := loadTrading(t).CORSOf("GET", "/health"); c != nil {
		t.Errorf("a policy that says nothing of CORS has %+v", c)
	}
}

// Routes that stand elsewhere take their scopes from a policy, and not its CORS.
func TestCORSOfRules(t *testing.T) {
	base := loadCORS(t)
	listed := Rule{ID: "list", Match: RuleMatch{[]string{"GET"}, "/list"}, Public: true}
	other := Rule{ID: "other", Match: RuleMatch{[]string{"GET"}, "/other"}, Public: true, CORS: &RuleCORS{Origins: []string{}}}
	for name, test := range map[string]struct {
		cors *RuleCORS
		want string // who may use list, and other
	}{
		"none": {nil, "false false"},
		"all":  {&RuleCORS{Origins: []string{"https://app.test"}, Headers: []string{"x-a"}, Expose: []string{"x-b"}, MaxAge: "1m"}, "true false"},
	} {
		p, err := base.WithRoutes([]Rule{listed, other}, test.cors)
		if err != nil {
			t.Fatal(err)
		}
		c := p.CORSOf("GET", "/list")
		if got := fmt.Sprint(c != nil && c.Allows("https://app.test"), p.CORSOf("GET", "/other").Allows("https://app.test")); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
		if c != nil && fmt.Sprint(c.Headers, c.Expose, c.MaxAge) != "[x-a] [x-b] 60" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestLintCORS(t *testing.T) {
	const begin = "version: 1\nscopes: {a: {risk: read}}\n"
	const route = "routes:\n  - {id: a, match: {methods: [GET], path: /a}, require: {scopes: [a]}%s}\n"
	for name, test := range map[string]struct{ cors, own, want string }{
		"good":                  {`cors: {origins: ["https://app.test"]}`, ``, ``},
		"for no route":          {`cors: {origins: ["https://app.test"]}`, `, cors: {origins: []}`, `3:7: cors holds for no route: there is none that says nothing of its own [unused-cors]`},
		"loopback":              {`cors: {origins: ["https://app.test", "http://localhost:3000"]}`, ``, `3:7: cors lets in http://localhost:3000, which is whatever program listens there on the user's machine: right for development only [cors-loopback]`},
		"loopback of a route":   {``, `, cors: {origins: ["http://[::1]"]}`, `5:78: cors lets in http://[::1], which is whatever program listens there on the user's machine: right for development only [cors-loopback]`},
		"no token can be sent":  {`cors: {origins: ["https://app.test"], headers: [x-a]}`, ``, `3:7: no page can send its token: headers lack authorization [cors-without-token]`},
		"a token in the socket": {`cors: {origins: ["https://app.test"], headers: [x-a]}`, `, credentials: [subprotocol]`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range mustLoad(t, begin+test.cors+"\n"+fmt.Sprintf(route, test.own)).Lint() {
				got = append(got, fmt.Sprintf("%d:%d: %s [%s]", f.Line, f.Column, f.Message, f.Code))
			}
			if got := strings.Join(got, "\n"); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
