//go:build clients

package clients

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// backend is the gated API. It is an independent witness: it writes down what
// came through, and who the gate said it was.
type backend struct {
	server *httptest.Server

	mu     sync.Mutex
	hits   []hit
	refuse int // status of the next answer; 0: it is a good one
}

type hit struct {
	client string
	at     time.Time
	status int
}

// retryAfter is how long who is refused is asked to wait.
const retryAfter = 2 * time.Second

func newBackend(t testing.TB) *backend {
	b := new(backend)
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) address() string { return strings.TrimPrefix(b.server.URL, "http://") }

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	status := b.refuse
	if b.refuse = 0; status == 0 {
		status = http.StatusOK
	}
	b.hits = append(b.hits, hit{client: r.Header.Get("X-Auth-Client"), at: time.Now(), status: status})
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if status != http.StatusOK {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"accounts":["1"]}`)
}

// refuseOnce answers the next call with this status.
func (b *backend) refuseOnce(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = status
}

// calls are all that came through from a client.
func (b *backend) calls(client string) (calls []hit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.hits {
		if h.client == client {
			calls = append(calls, h)
		}
	}
	return calls
}
