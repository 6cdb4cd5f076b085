package caddymodule

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// endless is a reader that net/http cannot tell the length of.
type endless struct{ io.Reader }

// TestOversizeBodiesDoNotEndTheUpstream sends bodies that turn out to be too large
// to an upstream that one failure takes out of service: whoever could cause that
// with a request of his own would switch the API off for all.
func TestOversizeBodiesDoNotEndTheUpstream(t *testing.T) {
	t.Parallel()
	var whole []int64 // sizes of bodies that arrived whole; one request at a time
	reader := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			whole = append(whole, n)
		}
	}))
	defer reader.Close()
	s := newServer(t)
	cert := s.certificate()
	secure := "https://127.0.0.1:" + freeport.Find(t)
	site := " bearer_gate test {\n limits {\n body 100KB\n header_fields 50\n}\n}\n reverse_proxy " + strings.TrimPrefix(reader.URL, "http://") +
		" {\n fail_duration 1h\n max_fails 1\n stream_close_delay 1h\n}\n}\n"
	plain := "http://127.0.0.1:" + freeport.Find(t)
	s.config += plain + " {\n" + site + secure + " {\n tls " + s.path("cert.pem") + " " + s.path("key.pem") + "\n" + site
	s.start()
	token := s.obtain("trade:orders").Access
	http2 := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: cert}}}
	send := func(client *http.Client, base string, body io.Reader) (int, string) {
		t.Helper()
		r := s.request("POST", base+"/api/v1/accounts/1/orders", body)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var problem struct{ Code string }
		_ = json.NewDecoder(resp.Body).Decode(&problem)
		return resp.StatusCode, problem.Code
	}
	for name, at := range map[string]struct {
		client *http.Client
		base   string
	}{"HTTP/1.1": {http.DefaultClient, plain}, "HTTP/2": {http2, secure}} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				if status, code := send(at.client, at.base, endless{strings.NewReader(strings.Repeat("a", 100_001))}); status != 413 || code != "content_too_large" {
					t.Errorf("a byte too many: %d %s", status, code)
				}
				if status, code := send(at.client, at.base, strings.NewReader(strings.Repeat("a", 100_001))); status != 413 || code != "content_too_large" {
					t.Errorf("a byte too many, said before: %d %s", status, code)
				}
			}
			if len(whole) > 0 {
				t.Errorf("the API got bodies of %d bytes, whole", whole)
			}
			if status, _ := send(at.client, at.base, endless{strings.NewReader(strings.Repeat("a", 100_000))}); status != 200 {
				t.Errorf("as much as there may be, afterwards: %d", status)
			}
			whole = nil
		})
	}
}
