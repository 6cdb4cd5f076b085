package gate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// tunnel proxies an upgrade in the order of Caddy's reverse_proxy: the header
// of the answer first, then Hijack.
func tunnel(t testing.TB, upstream string) Handler {
	return handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		back, err := net.Dial("tcp", upstream)
		if err != nil {
			return err
		}
		defer back.Close()
		defer context.AfterFunc(r.Context(), func() { back.Close() })()
		if err := r.Write(back); err != nil {
			return err
		}
		reader := bufio.NewReader(back)
		resp, err := http.ReadResponse(reader, r)
		if err != nil {
			return err
		}
		for name, values := range resp.Header {
			rw.Header()[name] = values
		}
		rw.WriteHeader(resp.StatusCode)
		conn, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return err
		}
		defer conn.Close()
		if err := brw.Flush(); err != nil {
			return err
		}
		early, err := brw.Peek(brw.Reader.Buffered())
		if err != nil {
			return err
		}
		if _, err := back.Write(early); err != nil {
			return err
		}
		done := make(chan error, 2)
		go func() { _, err := io.Copy(back, conn); done <- err }()
		go func() { _, err := io.Copy(conn, reader); done <- err }()
		<-done
		return nil
	})
}

// flood writes large fragmented messages until it cannot.
func flood(ended chan<- struct{}) http.Handler {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		conn, err := websocket.Accept(rw, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx := conn.CloseRead(context.Background())
		for i := 0; ; i++ {
			message, err := conn.Writer(ctx, websocket.MessageBinary)
			if err != nil {
				return
			}
			for part := range 5 {
				if _, err := message.Write(payload[:(i*7919+part*104729)%len(payload)]); err != nil {
					return
				}
			}
			if message.Close() != nil {
				return
			}
		}
	})
}

func dial(t testing.TB, server *httptest.Server, bearer string, offers ...string) (*websocket.Conn, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	header := http.Header{}
	if bearer != "" {
		header.Set("Authorization", "Bearer "+bearer)
	}
	conn, resp, err := websocket.Dial(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/ws", &websocket.DialOptions{HTTPHeader: header, Subprotocols: offers})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, resp
}

// A client that is being flooded sees nothing but whole frames, and then the
// close frame with the reason.
func TestWebSocketIsCutAtFrameBoundary(t *testing.T) {
	w := openWorld(t, nil)
	w.closeTimeout = time.Minute // or a slow machine would not come to the end of a frame
	ended := make(chan struct{}, 1)
	upstream := httptest.NewServer(flood(ended))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]Handler{
		"header, then hijack":   tunnel(t, target.Host),
		"hijack, then header":   plainly(httputil.NewSingleHostReverseProxy(target)),
		"server in the process": plainly(flood(ended)),
	} {
		t.Run(name, func(t *testing.T) {
			server := w.serve(t, next)
			for range 20 {
				raw := w.mint(t)
				conn, _ := dial(t, server, raw)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				for range 3 {
					if _, _, err := conn.Read(ctx); err != nil {
						t.Fatal(err)
					}
				}
				revoked := make(chan struct{})
				go func() {
					defer close(revoked)
					w.revoke(t, raw)
				}()
				err := readToEnd(ctx, conn)
				cancel()
				var closed websocket.CloseError
				if !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation || closed.Reason != "token revoked" {
					t.Fatalf("the client saw %v", err)
				}
				<-revoked
				<-ended
				_ = conn.CloseNow()
			}
			eventually(t, "no riders", func() bool { return w.authority.Riders() == 0 })
		})
	}
}

func readToEnd(ctx context.Context, conn *websocket.Conn) error {
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return err
		}
	}
}

// parrot answers each message with itself.
var parrot = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{"market.v1"}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil || conn.Write(context.Background(), kind, message) != nil {
			return
		}
	}
})

func converse(t testing.TB, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(ctx); string(got) != "hello" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestIdleWebSocketIsCut(t *testing.T) {
	var held atomic.Int64
	w := openWorld(t, func(o *Options) {
		o.Hold = func() func() { held.Add(1); return func() { held.Add(-1) } }
	})
	upstream := httptest.NewServer(parrot)
	defer upstream.Close()
	server := w.serve(t, tunnel(t, upstream.Listener.Addr().String()))
	rules := w.rules.Load()
	for _, tt := range []struct {
		name   string
		cut    func(raw string)
		code   websocket.StatusCode
		reason string
	}{
		{"revoked", func(raw string) { w.revoke(t, raw) }, 1008, "token revoked"},
		{"forbidden", func(string) {
			w.rules.Store(loadPolicy(t, strings.ReplaceAll(testPolicy, "path: /ws}", "path: /elsewhere}")))
			w.authority.Sweep()
		}, 1008, "forbidden by policy"},
		{"expired", func(string) { w.offset.Add(int64(2 * time.Hour)); w.authority.Sweep() }, 1008, "token expired"},
		{"shutdown", func(string) { w.authority.CutAll(token.CauseShutdown) }, 1001, "server shutting down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer w.rules.Store(rules)
			defer w.offset.Store(0)
			raw := w.mint(t)
			conn, _ := dial(t, server, raw)
			converse(t, conn)
			if held.Load() != 1 {
				t.Errorf("%d streams are held", held.Load())
			}
			tt.cut(raw)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _, err := conn.Read(ctx)
			var closed websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != tt.code || closed.Reason != tt.reason {
				t.Errorf("the client saw %v", err)
			}
			eventually(t, "released", func() bool { return held.Load() == 0 && w.authority.Riders() == 0 })
		})
	}
}

// A policy that changes elsewhere drops no stream.
func TestPolicyChangeKeepsStreams(t *testing.T) {
	w := openWorld(t, nil)
	upstream := httptest.NewServer(parrot)
	defer upstream.Close()
	server := w.serve(t, tunnel(t, upstream.Listener.Addr().String()))
	conn, _ := dial(t, server, w.mint(t))
	converse(t, conn)
	w.rules.Store(loadPolicy(t, strings.ReplaceAll(testPolicy, "path: /accounts}", "path: /elsewhere}")))
	w.authority.Sweep()
	converse(t, conn)
}

func TestSubprotocolAnswer(t *testing.T) {
	w := openWorld(t, nil)
	upstream := httptest.NewServer(parrot)
	defer upstream.Close()
	server := w.serve(t, tunnel(t, upstream.Listener.Addr().String()))
	for _, tt := range []struct {
		name   string
		header bool
		offers []string // beside bearer and the token
		want   string
	}{
		{"upstream selects none", false, nil, "bearer"},
		{"upstream knows none of them", false, []string{"chat"}, "bearer"},
		{"upstream selects", false, []string{"chat", "market.v1"}, "market.v1"},
		{"token in the header", true, []string{"chat"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bearer, offers := w.mint(t), tt.offers
			if !tt.header {
				offers = append([]string{"bearer", bearer}, offers...)
				bearer = ""
			}
			conn, resp := dial(t, server, bearer, offers...)
			if got := resp.Header.Values("Sec-WebSocket-Protocol"); strings.Join(got, "|") != tt.want {
				t.Errorf("selected %q, want %q", got, tt.want)
			}
			converse(t, conn)
		})
	}
}

// The WebSocket over HTTP/2 has no connection of its own: its close frame is
// written when next has returned.
func TestWebSocketOverStream(t *testing.T) {
	for _, tt := range []struct {
		name, written, want string
	}{
		{"between frames", "\x81\x01a", "\x81\x01a" + string(revokedFrame)},
		{"nothing sent", "", string(revokedFrame)},
		{"within a frame", "\x81\x02a", "\x81\x02a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := openWorld(t, nil)
			raw := w.mint(t)
			r := httptest.NewRequest("GET", "/ws", nil)
			r.Method, r.ProtoMajor, r.ProtoMinor = "CONNECT", 2, 0
			r.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Protocol": {"bearer, " + raw}}
			rec := httptest.NewRecorder()
			aborted := catch(func() {
				err := w.ServeHTTP(rec, r, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
					rw.WriteHeader(200)
					_, _ = io.WriteString(rw, tt.written)
					w.revoke(t, raw)
					<-r.Context().Done()
					if _, err := io.WriteString(rw, "late"); !errors.Is(err, context.Canceled) {
						t.Errorf("a late write: %v", err)
					}
					return nil
				}))
				if err != nil {
					t.Error(err)
				}
			})
			if got := rec.Body.String(); got != tt.want || rec.Header().Get("Sec-WebSocket-Protocol") != "bearer" {
				t.Errorf("got %q, %v", got, rec.Header())
			}
			if whole := tt.name != "within a frame"; aborted == whole {
				t.Errorf("aborted: %v", aborted)
			}
		})
	}
	t.Run("other protocols", func(t *testing.T) {
		w := openWorld(t, nil)
		for _, protocol := range []string{"connect-udp", "", "WebSocket"} {
			r := httptest.NewRequest("GET", "/ws", nil)
			r.Method, r.ProtoMajor, r.ProtoMinor = "CONNECT", 2, 0
			r.Header = http.Header{":protocol": {protocol}, "Authorization": {"Bearer " + w.mint(t)}}
			var refusal *Refusal
			if err := w.ServeHTTP(httptest.NewRecorder(), r, nothing); !errors.As(err, &refusal) || refusal.Status != 405 {
				t.Errorf("%q: %v", protocol, err)
			}
		}
	})
	t.Run("HTTP/3", func(t *testing.T) {
		w := openWorld(t, nil)
		r := httptest.NewRequest("GET", "/ws", nil)
		r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor = "CONNECT", "websocket", 3, 0
		r.Header = http.Header{"Authorization": {"Bearer " + w.mint(t)}}
		if err := w.ServeHTTP(httptest.NewRecorder(), r, nothing); err != nil {
			t.Error(err)
		}
	})
}

// catch runs f and reports whether it aborted the exchange.
func catch(f func()) (aborted bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(p)
		}
	}()
	f()
	return false
}
