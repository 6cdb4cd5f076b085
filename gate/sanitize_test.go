package gate

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestConnectionHeader(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, echo)
	for _, tt := range []struct {
		attack string
		lines  []string
		status int
	}{
		{"names an identity header", []string{"Connection: X-Auth-Accounts"}, 400},
		{"names it beside close", []string{"Connection: close, X-Auth-Scope"}, 400},
		{"names it in another line", []string{"Connection: close", "Connection: x-auth-subject"}, 400},
		{"names it in other case", []string{"connection: X-AUTH-SUBJECT"}, 400},
		{"names any other header", []string{"Connection: Via"}, 400},
		{"names Authorization", []string{"Connection: Authorization"}, 400},
		{"hides it behind empty elements", []string{"Connection: ,, ,X-Auth-Accounts"}, 400},
		{"hides it behind a TAB", []string{"Connection: close,\tX-Auth-Accounts"}, 400},
		{"usual", []string{"Connection: keep-alive"}, 200},
		{"all that is harmless", []string{"Connection: Close, KEEP-ALIVE,te", "Connection: , "}, 200},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, get("/health", tt.lines...))
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
		})
	}
}

// What a client must not be able to say to the upstream, in all spellings.
func TestForgedHeaders(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.Identity.Subject = "Remote-User" })
	server := w.serve(t, echo)
	for _, name := range []string{
		"X-Auth-Subject", "x-auth-subject", "X_Auth_Subject", "X_AUTH_ACCOUNTS", "X.Auth.Scope", "X-Auth_Scope",
		"X-Auth-Anything", "X-AUTH-", "X~Auth~Subject",
		"Remote-User", "REMOTE_USER", "remote.user",
		"X-Client-Cert", "X_Client_Cert", "X-SSL-Client-Verify", "X-Ssl-Client-DN", "x_ssl_client_s_dn", "X-Forwarded-Client-Cert",
		"Client-Cert", "Client_Cert_Chain",
		"X-Original-URL", "X_Original_URL", "X-Rewrite-URL",
		"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X_Method_Override",
		"Forwarded", "X-Real-IP", "X_Real_IP", "True-Client-IP", "True_Client_Ip", "CF-Connecting-IP", "CF_Connecting_IP", "X-Client-IP",
		"X_Forwarded_For", "X-Forwarded_Proto", "X.Forwarded.Host",
	} {
		t.Run(name, func(t *testing.T) {
			resp := raw(t, server, get("/health", name+": forged", name+": forged again"))
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d", resp.StatusCode)
			}
			if got := body(t, resp); strings.Contains(got, "forged") {
				t.Errorf("reached the upstream:\n%s", got)
			}
		})
	}
	for _, name := range []string{"X-Request-Id", "X-Forwarded-For", "X-Authority", "X-Author", "Content-Type", "Cookie", "Cache-Control", "X-Api-Key", "Remote-Users"} {
		t.Run(name+" passes", func(t *testing.T) {
			if got := body(t, raw(t, server, get("/health", name+": mine"))); !strings.Contains(got, "mine") {
				t.Errorf("lost:\n%s", got)
			}
		})
	}
}

func TestClientAddressOfTrustedProxy(t *testing.T) {
	trusted := true
	w := openWorld(t, func(o *Options) { o.TrustedProxy = func(*http.Request) bool { return trusted } })
	server := w.serve(t, echo)
	for _, trusted = range []bool{true, false} {
		got := body(t, raw(t, server, get("/health", "X-Real-IP: 192.0.2.7", "X-Auth-Subject: forged")))
		if strings.Contains(got, "192.0.2.7") != trusted {
			t.Errorf("trusted %v:\n%s", trusted, got)
		}
		if strings.Contains(got, "forged") {
			t.Errorf("a trusted proxy may not say who is asking:\n%s", got)
		}
	}
}

func TestUpgradeToAnythingButWebSocket(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, echo)
	for _, tt := range []struct {
		attack string
		method string
		lines  []string
		lost   []string
	}{
		{"h2c smuggling", "GET", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"}, []string{"Upgrade", "h2c", "Http2-Settings", "AAMAAABk"}},
		{"h2c beside websocket", "GET", []string{"Connection: Upgrade", "Upgrade: websocket, h2c"}, []string{"Upgrade", "h2c"}},
		{"h2c in another line", "GET", []string{"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"}, []string{"Upgrade", "h2c"}},
		{"websocket by POST", "POST", []string{"Connection: keep-alive, upgrade", "Upgrade: websocket", "Content-Length: 0"}, []string{"Upgrade", "websocket"}},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			path := "/health"
			lines := tt.lines
			if tt.method == "POST" {
				path = "/upload"
				lines = append(lines, "Authorization: Bearer "+w.mint(t))
			}
			got := body(t, raw(t, server, request(tt.method, path, lines...)))
			for _, lost := range tt.lost {
				if strings.Contains(got, lost) {
					t.Errorf("%s reached the upstream:\n%s", lost, got)
				}
			}
		})
	}
}

// Trailers are headers by another way: announced ones, and those that come
// along unannounced, must be clean when the proxy forwards them.
func TestForgedTrailers(t *testing.T) {
	w := openWorld(t, nil)
	arrived := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 64))
		_, _ = r.Body.Read(make([]byte, 64))
		arrived <- r.Trailer.Clone()
	}))
	defer upstream.Close()
	target, _ := url.Parse(upstream.URL)
	// httputil's proxy copies the trailers before they have arrived. This one
	// shares the map, as the most forgiving proxy would.
	proxy := handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		out := r.Clone(r.Context())
		out.Trailer, out.URL.Scheme, out.URL.Host, out.RequestURI = r.Trailer, "http", target.Host, ""
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			return err
		}
		rw.WriteHeader(resp.StatusCode)
		return resp.Body.Close()
	})
	server := w.serve(t, proxy)
	resp := raw(t, server, request("POST", "/upload", "Authorization: Bearer "+w.mint(t), "Transfer-Encoding: chunked",
		"Trailer: X-Auth-Subject, X_Auth_Scope, Authorization, X-Checksum")+
		"2\r\nhi\r\n0\r\nX-Auth-Subject: forged\r\nX_Auth_Scope: forged\r\nX-Auth-Client: forged\r\nForwarded: for=forged\r\n"+
		"Authorization: Bearer forged\r\nX-Checksum: abc\r\n\r\n")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	got := <-arrived
	if len(got) != 1 || got.Get("X-Checksum") != "abc" {
		t.Errorf("trailers: %v", got)
	}
}

func TestSanitizeAllocatesNothing(t *testing.T) {
	w := openWorld(t, nil)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header = http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer x"}, "User-Agent": {"bot/1"},
		"Connection": {"keep-alive"}, "X-Request-Id": {"1"}, "Content-Type": {"application/json"}, "Cookie": {"a=b"},
	}
	if n := testing.AllocsPerRun(1000, func() { w.sanitize(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSanitize(b *testing.B) {
	w := openWorld(b, nil)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header = usualHeader("Bearer x")
	for b.Loop() {
		w.sanitize(r)
	}
}

func usualHeader(authorization string) http.Header {
	return http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"bot/1"},
		"Content-Type": {"application/json"}, "Authorization": {authorization},
	}
}
