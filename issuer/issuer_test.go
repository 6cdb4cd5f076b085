package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// at returns the bank's issuer under another URL.
func (b *bank) at(t *testing.T, url string) *Issuer {
	t.Helper()
	o := b.options
	o.URL = url
	i, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func serve(i *Issuer, method, target string) *answer {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return &answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

func TestNewRefusesWhatIsNoIssuer(t *testing.T) {
	b := newBank(t, nil)
	for _, url := range []string{
		"", "as.test", "//as.test", "ftp://as.test", "https://", "https://:443", "https://as.test/", "https://as.test/a/",
		"https://as.test?x", "https://as.test?", "https://as.test#x", "https://as.test#", "https://user:secret@as.test",
		"https://as.test/a//b", "https://as.test/../b", "https://as.test/a%2fb", "https://as.test/ä", "https://as.test/{x}", "https://a b",
	} {
		o := b.options
		o.URL = url
		if _, err := New(o); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
	for name, bend := range map[string]func(*Options){
		"Authority":       func(o *Options) { o.Authority = nil },
		"Store":           func(o *Options) { o.Store = nil },
		"Secrets":         func(o *Options) { o.Secrets = nil },
		"Policy":          func(o *Options) { o.Policy = nil },
		"CodeLifetime":    func(o *Options) { o.CodeLifetime = 0 },
		"RefreshLifetime": func(o *Options) { o.RefreshLifetime = -1 },
	} {
		o := b.options
		bend(&o)
		if _, err := New(o); err == nil {
			t.Errorf("without %s is accepted", name)
		}
	}
	o := b.options
	o.ClientIP, o.RequestID, o.Now, o.Log = nil, nil, nil, nil
	i, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := serve(i, "GET", pathJWKS); got.status != 200 {
		t.Errorf("with defaults: %d", got.status)
	}
}

func TestHandles(t *testing.T) {
	b := newBank(t, nil)
	root, below := b.at(t, "https://as.test"), b.at(t, "https://as.test/t1")
	for _, test := range []struct {
		path        string
		root, below bool
	}{
		{"/api/v1/s2s-oauth2/code", true, false},
		{"/api/v1/s2s-oauth2/token", true, false},
		{"/oauth2/token", true, false},
		{"/oauth2/introspect", true, false},
		{"/oauth2/revoke", true, false},
		{"/oauth2/jwks", true, false},
		{"/.well-known/oauth-authorization-server", true, false},
		{"/token/self", true, false},
		{"/problems/invalid-token", true, false},
		{"/problems/no-such", true, false},
		{"/t1/api/v1/s2s-oauth2/code", false, true},
		{"/t1/api/v1/s2s-oauth2/token", false, true},
		{"/t1/oauth2/token", false, true},
		{"/t1/oauth2/introspect", false, true},
		{"/t1/oauth2/revoke", false, true},
		{"/t1/token/self", false, true},
		{"/t1/oauth2/jwks", false, true},
		{"/.well-known/oauth-authorization-server/t1", false, true},
		{"/t1/problems/invalid-token", false, true},
		{"/t1/.well-known/oauth-authorization-server", false, false},
		{"/", true, false},
		{"/t1", false, true},
		{"/t1/", false, false},
		{"/v1/orders", false, false},
		{"/problems/", false, false},
		{"/problems/a/b", false, false},
		{"/API/v1/s2s-oauth2/code", false, false},
		{"/api/v1/s2s-oauth2/code/", false, false},
		{"//api/v1/s2s-oauth2/code", false, false},
		{"/x/../api/v1/s2s-oauth2/code", false, false},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PROPFIND", "CONNECT"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method, r.URL.Path = method, test.path
			if got := root.Handles(r); got != test.root {
				t.Errorf("https://as.test: %s %s: %v", method, test.path, got)
			}
			if got := below.Handles(r); got != test.below {
				t.Errorf("https://as.test/t1: %s %s: %v", method, test.path, got)
			}
		}
	}
	got := serve(root, "GET", "/v1/orders")
	got.wantError(t, 404, "invalid_request")
}

func TestRFC8414_Metadata(t *testing.T) {
	b := newBank(t, nil)
	for url, path := range map[string]string{
		"https://as.test":       "/.well-known/oauth-authorization-server",
		"https://as.test:8/a/b": "/.well-known/oauth-authorization-server/a/b",
	} {
		i := b.at(t, url)
		got := serve(i, "GET", "http://evil.test"+path)
		const methods = `["client_secret_basic","client_secret_post"]`
		const public = `["none","client_secret_basic","client_secret_post"]`
		want := fmt.Sprintf(`{"issuer":"%[1]s","authorization_endpoint":"%[1]s/oauth2/authorize","token_endpoint":"%[1]s/oauth2/token",`+
			`"token_endpoint_auth_methods_supported":`+public+`,"jwks_uri":"%[1]s/oauth2/jwks",`+
			`"scopes_supported":["read:accounts","read:remittance","write:remittance","all:remittance","read:eft","write:eft","all:eft","write:loans"],`+
			`"response_types_supported":["code"],"response_modes_supported":["query"],`+
			`"grant_types_supported":["authorization_code","client_credentials","refresh_token"],`+
			`"code_challenge_methods_supported":["S256"],"authorization_response_iss_parameter_supported":true,`+
			`"revocation_endpoint":"%[1]s/oauth2/revoke","revocation_endpoint_auth_methods_supported":`+public+`,`+
			`"introspection_endpoint":"%[1]s/oauth2/introspect","introspection_endpoint_auth_methods_supported":`+methods+`}`, url)
		if got.status != 200 || got.body != want {
			t.Errorf("%d %s\nwant %s", got.status, got.body, want)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("header %v", got.header)
		}
		// What is advertised is there.
		var endpoints map[string]any
		if err := json.Unmarshal([]byte(got.body), &endpoints); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint"} {
			if got := serve(i, "GET", endpoints[name].(string)); got.status == 404 {
				t.Errorf("%s is not served", name)
			}
		}
	}
}

func TestDocumentsByMethod(t *testing.T) {
	b := newBank(t, nil)
	for _, path := range []string{pathJWKS, wellKnown, pathProblems + "invalid-token"} {
		get, head := b.do(call{method: "GET", path: path}), b.do(call{method: "HEAD", path: path})
		if get.status != 200 || head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
			t.Errorf("%s: GET %d, HEAD %d %v", path, get.status, head.status, head.header)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
			got := b.do(call{method: method, path: path})
			got.wantError(t, 405, "invalid_request")
			if got.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: Allow %q", method, path, got.header.Get("Allow"))
			}
		}
	}
}

func TestRFC7517_JWKS(t *testing.T) {
	b := newBank(t, nil)
	got := b.do(call{method: "GET", path: pathJWKS}).ok(t)
	if got.header.Get("Content-Type") != "application/jwk-set+json" || got.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("header %v", got.header)
	}
	if got.body != string(b.authority.JWKS()) || strings.Contains(got.body, `"d"`) {
		t.Errorf("body %s", got.body)
	}
}

func TestProblemPages(t *testing.T) {
	b := newBank(t, nil)
	for code, text := range problemTexts {
		got := b.do(call{method: "GET", path: pathProblems + code}).ok(t)
		if !strings.Contains(got.body, text.Title) || !strings.Contains(got.body, "What to do") {
			t.Errorf("%s: %s", code, got.body)
		}
		csp := got.header.Get("Content-Security-Policy")
		if got.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: header %v", code, got.header)
		}
		for _, active := range []string{"<script", "<iframe", "<img", "<link", "<form", "://", "style=", "onclick"} {
			if strings.Contains(got.body, active) {
				t.Errorf("%s: has %q", code, active)
			}
		}
	}
	for _, code := range []string{"nothing", "Invalid-Token", "%3Cscript%3E", "invalid-token%00", "invalid_token"} {
		got := b.do(call{method: "GET", path: pathProblems + code})
		if got.status != 404 || got.header.Get("Cache-Control") != "no-store" || strings.Contains(got.body, "script") {
			t.Errorf("%s: %d %v %s", code, got.status, got.header, got.body)
		}
	}
}

func TestCarriesSecret(t *testing.T) {
	with := func(name, value string) *http.Request {
		r := httptest.NewRequest("GET", "/api", nil)
		r.Header[name] = []string{value}
		return r
	}
	target := func(target string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		return r
	}
	for name, test := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"plain":               {with("Accept", "x"), false},
		"Authorization":       {with("Authorization", "Bearer x"), false}, // every log leaves it out
		"service account":     {with("X-Service-Account-Secret", "x"), true},
		"vendor":              {with("X-Ibm-Client-Secret", "x"), true},
		"alias":               {with("X-Client-Secret", "x"), true},
		"another vendor":      {with("X-Acme-Client-Secret", "x"), true},
		"not canonical":       {with("x_service_account_SECRET", "x"), true},
		"id alone":            {with("X-Service-Account-Id", "x"), false},
		"harmless query":      {target("/api?a=1&page=2"), false},
		"code":                {target("/api?a=1&code=x"), true},
		"behind a semicolon":  {target("/api?a=1;code=x"), true},
		"refresh token":       {target("/api?refresh_token=x"), true},
		"access token":        {target("/api?Access_Token=x"), true},
		"client secret":       {target("/api?client_secret=x"), true},
		"escaped name":        {target("/api?%63ode=x"), true},
		"name that is broken": {target("/api?%zz=x"), true},
		"ticket":              {target("/stream?ticket=x"), true},
		"country code":        {target("/api?country_code=tr"), false},
		"userinfo":            {target("http://u:p@host/api"), true},
	} {
		if got := CarriesSecret(test.r); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPanicIsAnsweredAndSaysNothing(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	b := newBank(t, func(b *bank) { b.logger = zap.New(core) })
	for name, explode := range map[string]func(){
		"secret value":  func() { panic("canary " + botSecret) },
		"secret error":  func() { panic(fmt.Errorf("canary %s", botSecret)) },
		"runtime error": func() { var v any = 1; _ = v.(string) },
	} {
		logs.TakeAll()
		h := b.issuer.handle("test", []string{"GET"}, func(*exchange) (response, error) { explode(); return response{}, nil })
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		got := &answer{status: w.Code, header: w.Header(), body: w.Body.String()}
		got.wantError(t, 500, "server_error")
		all := logs.TakeAll()
		if len(all) != 2 || strings.Contains(fmt.Sprint(got.body, all), "canary") {
			t.Errorf("%s: %s %v", name, got.body, all)
		}
	}
}

func TestUnknownErrorsSayNothing(t *testing.T) {
	b := newBank(t, nil)
	b.update(func(tx store.Writer) error {
		c := b.client(botID, botSecret, "all:eft")
		c.SecretHash = "$unknown$"
		return tx.PutClient(c)
	})
	got := b.do(redeemCall("x"))
	got.wantError(t, 500, "server_error")
	if got.field(t, "error_description") != "internal error" {
		t.Errorf("body %s", got.body)
	}
}

func TestBusySecrets(t *testing.T) {
	got := asOAuthError(fmt.Errorf("check: %w", token.ErrBusy)).response()
	if got.status != 429 || got.header["Retry-After"] != "1" {
		t.Errorf("%+v", got)
	}
	if got := asOAuthError(fmt.Errorf("check: %w", context.Canceled)).response(); got.status != 503 {
		t.Errorf("%+v", got)
	}
}

// One line for each request, with what an operator asks for.
func TestLogLine(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	b := newBank(t, func(b *bank) { b.logger = zap.New(core) })
	tokens := b.tokens()
	b.do(redeemCall("x").by("PURGE"))
	b.do(redeemCall("x"))
	b.do(redeemCall("x").with("Authorization", basic("nobody", "x")))
	b.do(revokeCall(tokens.refresh)).ok(t)
	var got []string
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		if entry.Message != "issuer" || fields["request_id"] != "request-1" || fields["client_ip"] != "127.0.0.1" || fields["duration"] != time.Duration(0) {
			t.Errorf("%s %v", entry.Message, fields)
		}
		got = append(got, fmt.Sprint(fields["endpoint"], " ", fields["method"], " ", fields["status"], " ",
			fields["client"], " ", fields["error"], " ", fields["grant"] != nil))
	}
	want := []string{
		"s4.code GET 200 bot-1 <nil> true",
		"s4.token POST 200 bot-1 <nil> true",
		"s4.token other 405 <nil> invalid_request false",
		"s4.token POST 400 bot-1 invalid_grant false",
		"s4.token POST 401 <nil> invalid_client false",
		"revoke POST 200 bot-1 <nil> true",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every code of the gate has its page. The rooms do not import each other, so
// the gate's source is asked.
func TestProblemPageForEachCodeOfTheGate(t *testing.T) {
	files, err := filepath.Glob("../gate/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of the gate: %v", err)
	}
	declared := regexp.MustCompile(`(?m)^\s+Code[A-Z]\w*\s*=\s*"([a-z_]+)"`)
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range declared.FindAllSubmatch(source, -1) {
			found++
			if page := strings.ReplaceAll(string(match[1]), "_", "-"); problemPages[page] == nil {
				t.Errorf("no page %s", page)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d codes found", found)
	}
}
