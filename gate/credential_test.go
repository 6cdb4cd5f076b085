package gate

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestCredential(t *testing.T) {
	w := openWorld(t, nil)
	good := w.mint(t)
	server := w.serve(t, echo)
	const bare = `Bearer realm="api"`
	for _, tt := range []struct {
		attack    string
		target    string
		lines     []string
		status    int
		challenge string
	}{
		{"bearer", "/accounts", []string{"Authorization: Bearer " + good}, 200, ""},
		{"scheme in any case", "/accounts", []string{"Authorization: bEaReR " + good}, 200, ""},
		{"trailing blanks are not the value's", "/accounts", []string{"Authorization: Bearer " + good + "  "}, 200, ""},

		{"none", "/accounts", nil, 401, bare},
		{"empty", "/accounts", []string{"Authorization:"}, 401, bare},
		{"Basic", "/accounts", []string{"Authorization: Basic YTpi"}, 401, bare},
		{"DPoP", "/accounts", []string{"Authorization: DPoP " + good}, 401, bare},
		{"Token", "/accounts", []string{"Authorization: Token " + good}, 401, bare},
		{"no scheme", "/accounts", []string{"Authorization: " + good}, 401, bare},
		{"longer scheme", "/accounts", []string{"Authorization: BearerX " + good}, 401, bare},
		{"X- header is no credential", "/accounts", []string{"X-Authorization: Bearer " + good}, 401, bare},
		{"Proxy-Authorization is no credential", "/accounts", []string{"Proxy-Authorization: Bearer " + good}, 401, bare},
		{"cookie is no credential", "/accounts", []string{"Cookie: access_token=" + good}, 401, bare},
		{"query", "/accounts?access_token=" + good, nil, 401, bare},
		{"query beside Basic", "/accounts?access_token=" + good, []string{"Authorization: Basic YTpi"}, 401, bare},

		{"two blanks", "/accounts", []string{"Authorization: Bearer  " + good}, 400, bare + `, error="invalid_request"`},
		{"TAB", "/accounts", []string{"Authorization: Bearer\t" + good}, 400, bare + `, error="invalid_request"`},
		{"blank and TAB", "/accounts", []string{"Authorization: Bearer \t" + good}, 400, bare + `, error="invalid_request"`},
		{"quotes", "/accounts", []string{`Authorization: Bearer "` + good + `"`}, 401, bare + `, error="invalid_token"`},
		{"something after", "/accounts", []string{"Authorization: Bearer " + good + " extra"}, 400, bare + `, error="invalid_request"`},
		{"list", "/accounts", []string{"Authorization: Bearer " + good + ",Basic YTpi"}, 400, bare + `, error="invalid_request"`},
		{"no token", "/accounts", []string{"Authorization: Bearer"}, 400, bare + `, error="invalid_request"`},
		{"padding alone", "/accounts", []string{"Authorization: Bearer =="}, 401, bare + `, error="invalid_token"`},
		{"folded", "/accounts", []string{"Authorization: Bearer", " " + good + "  x"}, 400, ""},
		{"two headers", "/accounts", []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"two schemes", "/accounts", []string{"Authorization: Basic YTpi", "Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"header and query", "/accounts?access_token=" + good, []string{"Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"query behind a semicolon", "/accounts?a=1;access_token=x", []string{"Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"query encoded", "/accounts?%61ccess%5ftoken=x", []string{"Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"query in other case", "/accounts?Access_Token=x", []string{"Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"query without a value", "/accounts?a&access_token", []string{"Authorization: Bearer " + good}, 400, bare + `, error="invalid_request"`},
		{"query of another name", "/accounts?my_access_token=x", []string{"Authorization: Bearer " + good}, 200, ""},

		{"made up", "/accounts", []string{"Authorization: Bearer abc"}, 401, bare + `, error="invalid_token"`},
		{"made up JWT", "/accounts", []string{"Authorization: Bearer eyJhbGciOiJub25lIn0.e30."}, 401, bare + `, error="invalid_token"`},
		{"made up opaque", "/accounts", []string{"Authorization: Bearer cb_test_personal_abc"}, 401, bare + `, error="invalid_token"`},
		{"last byte changed", "/accounts", []string{"Authorization: Bearer " + good[:len(good)-1] + "*"}, 401, bare + `, error="invalid_token"`},
		{"signature of another", "/accounts", []string{"Authorization: Bearer " + swapSignature(good, w.mint(t))}, 401, bare + `, error="invalid_token"`},

		{"no route comes before the credential", "/nowhere", []string{"Authorization: Bearer  x"}, 403, ""},
		{"no route without a credential", "/nowhere", nil, 403, ""},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, get(tt.target, tt.lines...))
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.status, body(t, resp))
			}
			if got := resp.Header.Get("WWW-Authenticate"); tt.challenge != "" && got != tt.challenge {
				t.Errorf("challenge %q, want %q", got, tt.challenge)
			}
			if resp.StatusCode != 200 && resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("the refusal may be cached")
			}
			if got := body(t, resp); strings.Contains(got, good[:20]) {
				t.Errorf("the answer shows the token:\n%s", got)
			}
		})
	}
}

// swapSignature puts the signature of b under the claims of a.
func swapSignature(a, b string) string {
	return a[:strings.LastIndexByte(a, '.')] + b[strings.LastIndexByte(b, '.'):]
}

func TestSubprotocolCredential(t *testing.T) {
	w := openWorld(t, nil)
	good := w.mint(t)
	server := w.serve(t, echo)
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	for _, tt := range []struct {
		attack  string
		target  string
		lines   []string
		status  int
		forward string // what is left of the offer
	}{
		{"alone", "/ws", []string{"Sec-WebSocket-Protocol: bearer, " + good}, 200, ""},
		{"with others", "/ws", []string{"Sec-WebSocket-Protocol: bearer, " + good + ", market.v1, market.v2"}, 200, "market.v1, market.v2"},
		{"over two lines", "/ws", []string{"Sec-WebSocket-Protocol: bearer", "Sec-WebSocket-Protocol: " + good + ",market.v1"}, 200, "market.v1"},
		{"again behind", "/ws", []string{"Sec-WebSocket-Protocol: bearer, " + good + ", market.v1, " + good}, 200, "market.v1"},
		{"again before", "/ws", []string{"Sec-WebSocket-Protocol: " + good, "Sec-WebSocket-Protocol: market.v1, bearer, " + good}, 200, "market.v1"},
		{"not first", "/ws", []string{"Sec-WebSocket-Protocol: market.v1, bearer, " + good}, 200, "market.v1"},
		{"no offer, header", "/ws", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: market.v1"}, 200, "market.v1"},
		{"header too", "/ws", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: bearer, " + good}, 400, ""},
		{"twice", "/ws", []string{"Sec-WebSocket-Protocol: bearer, " + good + ", bearer, " + good}, 400, ""},
		{"twice, token once", "/ws", []string{"Sec-WebSocket-Protocol: bearer, bearer, " + good}, 400, ""},
		{"query too", "/ws?access_token=x", []string{"Sec-WebSocket-Protocol: bearer, " + good}, 400, ""},
		{"malformed header too", "/ws", []string{"Authorization: Bearer  x", "Sec-WebSocket-Protocol: bearer, " + good}, 400, ""},
		{"without a token", "/ws", []string{"Sec-WebSocket-Protocol: bearer"}, 400, ""},
		{"bad token", "/ws", []string{"Sec-WebSocket-Protocol: bearer, abc"}, 401, ""},
		{"route takes the header alone", "/header-only", []string{"Sec-WebSocket-Protocol: bearer, " + good}, 401, ""},
		{"route takes the header alone, which is there", "/header-only", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: bearer, " + good + ", market.v1"}, 200, "market.v1"},
		{"route takes the subprotocol alone", "/subprotocol-only", []string{"Sec-WebSocket-Protocol: bearer, " + good + ", market.v1"}, 200, "market.v1"},
		{"route takes the subprotocol alone, header", "/subprotocol-only", []string{"Authorization: Bearer " + good}, 401, ""},
		{"route takes the subprotocol alone, header beside an offer", "/subprotocol-only", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: market.v1"}, 401, ""},
		{"route takes the subprotocol alone, both", "/subprotocol-only", []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: bearer, " + good}, 400, ""},
		{"route takes the subprotocol alone, another scheme too", "/subprotocol-only", []string{"Authorization: Basic eDp5", "Sec-WebSocket-Protocol: bearer, " + good + ", market.v1"}, 200, "market.v1"},
		{"route takes the subprotocol alone, nothing", "/subprotocol-only", nil, 401, ""},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, get(tt.target, append(slices.Clone(upgrade), tt.lines...)...))
			got := body(t, resp)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.status, got)
			}
			if strings.Contains(got, good) {
				t.Errorf("the token reached the upstream:\n%s", got)
			}
			if want := "Sec-Websocket-Protocol: " + tt.forward; tt.forward != "" && !strings.Contains(got, want) {
				t.Errorf("want %s:\n%s", want, got)
			}
			if tt.status == 200 && tt.forward == "" && strings.Contains(got, "Sec-Websocket-Protocol") {
				t.Errorf("an empty offer is left:\n%s", got)
			}
		})
	}
	t.Run("no upgrade", func(t *testing.T) {
		if resp := raw(t, server, get("/ws", "Sec-WebSocket-Protocol: bearer, "+good)); resp.StatusCode != 401 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("no upgrade, header, where the subprotocol alone is taken", func(t *testing.T) {
		resp := raw(t, server, get("/subprotocol-only", "Authorization: Bearer "+good))
		if got := body(t, resp); resp.StatusCode != 401 || !strings.Contains(got, "takes its token from a WebSocket handshake alone") {
			t.Errorf("status %d: %s", resp.StatusCode, got)
		}
	})
}

func TestPublicRouteIgnoresAndStripsCredentials(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.ForwardToken = true })
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		rw.Header().Set("X-Query", r.URL.RawQuery)
		rw.Header().Set("X-Target", r.RequestURI) // which a proxy may log
		return r.Header.Write(rw)
	}))
	for _, lines := range [][]string{
		{"Authorization: Bearer SECRET"},
		{"Authorization: Bearer  SECRET"},
		{"Authorization: Bearer SECRET", "Authorization: Basic SECRET"},
		{"Sec-WebSocket-Protocol: bearer, SECRET"},
		{"X-Auth-Subject: SECRET"},
	} {
		resp := raw(t, server, get("/health?a=1;access_token=SECRET&b=2", lines...))
		got := body(t, resp)
		if resp.StatusCode != 200 || strings.Contains(got, "SECRET") {
			t.Errorf("%v: status %d:\n%s", lines, resp.StatusCode, got)
		}
		if query := resp.Header.Get("X-Query"); query != "a=1&b=2" {
			t.Errorf("query %q", query)
		}
		if target := resp.Header.Get("X-Target"); target != "/health?a=1&b=2" {
			t.Errorf("target %q", target)
		}
		for _, name := range []string{"Subject", "Client", "Accounts", "Scope"} {
			if !strings.Contains(got, "X-Auth-"+name+": \r\n") {
				t.Errorf("X-Auth-%s is not empty:\n%s", name, got)
			}
		}
	}
}

func TestForwardToken(t *testing.T) {
	for _, forward := range []bool{true, false} {
		w := openWorld(t, func(o *Options) { o.ForwardToken = forward })
		good := w.mint(t)
		got := body(t, raw(t, w.serve(t, echo), get("/accounts", "Authorization: Bearer "+good)))
		if strings.Contains(got, good) != forward {
			t.Errorf("forward %v:\n%s", forward, got)
		}
	}
}

func TestCarriesSecret(t *testing.T) {
	for _, tt := range []struct {
		target, offer string
		want          bool
	}{
		{"/a", "", false},
		{"/a?b=access_token", "", false},
		{"/a", "market.v1", false},
		{"/a", "bearer, x", true},
		{"/a", "Bearer,x", true},
		{"/a?access_token=x", "", true},
		{"/a?b=1;access_token=x", "", true},
		{"/a?%61ccess_token=x", "", true},
		{"/a?ACCESS_TOKEN=x", "", true},
	} {
		r := httptest.NewRequest("GET", tt.target, nil)
		if tt.offer != "" {
			r.Header.Set("Sec-WebSocket-Protocol", tt.offer)
		}
		if got := CarriesSecret(r); got != tt.want {
			t.Errorf("%s %q: %v", tt.target, tt.offer, got)
		}
	}
}

func TestMisplacesSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Authorization": true, "x-forwarded-authorization": true, "X-Access-Token": true,
		"Authorization": false, "X-Request-Id": false,
	} {
		r := httptest.NewRequest("GET", "/a", nil)
		r.Header.Set(name, "Bearer x")
		if got := MisplacesSecret(r); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// When the store cannot be asked (REVOCATION-07), the answer is 503: never a pass, and never a
// 401, upon which a client would throw a good token away.
func TestStoreAway(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, nothing)
	for name, err := range map[string]error{
		"unavailable": store.ErrUnavailable,
		"anything":    errors.New("broken"),
	} {
		t.Run(name, func(t *testing.T) {
			fresh := w.personal(t, "read:accounts")
			w.broken.Store(&err)
			defer w.broken.Store(nil)
			resp := raw(t, server, get("/accounts", "Authorization: Bearer "+fresh))
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
			}
		})
	}
	t.Run("signed tokens need no store", func(t *testing.T) {
		good := w.mint(t)
		err := store.ErrUnavailable
		w.broken.Store(&err)
		defer w.broken.Store(nil)
		if resp := raw(t, server, get("/accounts", "Authorization: Bearer "+good)); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// The parser never finds a token where there are two headers, what it finds is a
// part of what was sent, and nothing of it is handed on.
func FuzzCredential(f *testing.F) {
	for _, seed := range [][3]string{
		{"Bearer abc", "bearer, abc", "access_token=1"}, {"bearer  x", "chat", "a=1;b"}, {"Basic x", "bearer,", "%61ccess_token"}, {"BEARER abc", "", ""},
		{"Bearer\tabc", "", ""}, {"Bearer abc \t", "", ""}, {`Bearer "abc"`, "", ""}, {"Bearer abc extra", "", ""}, {"Bearer%20abc", "", ""}, {"Token abc", "", ""},
		{"DPoP abc", "", ""}, {"Bearer a\x00b", "", ""}, {"Bearer \xe9", "", ""}, {"", "bearer,abc", ""}, {"", "abc, bearer, abc, abc", ""}, {"", "bearer, bearer, abc", ""},
		{"", "BEARER\t,\tabc,chat", "a&access_token"}, {"Bearer", "", "ACCESS_TOKEN=x"}, {"Bearer ", ",,bearer", "access%5ftoken=x"},
	} {
		f.Add(seed[0], seed[1], "chat", seed[2])
		f.Add(seed[0], "chat", seed[1], seed[2])
	}
	route := &policy.Route{Credentials: policy.Header | policy.Subprotocol}
	f.Fuzz(func(t *testing.T, authorization, first, second, query string) {
		r := httptest.NewRequest("GET", "/ws", nil)
		r.URL.RawQuery = query
		r.Header = http.Header{
			"Authorization": {authorization}, "Sec-Websocket-Protocol": {first, second},
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		}
		raw, flaw := credential(r, route)
		if (raw == "") == (flaw == nil) {
			t.Fatalf("token %q, flaw %v", raw, flaw)
		}
		if !strings.Contains(authorization, raw) && !strings.Contains(first, raw) && !strings.Contains(second, raw) {
			t.Fatalf("token %q was not sent", raw)
		}
		if CarriesSecret(r) {
			stripSubprotocol(r.Header, r.Header["Sec-Websocket-Protocol"])
			stripQuery(r)
			r.RequestURI = ""
			if CarriesSecret(r) {
				t.Fatalf("left over: %q %q", r.Header["Sec-Websocket-Protocol"], r.URL.RawQuery)
			}
			left := strings.Join(r.Header["Sec-Websocket-Protocol"], ", ")
			if offered, count := subprotocolToken([]string{first, second}); count == 1 && offered != "" && slices.Contains(strings.Split(left, ", "), offered) {
				t.Fatalf("the token %q is handed on: %q", offered, left)
			}
		}
		r.Header["Authorization"] = []string{authorization, authorization}
		if raw, _ := credential(r, route); raw != "" {
			t.Fatal("took one of two")
		}
	})
}
