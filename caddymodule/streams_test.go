package caddymodule

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// serveMarket is a WebSocket that sends until it is cut.
func serveMarket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := conn.CloseRead(r.Context())
	for tick := 0; ctx.Err() == nil; tick++ {
		if conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"tick":%d}`, tick)) != nil {
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// serveEvents is an event stream that never ends by itself.
func serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for tick := 0; r.Context().Err() == nil; tick++ {
		fmt.Fprintf(w, "data: %d\n\n", tick)
		_ = http.NewResponseController(w).Flush()
		pause(r.Context(), 20*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stream is a live connection of a client: next reads one message, and ended
// tells how it ended.
type stream struct {
	name string
	next func() error
}

func (s *server) openWebSocket(token string) *stream {
	s.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, _, err := websocket.Dial(context.Background(), strings.Replace(s.api, "http", "ws", 1)+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &stream{"WebSocket", func() error {
		_, _, err := conn.Read(context.Background())
		return err
	}}
}

func (s *server) openEvents(name string, client *http.Client, base, token string) *stream {
	s.t.Helper()
	request := s.request("GET", base+"/api/v1/events", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		s.t.Fatalf("%s: %s", name, response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	return &stream{name, func() error {
		for lines.Scan() {
			if line := lines.Text(); strings.HasPrefix(line, "data: {") {
				return errors.New("last event: " + line)
			} else if line != "" {
				return nil
			}
		}
		if lines.Err() != nil {
			return lines.Err()
		}
		return io.EOF
	}}
}

// alive reads a few messages more.
func (st *stream) alive(t testing.TB) {
	t.Helper()
	for range 3 {
		if err := st.next(); err != nil {
			t.Fatalf("%s is dead: %v", st.name, err)
		}
	}
}

// end reads until the stream is over and returns the time that it took, and how
// it ended.
func (st *stream) end() (time.Duration, error) {
	begin := time.Now()
	for {
		if err := st.next(); err != nil {
			return time.Since(begin), err
		}
	}
}

func TestRevocationCutsLiveStreams(t *testing.T) {
	s := newServer(t)
	cert := s.certificate()
	secure := "https://127.0.0.1:" + freeport.Find(t)
	s.config += secure + " {\n tls " + s.path("cert.pem") + " " + s.path("key.pem") + "\n bearer_gate test\n reverse_proxy " + s.backend.address() + " {\n stream_close_delay 1h\n}\n}\n"
	s.start()
	got := s.obtain("read:market")
	http2 := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: cert}}}
	streams := []*stream{
		s.openWebSocket(got.Access),
		s.openEvents("SSE over HTTP/1.1", http.DefaultClient, s.api, got.Access),
		s.openEvents("SSE over HTTP/2", http2, secure, got.Access),
	}
	other := s.openWebSocket(s.obtain("read:market").Access)
	for _, st := range streams {
		st.alive(t)
	}

	s.revoke(got.Access)
	for _, st := range streams {
		took, err := st.end()
		if took > time.Second {
			t.Errorf("%s lived on for %s after the revocation's answer", st.name, took)
		}
		t.Logf("%s ended after %s: %v", st.name, took, err)
		if st.name == "WebSocket" && websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("WebSocket closed with %v, want 1008", err)
		}
	}
	other.alive(t) // another grant's stream has nothing to do with it
	s.eventually("the backend's streams end too", func() bool { return s.status(s.api+"/health") == 200 })
}

func TestStreamsSurviveWhatDoesNotConcernThem(t *testing.T) {
	s := newServer(t).start()
	got := s.obtain("read:market")
	ws := s.openWebSocket(got.Access)
	sse := s.openEvents("SSE", http.DefaultClient, s.api, got.Access)

	if complaint := s.reload(s.caddyfile(siteOptions{site: "header X-Reloaded yes"})); complaint != "" {
		t.Fatal(complaint)
	}
	s.eventually("the reload is in effect", func() bool {
		response, err := http.Get(s.api + "/health")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.Header.Get("X-Reloaded") == "yes"
	})
	ws.alive(t)
	sse.alive(t)

	s.write("policy.yaml", strings.Replace(testPolicy, "/api/v1/eft\"", "/api/v2/eft\"", 1))
	s.eventually("the policy change is in effect", func() bool {
		return s.answerStatus(s.call("GET", "/api/v1/eft", got.Access)) == 403 && strings.Contains(s.output.String(), "policy changed")
	})
	ws.alive(t)
	sse.alive(t)

	// The old configuration's streams still hear of a revocation.
	s.revoke(got.Refresh)
	if took, err := ws.end(); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	if took, _ := sse.end(); took > time.Second {
		t.Errorf("SSE lived on for %s", took)
	}
}

func TestPolicyChangeDropsOnlyWhatItForbids(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:market")
	ws := s.openWebSocket(got.Access)
	sse := s.openEvents("SSE", http.DefaultClient, s.api, got.Access)
	ws.alive(t)
	s.write("policy.yaml", strings.Replace(testPolicy, `path: "/api/v1/events"}, require: {scopes: [read:market]}`, `path: "/api/v1/events"}, require: {scopes: [trade:orders]}`, 1))
	if _, err := sse.end(); err == nil {
		t.Error("SSE goes on under a policy that forbids it")
	}
	ws.alive(t)
}

func TestSIGTERMWithLiveStreamsExitsSoon(t *testing.T) {
	s := newServer(t).start()
	got := s.obtain("read:market")
	ws := s.openWebSocket(got.Access)
	sse := s.openEvents("SSE", http.DefaultClient, s.api, got.Access)
	ws.alive(t)
	sse.alive(t)
	begin := time.Now()
	s.signal(syscall.SIGTERM)
	s.await("exit", s.exited)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("exit took %s", took)
	}
	if _, err := ws.end(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("WebSocket closed with %v, want 1001", err)
	}
}

func (s *server) answerStatus(request *http.Request) int {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// certificate writes a self-signed certificate for 127.0.0.1.
func (s *server) certificate() *x509.CertPool {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}
