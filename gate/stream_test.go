package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// behind returns a proxy to h, which flushes at once.
func behind(t testing.TB, h http.HandlerFunc) Handler {
	t.Helper()
	upstream := httptest.NewServer(h)
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	proxy.ErrorLog = discardLog
	return plainly(proxy)
}

// feed sends what it is told to as an event stream, and then waits.
func feed(header http.Header, sent string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for name, values := range header {
			rw.Header()[name] = values
		}
		_, _ = io.WriteString(rw, sent)
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}
}

func ask(t testing.TB, client *http.Client, method, url, bearer string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	// Or the transport would ask for gzip and hide the encoding.
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestEventStreamIsCut(t *testing.T) {
	const tick = "data: 1\n\n"
	for _, tt := range []struct {
		name   string
		header http.Header
		sent   string
		want   string // after what was sent; "": aborted
	}{
		{"between events", nil, tick, "event: revoked\ndata: {\"reason\":\"token revoked\"}\n\n"},
		{"CR LF", nil, "data: 1\r\n\r\n", "event: revoked\ndata: {\"reason\":\"token revoked\"}\n\n"},
		{"before the first event", nil, "", "event: revoked\ndata: {\"reason\":\"token revoked\"}\n\n"},
		{"within an event", nil, tick + "data: {\"price\":1", ""},
		{"after a line of an event", nil, tick + "data: 2\n", ""},
		{"compressed", http.Header{"Content-Encoding": {"br"}}, tick, ""},
		{"of known length", http.Header{"Content-Length": {"1000"}}, tick, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := openWorld(t, nil)
			handler := w.gated(behind(t, feed(tt.header, tt.sent)))
			plain := httptest.NewServer(handler)
			defer plain.Close()
			h2 := httptest.NewUnstartedServer(handler)
			h2.EnableHTTP2 = true
			h2.Config.ErrorLog = discardLog
			h2.StartTLS()
			defer h2.Close()
			for version, server := range map[int]*httptest.Server{1: plain, 2: h2} {
				raw := w.mint(t)
				resp := ask(t, server.Client(), "GET", server.URL+"/sse", raw)
				if resp.StatusCode != 200 || resp.ProtoMajor != version {
					t.Fatalf("status %d over %s", resp.StatusCode, resp.Proto)
				}
				if _, err := io.ReadFull(resp.Body, make([]byte, len(tt.sent))); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				w.revoke(t, raw)
				got, err := io.ReadAll(resp.Body)
				if string(got) != tt.want || (err == nil) != (tt.want != "") {
					t.Errorf("HTTP/%d: got %q, %v", version, got, err)
				}
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("HTTP/%d: took %s", version, took)
				}
				eventually(t, "no riders", func() bool { return w.authority.Riders() == 0 })
			}
		})
	}
}

// However the bytes are cut into writes, the end of an event is known.
func TestEventsBetween(t *testing.T) {
	for sent, want := range map[string]bool{
		"": true, "\n": false, "\n\n": true, "data: 1\n\n": true, "data: 1\r\n\r\n": true, "a\r\r": true,
		"data: 1": false, "data: 1\n": false, "data: 1\n\ndata": false, "data: 1\r\n": false,
	} {
		for size := 1; size <= len(sent)+1; size++ {
			var e events
			for rest := sent; rest != ""; {
				n := min(size, len(rest))
				e.follow([]byte(rest[:n]))
				rest = rest[n:]
			}
			if e.between() != want {
				t.Errorf("%q by %d: %v", sent, size, !want)
			}
		}
	}
}

func TestLastEventSaysWhy(t *testing.T) {
	for cause, want := range map[token.Cause]string{
		token.CauseExpired:   "event: expired\ndata: {\"reason\":\"token expired\"}\n\n",
		token.CauseRights:    "event: rights_changed\ndata: {\"reason\":\"rights changed\"}\n\n",
		token.CauseForbidden: "event: forbidden\ndata: {\"reason\":\"forbidden by policy\"}\n\n",
		token.CauseShutdown:  "event: shutdown\ndata: {\"reason\":\"server shutting down\"}\n\n",
	} {
		w := openWorld(t, nil)
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/sse", nil)
		r.Header.Set("Authorization", "Bearer "+w.mint(t))
		err := w.ServeHTTP(rec, r, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
			rw.Header().Set("Content-Type", "Text/Event-Stream")
			rw.WriteHeader(200)
			w.authority.CutAll(cause)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}))
		if err != nil || rec.Body.String() != want {
			t.Errorf("%s: %q, %v", cause, rec.Body, err)
		}
	}
}

// A short order in flight still gets its answer; a long one is ended.
func TestGraceOfOrdinaryExchange(t *testing.T) {
	w := openWorld(t, nil)
	arrived, answer := make(chan struct{}), make(chan struct{})
	gone := make(chan struct{}, 1)
	server := w.serve(t, behind(t, func(rw http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-answer:
			_, _ = io.WriteString(rw, "placed")
		case <-r.Context().Done():
			gone <- struct{}{}
		}
	}))
	type result struct {
		status int
		text   string
	}
	post := func(raw string) <-chan result {
		results := make(chan result, 1)
		go func() {
			resp := ask(t, server.Client(), "POST", server.URL+"/upload", raw)
			text, _ := io.ReadAll(resp.Body)
			results <- result{resp.StatusCode, string(text)}
		}()
		<-arrived
		return results
	}
	t.Run("short", func(t *testing.T) {
		raw := w.mint(t)
		results := post(raw)
		w.revoke(t, raw)
		answer <- struct{}{}
		if got := <-results; got.status != 200 || got.text != "placed" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("long", func(t *testing.T) {
		raw := w.mint(t)
		results := post(raw)
		begun := time.Now()
		w.revoke(t, raw)
		got := <-results
		if got.status != 401 || !strings.Contains(got.text, "The request was ended: token revoked.") {
			t.Errorf("%+v", got)
		}
		if took := time.Since(begun); took < token.CutGrace {
			t.Errorf("ended after %s, within the grace", took)
		}
		<-gone
	})
	t.Run("shutdown", func(t *testing.T) {
		results := post(w.mint(t))
		w.authority.CutAll(token.CauseShutdown)
		if got := <-results; got.status != 503 {
			t.Errorf("%+v", got)
		}
		<-gone
	})
	t.Run("policy", func(t *testing.T) {
		results := post(w.mint(t))
		w.rules.Store(loadPolicy(t, strings.ReplaceAll(testPolicy, "path: /upload}", "path: /elsewhere}")))
		if got := <-results; got.status != 403 || !strings.Contains(got.text, "no_route") {
			t.Errorf("%+v", got)
		}
		<-gone
	})
}

// A download that was cut must not look like a whole one.
func TestLongDownloadIsAborted(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, behind(t, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = rw.Write(make([]byte, 1<<10))
			_ = http.NewResponseController(rw).Flush()
		}
	}))
	raw := w.mint(t)
	resp := ask(t, server.Client(), "GET", server.URL+"/files/a", raw)
	w.revoke(t, raw)
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the body ended as if it were complete")
	}
}

// Files go out through ReadFrom, where no Write would notice the cut.
func TestFileDownload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "big")
	content := bytes.Repeat([]byte("0123456789"), 3*chunk/10)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	w := openWorld(t, nil)
	server := w.serve(t, plainly(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.ServeFile(rw, r, name)
	})))
	raw := w.mint(t)
	resp := ask(t, server.Client(), "GET", server.URL+"/files/big", raw)
	if got, err := io.ReadAll(resp.Body); !bytes.Equal(got, content) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}

	// The reader is cut in the middle: what it copied before stands.
	out := &response{inner: readerFrom{httptest.NewRecorder()}, cancel: func(error) {}}
	src := io.MultiReader(bytes.NewReader(make([]byte, chunk)), &cutter{out: out}, bytes.NewReader(make([]byte, 4*chunk)))
	n, err := out.ReadFrom(src)
	if n != 2*chunk || !errors.Is(err, context.Canceled) {
		t.Errorf("copied %d, %v", n, err)
	}
}

// readerFrom is a response writer with the fast path.
type readerFrom struct{ *httptest.ResponseRecorder }

func (r readerFrom) ReadFrom(src io.Reader) (int64, error) { return io.Copy(r.ResponseRecorder, src) }

// cutter cuts when it is read.
type cutter struct{ out *response }

func (c *cutter) Read([]byte) (int, error) {
	c.out.cut(token.CauseRevoked)
	return 0, io.EOF
}
