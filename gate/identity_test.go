package gate

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestIdentityHeaders(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.Identity = IdentityHeaders{Subject: "remote-user"} })
	_, r := w.ask(t, "GET", "/accounts", w.mint(t, "read:accounts", "trade:orders"))
	for name, want := range map[string]string{
		"Remote-User": "alice", "X-Auth-Client": "bot", "X-Auth-Accounts": "42 43",
		"X-Auth-Scope": "read:accounts trade:orders", "X-Auth-Environment": "sandbox",
	} {
		if got := r.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, ok := r.Header["Authorization"]; ok {
		t.Error("the token was forwarded")
	}
	_, r = w.ask(t, "GET", "/health", "")
	for name, want := range map[string]string{
		"Remote-User": "", "X-Auth-Client": "", "X-Auth-Accounts": "", "X-Auth-Scope": "", "X-Auth-Environment": "sandbox",
	} {
		if got := r.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("anonymous, %s: %q, want %q", name, got, want)
		}
	}
}

// A handler may change the values in place and append to them: neither the
// next request nor the other headers notice.
func TestIdentityHeadersAreNotShared(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.mint(t)
	for range 2 {
		_, r := w.ask(t, "GET", "/accounts", raw)
		if got := r.Header.Get("X-Auth-Client"); got != "bot" {
			t.Errorf("client %q", got)
		}
		for _, values := range r.Header {
			values[0] = "changed"
		}
		r.Header.Add("X-Auth-Subject", "appended")
		if got := r.Header.Get("X-Auth-Client"); got != "changed" {
			t.Errorf("client %q", got)
		}
	}
}

func TestEncode(t *testing.T) {
	for in, want := range map[string]string{
		"":                "",
		"alice":           "alice",
		"urn:a/b?c=d#e,f": "urn:a/b?c=d#e,f",
		"a b":             "a%20b",
		"100%":            "100%25",
		"a\r\nX: b":       "a%0D%0AX:%20b",
		"é":               "%C3%A9",
		"\x7f\x00":        "%7F%00",
		"\xff":            "%FF",
	} {
		if got := encode(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	s := spell(&token.Facts{Subject: "a b", Client: "c", Accounts: []string{"a b", "c", "d%"}, Scopes: []string{"e"}})
	if want := (token.Spelling{Subject: "a%20b", Client: "c", Accounts: "a%20b c d%25", Scopes: "e"}); *s != want {
		t.Errorf("%+v, want %+v", *s, want)
	}
	if s := spell(&token.Facts{}); *s != (token.Spelling{}) {
		t.Errorf("of nothing: %+v", *s)
	}
}

func TestIdentityHeaderNames(t *testing.T) {
	for name, good := range map[string]bool{
		"X-User": true, "Remote-User": true, "x-auth-who": true,
		"":  true, // the default
		" ": false, "X User": false, "X-User:": false, "X-Üser": false, strings.Repeat("x", 65): false,
		"Authorization": false, "Host": false, "Connection": false, "Content-Type": false, "content_length": false,
		"Te": false, "Transfer-Encoding": false, "Upgrade": false, "Cookie": false, "X-Forwarded-For": false,
		"X-Auth-Client": false, "x_auth_client": false, // another's default, by any spelling
		"Sec-WebSocket-Protocol": false, "Proxy-Authorization": false, "Forwarded": false,
	} {
		if _, err := newIdentity(IdentityHeaders{Subject: name}, "sandbox"); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNew(t *testing.T) {
	authority := token.NewAuthority("sandbox", nil)
	rules := func() *policy.Policy { return nil }
	for name, o := range map[string]Options{
		"nothing":         {},
		"no policy":       {Authority: authority},
		"no authority":    {Policy: rules},
		"realm":           {Authority: authority, Policy: rules, Realm: "a\r\nb"},
		"header":          {Authority: authority, Policy: rules, Identity: IdentityHeaders{Scope: "Host"}},
		"same name twice": {Authority: authority, Policy: rules, Identity: IdentityHeaders{Scope: "A-B", Client: "a_b"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	g, err := New(Options{Authority: authority, Policy: rules, Realm: `my "api"`})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	if got := g.refuse(r, flawNone).challenge; got != `Bearer realm="my \"api\""` {
		t.Errorf("challenge %s", got)
	}
	if err := g.ServeHTTP(httptest.NewRecorder(), r, handlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("passed without a policy")
		return nil
	})); err == nil {
		t.Error("no refusal")
	}
}
