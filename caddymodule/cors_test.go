package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	appOrigin  = "https://app.test"
	evilOrigin = "https://evil.test"
)

var corsPolicy = strings.Replace(testPolicy, "version: 1\n", "version: 1\ncors: {origins: [\""+appOrigin+"\"], expose: [X-Total]}\n", 1)

// pageAnswer is what a page's request is answered with.
func (s *server) pageAnswer(request *http.Request, origin string, status int) http.Header {
	s.t.Helper()
	request.Header.Set("Origin", origin)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		s.t.Errorf("%s %s by %s: %s, want %d", request.Method, request.URL.Path, origin, response.Status, status)
	}
	return response.Header
}

// mayRead fails unless a page of that origin, and no other, may read an answer.
func (s *server) mayRead(h http.Header, origin string) {
	s.t.Helper()
	got, expose := h.Values("Access-Control-Allow-Origin"), h.Get("Access-Control-Expose-Headers")
	if len(got) != 1 || got[0] != origin || h.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(expose, "WWW-Authenticate") {
		s.t.Errorf("%s may not read it: %v", origin, h)
	}
	if vary := strings.Join(h.Values("Vary"), ", "); !strings.Contains(vary, "Origin") {
		s.t.Errorf("Vary %q", vary)
	}
}

// openBackend is an API that lets every page in, with its cookies.
func openBackend(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("X-Total", "3")
		w.Header().Set("X-Method", r.Method)
	}))
	t.Cleanup(server.Close)
	return server
}

// preflight is the question of a browser.
func (s *server) preflight(path string) *http.Request {
	request := s.call("OPTIONS", path, "")
	request.Header.Set("Access-Control-Request-Method", "GET")
	request.Header.Set("Access-Control-Request-Headers", "authorization")
	return request
}

// Pages of the origins that the policy names can use the API and read what the
// gate refuses; others can't, whatever the API says of itself.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]string{"the gate answers": "", "handle_errors answers": "handle_errors {\n respond \"house style {err.status_code}\"\n}"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.write("policy.yaml", corsPolicy)
			api := openBackend(t)
			s.config = strings.Replace(s.caddyfile(siteOptions{site: site}), s.backend.address(), strings.TrimPrefix(api.URL, "http://"), 1)
			s.start()
			token := s.obtain("read:accounts").Access

			h := s.pageAnswer(s.preflight("/api/v1/accounts"), appOrigin, 204)
			if h.Get("Access-Control-Allow-Origin") != appOrigin || h.Get("Access-Control-Allow-Methods") != "GET, HEAD" || h.Get("Access-Control-Allow-Headers") != "authorization, content-type" || h.Get("X-Method") != "" {
				t.Errorf("preflight: %v", h)
			}
			for _, origin := range []string{evilOrigin, "null"} {
				if h := s.pageAnswer(s.preflight("/api/v1/accounts"), origin, 403); h.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("preflight of %s: %v", origin, h)
				}
			}
			once, _ := s.personal("--principal", serviceID, "--scopes", "read:accounts", "--rate", "1/h")
			for _, tt := range []struct {
				method, path, token string
				status              int
			}{
				{"GET", "/api/v1/accounts", token, 200},
				{"GET", "/health", "", 200},
				{"GET", "/api/v1/accounts", "", 401},
				{"GET", "/api/v1/accounts", token + "x", 401},
				{"GET", "/api/v1/eft", token, 403},
				{"GET", "/nowhere", token, 403},
				{"OPTIONS", "/api/v1/accounts", token, 403}, // no preflight: a request like any other
				{"GET", "/api/v1/accounts", once, 200},
				{"GET", "/api/v1/accounts", once, 429},
			} {
				s.mayRead(s.pageAnswer(s.call(tt.method, tt.path, tt.token), appOrigin, tt.status), appOrigin)
				if h := s.pageAnswer(s.call(tt.method, tt.path, tt.token), evilOrigin, max(tt.status, map[string]int{once: 429}[tt.token])); h.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s: a foreign page may read it: %v", tt.method, tt.path, h)
				}
			}
			api.Close()
			s.mayRead(s.pageAnswer(s.call("GET", "/api/v1/accounts", token), appOrigin, 502), appOrigin)
		})
	}
}

// A changed policy counts for pages too, and without CORS the API's own stands.
func TestPagesFollowThePolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.write("policy.yaml", corsPolicy)
	s.config = strings.Replace(s.config, s.backend.address(), strings.TrimPrefix(openBackend(t).URL, "http://"), 1)
	s.start()
	s.mayRead(s.pageAnswer(s.call("GET", "/health", ""), appOrigin, 200), appOrigin)
	s.write("policy.yaml", strings.Replace(corsPolicy, appOrigin, "https://other.test", 1))
	s.eventually("another page may read", func() bool {
		return s.pageAnswer(s.call("GET", "/health", ""), "https://other.test", 200).Get("Access-Control-Allow-Origin") == "https://other.test"
	})
	if h := s.pageAnswer(s.call("GET", "/health", ""), appOrigin, 200); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the page of before: %v", h)
	}
	s.write("policy.yaml", testPolicy)
	s.eventually("the API's own counts", func() bool {
		h := s.pageAnswer(s.call("GET", "/health", ""), evilOrigin, 200)
		return h.Get("Access-Control-Allow-Origin") == "*" && h.Get("Access-Control-Allow-Credentials") == "true"
	})
}

// Routes in a gate's block have CORS of their own, and not the policy's.
func TestPagesOfTheGatesOwnRoutes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.write("policy.yaml", strings.Replace(corsPolicy, appOrigin, evilOrigin, 1))
	s.config = s.withRoutes(ownRoutes + `
		route off GET /api/v1/off {
			public
			cors off
		}
		cors {
			origins ` + appOrigin + `
		}
	`)
	s.start()
	s.mayRead(s.pageAnswer(s.call("GET", "/health", ""), appOrigin, 200), appOrigin)
	for path, origin := range map[string]string{"/health": evilOrigin, "/api/v1/off": appOrigin} {
		if h := s.pageAnswer(s.call("GET", path, ""), origin, 200); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	complaint := s.reload(strings.Replace(s.config, "origins "+appOrigin, "origins "+appOrigin+"/", 1))
	if !strings.Contains(strings.ReplaceAll(complaint, `\`, ""), `routes of bearer_gate: cors: origin "`+appOrigin+`/": browsers write it "`+appOrigin+`"`) {
		t.Errorf("a wrong origin: %s", complaint)
	}
}

func TestExplainTellsOfPages(t *testing.T) {
	s := newServer(t)
	s.write("cors.yaml", strings.Replace(corsPolicy, `require: {scopes: [read:eft]}}`, `require: {scopes: [read:eft]}, cors: {origins: []}}`, 1))
	for request, want := range map[string]string{
		"GET /api/v1/accounts": "pages     of https://app.test\n",
		"GET /api/v1/eft":      "pages     of no other origin\n",
	} {
		if out := s.ok("", "bearer", "policy", "explain", "cors.yaml", "--request", request); !strings.Contains(out, want) {
			t.Errorf("%s: %s", request, out)
		}
	}
	out := s.ok("", "bearer", "policy", "explain", "cors.yaml", "--request", "GET /api/v1/accounts", "--json")
	var e struct {
		CORS struct {
			Origins, Headers, Expose []string
			MaxAge                   int `json:"max_age"`
		}
	}
	if s.decode(out, &e); len(e.CORS.Origins) != 1 || len(e.CORS.Headers) != 2 || len(e.CORS.Expose) != 1 || e.CORS.MaxAge != 600 {
		t.Errorf("%s", out)
	}
}
