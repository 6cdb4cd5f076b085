//go:build proof

package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// began is what times are counted from that cross a connection: caller and
// backend are one process, so its clock is theirs.
var began = time.Now()

// Headers by which a test marks its requests for the backend.
const (
	markHeader = "X-Proof-Mark" // which token
	sentHeader = "X-Proof-Sent" // when the request was sent, in ns since began
)

// backend is the gated API. It is an independent witness: it writes down each
// marked request that came through.
type backend struct {
	server *httptest.Server

	mu        sync.Mutex
	witnessed []hit
}

// hit is a request that reached the backend.
type hit struct {
	mark   int
	sent   time.Duration // since began
	client string        // who the gate said it was
}

// heartbeat is how often a stream sends.
const heartbeat = 25 * time.Millisecond

func newBackend(t testing.TB) *backend {
	b := new(backend)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts", b.answer)
	mux.HandleFunc("GET /market", b.answer)
	mux.HandleFunc("GET /events", serveEvents)
	mux.HandleFunc("GET /socket", serveSocket)
	b.server = httptest.NewServer(mux)
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) address() string { return strings.TrimPrefix(b.server.URL, "http://") }

func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	if mark := r.Header.Get(markHeader); mark != "" {
		n, _ := strconv.Atoi(mark)
		sent, _ := strconv.ParseInt(r.Header.Get(sentHeader), 10, 64)
		b.mu.Lock()
		b.witnessed = append(b.witnessed, hit{n, time.Duration(sent), r.Header.Get("X-Auth-Client")})
		b.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{}`))
}

// hits is all that was witnessed.
func (b *backend) hits() []hit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.witnessed
}

// tick is a message of a stream: when the backend wrote it, in ns since began.
type tick struct {
	At time.Duration `json:"at"`
}

func newTick() []byte {
	text, _ := json.Marshal(tick{time.Since(began)})
	return text
}

// serveEvents is an event stream that never ends by itself.
func serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for r.Context().Err() == nil {
		if _, err := fmt.Fprintf(w, "data: %s\n\n", newTick()); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		pause(r.Context())
	}
}

// serveSocket is a WebSocket that never ends by itself.
func serveSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := conn.CloseRead(r.Context())
	for ctx.Err() == nil {
		if conn.Write(ctx, websocket.MessageText, newTick()) != nil {
			return
		}
		pause(ctx)
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(heartbeat):
	}
}
