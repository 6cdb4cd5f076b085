package gate

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// What is under way describes itself, from when it is let through until it ends.
func TestWhatIsUnderWay(t *testing.T) {
	w := openWorld(t, nil)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/sse" {
			rw.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(rw).Flush()
		}
		arrived <- struct{}{}
		<-proceed
		return nil
	}))
	everybody := func(*token.Facts) bool { return true }
	raw := w.mint(t)
	lease, err := w.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		target, route string
		token         string
		streaming     bool
		known         bool // since when
	}{
		{"/accounts", "list", raw, false, true},
		{"/sse", "sse", raw, true, true},
		{"/health", "health", "", false, false},
	} {
		began := w.now()
		done := make(chan error, 1)
		go func() {
			request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+test.target, nil)
			if err == nil {
				request.Header.Set("Authorization", strings.TrimSpace("Bearer "+test.token))
				var response *http.Response
				if response, err = http.DefaultClient.Do(request); err == nil {
					response.Body.Close()
				}
			}
			done <- err
		}()
		<-arrived
		found := w.authority.UnderWay(everybody)
		if len(found) != 1 {
			t.Fatalf("%s: %d under way", test.target, len(found))
		}
		one := found[0]
		if one.Route != test.route || one.Method != "GET" || one.Streaming != test.streaming || !strings.HasPrefix(one.Remote, "127.0.0.1:") {
			t.Errorf("%s: %+v", test.target, one)
		}
		if known := !one.Since.IsZero(); known != test.known || known && one.Since.Before(began) {
			t.Errorf("%s: since %s, began %s", test.target, one.Since, began)
		}
		if (one.Facts == nil) != (test.token == "") || one.Facts != nil && one.Facts.ID != lease.ID {
			t.Errorf("%s: facts %+v", test.target, one.Facts)
		}
		if got := w.authority.UnderWay(func(f *token.Facts) bool { return f != nil && f.Client == "nobody" }); got != nil {
			t.Errorf("%s: %+v of nobody", test.target, got)
		}
		proceed <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
		eventually(t, "the exchange is over", func() bool { return w.authority.Riders() == 0 })
	}
}

// A stream on a public route has no token, and still began at some time.
func TestPublicStreamKnowsWhenItBegan(t *testing.T) {
	out := &response{request: httptest.NewRequest("GET", "/sse", nil), clientIP: func(*http.Request) string { return "192.0.2.7" }}
	before := time.Now()
	out.stream()
	if got := out.describe(); got.Since.Before(before) || got.ClientIP != "192.0.2.7" || !got.Streaming {
		t.Errorf("%+v", got)
	}
}

// A pooled exchange must not tell of the request that it served before.
func TestPooledExchangeForgetsWhatItWas(t *testing.T) {
	w := openWorld(t, nil)
	x := w.take()
	x.began, x.method = time.Now(), "GET"
	w.release(x)
	if !x.began.IsZero() || x.method != "" {
		t.Errorf("%+v", x.began)
	}
	if _, ok := x.Describe(); ok {
		t.Error("it describes itself while it serves nothing")
	}
}
