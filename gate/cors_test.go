package gate

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const (
	appOrigin  = "https://app.test"
	deskOrigin = "https://desk.test"
	evilOrigin = "https://evil.test"
)

// corsPolicy is testPolicy with CORS for all routes, for one otherwise, for one
// not at all.
var corsPolicy = strings.NewReplacer(
	"version: 1\n", "version: 1\ncors: {origins: [\""+appOrigin+"\"], headers: [authorization, x-trace], expose: [X-Total], max_age: 2m}\n",
	"{id: upload, match: {methods: [POST], path: /upload}", "{id: upload, match: {methods: [POST], path: /upload}, cors: {origins: [\""+deskOrigin+"\"]}",
	"{id: desk, match: {methods: [GET], path: /desk}", "{id: desk, match: {methods: [GET], path: /desk}, cors: {origins: []}",
).Replace(testPolicy) + `
  - {id: list-more, match: {methods: [POST, PATCH], path: /accounts}, require: {scopes: [trade:orders]}}
  - {id: list-remove, match: {methods: [DELETE], path: /accounts}, require: {scopes: [trade:orders]}, cors: {origins: ["` + deskOrigin + `"]}}
  - {id: options, match: {methods: [OPTIONS], path: /options}, require: {scopes: [read:accounts]}}
`

func openCORS(t testing.TB, src string) *world {
	t.Helper()
	w := openWorld(t, nil)
	w.rules.Store(loadPolicy(t, src))
	return w
}

// preflightOf asks as a browser does.
func preflightOf(target, origin, method string, more ...string) string {
	return request("OPTIONS", target, append([]string{"Origin: " + origin, "Access-Control-Request-Method: " + method, "Access-Control-Request-Headers: authorization"}, more...)...)
}

func TestPreflight(t *testing.T) {
	w := openCORS(t, corsPolicy)
	hits := 0
	server := w.serve(t, handlerFunc(func(http.ResponseWriter, *http.Request) error { hits++; return nil }))
	for _, tt := range []struct {
		name, request string
		status        int
		methods       string // empty: no permission
		headers, age  string
	}{
		{"allowed", preflightOf("/accounts", appOrigin, "GET"), 204, "GET, HEAD, POST, PATCH", "authorization, x-trace", "120"},
		{"another method of the path", preflightOf("/accounts", appOrigin, "PATCH"), 204, "GET, HEAD, POST, PATCH", "authorization, x-trace", "120"},
		{"with a query", preflightOf("/accounts?a=b", appOrigin, "GET"), 204, "GET, HEAD, POST, PATCH", "authorization, x-trace", "120"},
		{"public route", preflightOf("/health", appOrigin, "GET"), 204, "GET, HEAD", "authorization, x-trace", "120"},
		{"hidden scope", preflightOf("/accounts/42/orders", appOrigin, "POST"), 204, "POST", "authorization, x-trace", "120"},
		{"of a route", preflightOf("/upload", deskOrigin, "POST"), 204, "POST", "authorization, content-type", "600"},
		{"of a route of the path", preflightOf("/accounts", deskOrigin, "DELETE"), 204, "DELETE", "authorization, content-type", "600"},
		{"method without a route", preflightOf("/accounts", appOrigin, "PUT"), 204, "GET, HEAD, POST, PATCH", "authorization, x-trace", "120"},
		{"no route", preflightOf("/nowhere", appOrigin, "GET"), 204, "", "authorization, x-trace", "120"},
		{"a dead token along", preflightOf("/accounts", appOrigin, "GET", "Authorization: Bearer abc"), 204, "GET, HEAD, POST, PATCH", "authorization, x-trace", "120"},

		{"foreign origin", preflightOf("/accounts", evilOrigin, "GET"), 403, "", "", ""},
		{"origin null", preflightOf("/accounts", "null", "GET"), 403, "", "", ""},
		{"origin of the policy, where the route has another", preflightOf("/upload", appOrigin, "POST"), 403, "", "", ""},
		{"origin of the path's other route", preflightOf("/accounts", deskOrigin, "GET"), 403, "", "", ""},
		{"route for nobody's page", preflightOf("/desk", appOrigin, "GET"), 403, "", "", ""},
		{"upper-case origin", preflightOf("/accounts", "https://APP.test", "GET"), 403, "", "", ""},
		{"origin that begins alike", preflightOf("/accounts", appOrigin+".evil.test", "GET"), 403, "", "", ""},
		{"origin that ends alike", preflightOf("/accounts", "https://x"+"app.test", "GET"), 403, "", "", ""},
		{"origin over http", preflightOf("/accounts", "http://app.test", "GET"), 403, "", "", ""},
		{"origin with another port", preflightOf("/accounts", appOrigin+":8443", "GET"), 403, "", "", ""},
		{"origin with a slash", preflightOf("/accounts", appOrigin+"/", "GET"), 403, "", "", ""},
		{"two origins in a header", preflightOf("/accounts", appOrigin+" "+evilOrigin, "GET"), 403, "", "", ""},
		{"two headers", preflightOf("/accounts", appOrigin, "GET", "Origin: "+evilOrigin), 403, "", "", ""},
		{"empty origin", preflightOf("/accounts", "", "GET"), 403, "", "", ""},

		{"path that cannot be judged", preflightOf("/accounts/../desk", appOrigin, "GET"), 400, "", "", ""},
		{"not a preflight: no method asked for", request("OPTIONS", "/accounts", "Origin: "+appOrigin), 403, "", "", ""},
		{"not a preflight: no origin", request("OPTIONS", "/accounts", "Access-Control-Request-Method: GET"), 403, "", "", ""},
		{"OPTIONS is no way around a token", request("OPTIONS", "/options"), 401, "", "", ""},
		{"GET with what a preflight has", request("GET", "/accounts", "Origin: "+appOrigin, "Access-Control-Request-Method: GET"), 401, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := raw(t, server, tt.request)
			h := resp.Header
			if resp.StatusCode != tt.status || h.Get("Access-Control-Allow-Methods") != tt.methods ||
				h.Get("Access-Control-Allow-Headers") != tt.headers || h.Get("Access-Control-Max-Age") != tt.age {
				t.Errorf("%d %v\n%s", resp.StatusCode, h, body(t, resp))
			}
			if tt.status == 403 && strings.HasPrefix(tt.request, "OPTIONS") && strings.Contains(tt.request, "-Method: ") && strings.Contains(tt.request, "Origin: ") {
				if got := body(t, resp); h.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(got, `"code":"origin_not_allowed"`) {
					t.Errorf("%v %s", h, got)
				}
			}
			if tt.status == 204 && (len(h.Values("Access-Control-Allow-Origin")) != 1 || !strings.Contains(tt.request, "Origin: "+h.Get("Access-Control-Allow-Origin")+"\r\n")) {
				t.Errorf("%v", h)
			}
			if vary := strings.Join(h.Values("Vary"), ", "); tt.status == 204 && vary != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
				t.Errorf("Vary %q", vary)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("pages may send cookies")
			}
		})
	}
	if hits != 0 {
		t.Errorf("%d requests came through", hits)
	}
}

// Where the policy says nothing, a preflight is a request like any other.
func TestPreflightWithoutCORS(t *testing.T) {
	options := strings.Replace(testPolicy, "{id: list, match: {methods: [GET]", "{id: public, match: {methods: [OPTIONS], path: /accounts}, public: true}\n  - {id: list, match: {methods: [GET]", 1)
	own := handlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "GET")
		return nil
	})
	server := openCORS(t, options).serve(t, own)
	resp := raw(t, server, preflightOf("/accounts", evilOrigin, "GET"))
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Methods") != "GET" || resp.Header.Get("Vary") != "" {
		t.Errorf("the upstream's own answer: %d %v", resp.StatusCode, resp.Header)
	}
	resp = raw(t, server, preflightOf("/health", evilOrigin, "GET"))
	if resp.StatusCode != 403 || !strings.Contains(body(t, resp), "no_route") {
		t.Errorf("no route for OPTIONS: %d %v", resp.StatusCode, resp.Header)
	}
	resp = raw(t, server, get("/accounts", "Origin: "+evilOrigin))
	if resp.StatusCode != 401 || resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Vary") != "" {
		t.Errorf("a refusal: %d %v", resp.StatusCode, resp.Header)
	}
}

// permission is what an answer lets a page read; want is the origin, and "" none.
func permission(t *testing.T, resp *http.Response, want, vary string) {
	t.Helper()
	h := resp.Header
	got := h.Values("Access-Control-Allow-Origin")
	if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
		t.Errorf("%d Access-Control-Allow-Origin %q, want %q", resp.StatusCode, got, want)
	}
	expose := ""
	if want != "" {
		expose = "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, Location"
	}
	if want == appOrigin {
		expose += ", x-total"
	}
	if got := strings.Join(h.Values("Access-Control-Expose-Headers"), "; "); got != expose {
		t.Errorf("%d Access-Control-Expose-Headers %q, want %q", resp.StatusCode, got, expose)
	}
	if got := strings.Join(h.Values("Vary"), ", "); got != vary {
		t.Errorf("%d Vary %q, want %q", resp.StatusCode, got, vary)
	}
	for _, name := range []string{"Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"} {
		if h.Get(name) != "" {
			t.Errorf("%d %s: %s", resp.StatusCode, name, h.Get(name))
		}
	}
}

func TestAnswersCarryCORS(t *testing.T) {
	w := openCORS(t, corsPolicy)
	all, market, dead := w.mint(t, append([]string{"admin:desk"}, everyScope...)...), w.mint(t, "read:market"), w.mint(t)
	w.revoke(t, dead)
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		// An upstream that has CORS of its own, and lets in everybody.
		for name, value := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "X-Secret",
			"Access-Control-Allow-Methods": "TRACE", "Access-Control-Allow-Headers": "*", "Access-Control-Max-Age": "1", "Vary": "Accept-Encoding",
		} {
			rw.Header().Add(name, value)
		}
		switch r.URL.RawQuery {
		case "fail":
			return errors.New("the upstream is away")
		case "silent": // the server answers in its place
			return nil
		}
		rw.WriteHeader(http.StatusOK)
		return nil
	}))
	for _, tt := range []struct {
		name, method, target, token, origin string
		status                              int
		want, vary                          string
	}{
		{"allowed", "GET", "/accounts", all, appOrigin, 200, appOrigin, "Accept-Encoding, Origin"},
		{"allowed, and no answer", "GET", "/accounts?silent", all, appOrigin, 200, appOrigin, "Accept-Encoding, Origin"},
		{"allowed, no page", "GET", "/accounts", all, "", 200, "", "Accept-Encoding, Origin"},
		{"allowed, foreign page", "GET", "/accounts", all, evilOrigin, 200, "", "Accept-Encoding, Origin"},
		{"allowed, null", "GET", "/accounts", all, "null", 200, "", "Accept-Encoding, Origin"},
		{"route of its own", "POST", "/upload", all, deskOrigin, 200, deskOrigin, "Accept-Encoding, Origin"},
		{"route of its own, page of the others", "POST", "/upload", all, appOrigin, 200, "", "Accept-Encoding, Origin"},
		{"route for nobody's page", "GET", "/desk", all, appOrigin, 200, "", "Accept-Encoding"},
		{"public", "GET", "/health", "", appOrigin, 200, appOrigin, "Accept-Encoding, Origin"},

		{"no token", "GET", "/accounts", "", appOrigin, 401, appOrigin, "Origin"},
		{"no token, no page", "GET", "/accounts", "", "", 401, "", "Origin"},
		{"no token, foreign page", "GET", "/accounts", "", evilOrigin, 401, "", "Origin"},
		{"dead token", "GET", "/accounts", dead, appOrigin, 401, appOrigin, "Origin"},
		{"made-up token", "GET", "/accounts", "abc", appOrigin, 401, appOrigin, "Origin"},
		{"scope lacking", "GET", "/accounts", market, appOrigin, 403, appOrigin, "Origin"},
		{"account of another", "POST", "/accounts/44/orders", w.mint(t, "trade:orders"), appOrigin, 403, appOrigin, "Origin"},
		{"scope lacking, route of its own", "POST", "/upload", market, deskOrigin, 403, deskOrigin, "Origin"},
		{"scope lacking, route of its own, page of the others", "POST", "/upload", market, appOrigin, 403, "", "Origin"},
		{"scope lacking, route for nobody's page", "GET", "/desk", market, appOrigin, 403, "", ""},
		{"no route", "GET", "/nowhere", all, appOrigin, 403, appOrigin, "Origin"},
		{"no route, foreign page", "GET", "/nowhere", all, evilOrigin, 403, "", "Origin"},
		{"path that cannot be judged", "GET", "/a//b", all, appOrigin, 400, appOrigin, "Origin"},
		{"error of what comes behind", "GET", "/accounts?fail", all, appOrigin, 502, appOrigin, "Accept-Encoding, Origin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{"Content-Length: 0"}
			if tt.token != "" {
				lines = append(lines, "Authorization: Bearer "+tt.token)
			}
			if tt.origin != "" {
				lines = append(lines, "Origin: "+tt.origin)
			}
			resp := raw(t, server, request(tt.method, tt.target, lines...))
			if resp.StatusCode != tt.status {
				t.Fatalf("%d %s", resp.StatusCode, body(t, resp))
			}
			permission(t, resp, tt.want, tt.vary)
		})
	}
}

// A page must be able to tell that it lost its token, or was told to wait.
func TestLateRefusalsCarryCORS(t *testing.T) {
	w := openCORS(t, corsPolicy)
	t.Run("the store is away", func(t *testing.T) {
		raw := w.personal(t, "read:accounts")
		away := errors.New("away")
		w.broken.Store(&away)
		defer w.broken.Store(nil)
		rec := w.recorded(t, nothing, "/accounts", raw)
		if rec.Code != 503 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		permission(t, rec.Result(), appOrigin, "Origin")
	})
	t.Run("cut before the answer", func(t *testing.T) {
		raw := w.mint(t)
		dying := handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
			rw.Header().Set("Access-Control-Allow-Origin", "*") // prepared, and not sent
			r.Header.Del("Origin")
			w.revoke(t, raw)
			<-r.Context().Done()
			return r.Context().Err()
		})
		rec := w.recorded(t, dying, "/accounts", raw)
		if rec.Code != 401 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		permission(t, rec.Result(), appOrigin, "Origin")
	})
	t.Run("before the gate is ready", func(t *testing.T) {
		h, r := http.Header{}, httptest.NewRequest("GET", "/accounts", nil)
		r.Header.Set("Origin", appOrigin)
		w.SetCORS(h, r)
		if h.Get("Access-Control-Allow-Origin") != appOrigin {
			t.Errorf("%v", h)
		}
		w.rules.Store(nil)
		h = http.Header{}
		if w.SetCORS(h, r); len(h) != 0 {
			t.Errorf("no policy: %v", h)
		}
	})
}

// recorded is the answer to a GET by a page of appOrigin.
func (w *world) recorded(t testing.TB, next Handler, target, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Origin", appOrigin)
	rec := httptest.NewRecorder()
	w.gated(next).ServeHTTP(rec, r)
	return rec
}

// Who can't see the Origin any more still gets the answer for it.
func TestCORSAfterTheRequestWasChanged(t *testing.T) {
	w := openCORS(t, corsPolicy)
	rec := w.recorded(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		r.Header.Set("Origin", evilOrigin)
		rw.Header().Set("Vary", "*")
		rw.WriteHeader(http.StatusCreated)
		return nil
	}), "/accounts", w.mint(t))
	permission(t, rec.Result(), appOrigin, "*")
}

// A browser asks nobody before a page opens a WebSocket, and lets the page read.
func TestWebSocketsOfForeignPages(t *testing.T) {
	w := openCORS(t, strings.Replace(corsPolicy, "{id: health, match: {methods: [GET], path: /health}",
		"{id: open, match: {methods: [GET], path: /open}, public: true, cors: {origins: []}}\n  - {id: health, match: {methods: [GET], path: /health}", 1))
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.WriteHeader(http.StatusTeapot) // came through
		return nil
	}))
	bearer := "Sec-WebSocket-Protocol: bearer, " + w.mint(t)
	for _, tt := range []struct {
		name, target string
		origin       []string
		status       int
	}{
		{"page that may", "/ws", []string{appOrigin}, 418},
		{"no page", "/ws", nil, 418},
		{"page of the same server", "/ws", []string{"https://gw.test"}, 418},
		{"program that claims to be one", "/ws", []string{"http://GW.test:80"}, 418},
		{"foreign page", "/ws", []string{evilOrigin}, 403},
		{"null", "/ws", []string{"null"}, 403},
		{"empty", "/ws", []string{""}, 403},
		{"two", "/ws", []string{appOrigin, appOrigin}, 403},
		{"a host that begins alike", "/ws", []string{"https://gw.test.evil.test"}, 403},
		{"another port", "/ws", []string{"https://gw.test:8443"}, 403},
		{"public, for nobody's page", "/open", []string{appOrigin}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", bearer}
			for _, origin := range tt.origin {
				lines = append(lines, "Origin: "+origin)
			}
			resp := raw(t, server, get(tt.target, lines...))
			if got := body(t, resp); resp.StatusCode != tt.status || tt.status == 403 && !strings.Contains(got, "origin_not_allowed") {
				t.Errorf("%d %s", resp.StatusCode, got)
			}
		})
	}
	t.Run("where the policy says nothing", func(t *testing.T) {
		w.rules.Store(loadPolicy(t, testPolicy))
		if resp := raw(t, server, get("/ws", "Connection: Upgrade", "Upgrade: websocket", bearer, "Origin: "+evilOrigin)); resp.StatusCode != 418 {
			t.Errorf("%d %s", resp.StatusCode, body(t, resp))
		}
	})
}

// An event stream is read by pages too, and each of its answers has one header.
func TestCORSOfEventStreams(t *testing.T) {
	w := openCORS(t, corsPolicy)
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Content-Type", "text/event-stream")
		_, err := rw.Write([]byte("data: 1\n\n"))
		return err
	}))
	resp := raw(t, server, get("/sse", "Connection: close", "Origin: "+appOrigin, "Authorization: Bearer "+w.mint(t)))
	permission(t, resp, appOrigin, "Origin")
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "data: 1\n" {
		t.Errorf("%q %v", line, err)
	}
}

func TestCheckAllocatesNothingForNoPage(t *testing.T) {
	w := openCORS(t, corsPolicy)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header.Set("Authorization", "Bearer "+w.mint(t))
	w.checkOnce(t, r)
	if n := testing.AllocsPerRun(1000, func() { w.checkOnce(t, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
