package attacks

import (
	"bufio"
	"bytes"
	"crypto/sha1" // RFC 6455 wants it
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// backend is what stands behind the gates: a bare TCP server that keeps every
// request that it reads byte for byte, and answers each of them.
type backend struct {
	listener net.Listener

	mu       sync.Mutex
	requests []received
	aside    []received
	answer   string // instead of what it answers by itself
}

// received is a request as the backend read it.
type received struct {
	raw     string // all of it, with the body in the form in which it came
	request *http.Request
	body    string
}

// newBackend runs one until the test is over.
func newBackend(t testing.TB) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return b
}

func (b *backend) address() string { return b.listener.Addr().String() }

// count is how many requests have been read.
func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// after are the requests from the nth on.
func (b *backend) after(n int) []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[n:len(b.requests):len(b.requests)]
}

// answers makes the backend answer everything with these bytes until the test is
// over.
func (b *backend) answers(t testing.TB, raw string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = raw
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.answer = ""
	})
}

// serve reads one request after the other. What stands behind the last one, or
// can't be read as a request, counts as one too: nothing is lost.
func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	copied := new(bytes.Buffer)
	reader := bufio.NewReader(io.TeeReader(conn, copied))
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			if copied.Len() > 0 {
				b.keep(received{raw: copied.String(), request: new(http.Request)})
			}
			return
		}
		body, err := io.ReadAll(request.Body)
		raw := string(copied.Next(copied.Len() - reader.Buffered()))
		b.keep(received{raw: raw, request: request, body: string(body)})
		if err != nil || !b.reply(conn, request, reader) {
			return
		}
	}
}

// keep counts a request, unless it says that it may come or not, whenever.
func (b *backend) keep(r received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Contains(r.raw, "\r\nX-Aside:") {
		b.aside = append(b.aside, r)
		return
	}
	b.requests = append(b.requests, r)
}

// asides are the requests with the header X-Aside, which are not counted: of a
// stream that is reset nobody knows whether it was passed on before.
func (b *backend) asides() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.aside)
}

// reply answers one request and reports whether the connection goes on.
func (b *backend) reply(conn net.Conn, r *http.Request, reader *bufio.Reader) bool {
	b.mu.Lock()
	answer := b.answer
	b.mu.Unlock()
	switch {
	case answer != "":
	case r.Header.Get("Upgrade") != "" && r.Header.Get("Sec-WebSocket-Version") == "13":
		acceptWebSocket(conn, r, reader)
		return false
	case r.Header.Get("Upgrade") != "":
		answer = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
	case strings.HasSuffix(r.URL.Path, "/events"):
		streamEvents(conn)
		return false
	default:
		answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
	}
	if r.Method == http.MethodHead {
		head, _, _ := strings.Cut(answer, "\r\n\r\n")
		answer = head + "\r\n\r\n"
	}
	_, err := io.WriteString(conn, answer)
	return err == nil
}

// acceptWebSocket sends messages until the connection ends.
func acceptWebSocket(conn net.Conn, r *http.Request, reader *bufio.Reader) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, reader)
		close(ended)
	}()
	every(ended, func() error {
		_, err := conn.Write([]byte("\x81\x04tick"))
		return err
	})
}

// streamEvents is a stream that never ends by itself.
func streamEvents(conn net.Conn) {
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		close(ended)
	}()
	every(ended, func() error {
		_, err := io.WriteString(conn, "data: tick\n\n")
		return err
	})
}

// every sends now and then, until that fails or the other side has gone.
func every(ended <-chan struct{}, send func() error) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for send() == nil {
		select {
		case <-ended:
			return
		case <-ticks.C:
		}
	}
}
