package gate

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// response is the response writer of one allowed request. It knows when the
// exchange becomes a stream, and lets nothing pass after the cut or the end.
//
// It is not pooled with the exchange: a handler that keeps it after it returned
// then writes into nothing, and not into somebody else's answer.
type response struct {
	inner        http.ResponseWriter
	cancel       context.CancelCauseFunc
	hold         func() func()
	upgrade      upgradeKind
	closeTimeout time.Duration // of a WebSocket
	offered      bool          // the client offered its token as a subprotocol
	request      *http.Request // as it came in
	route        string        // the id of what let it through
	clientIP     func(*http.Request) string
	cors         *policy.CORS // what the policy says of pages; nil: nothing
	origin       string       // of the page that asks; read before others change the request
	gate         *Gate        // that it tells of streams; nil in tests of the response alone
	decision     Decision

	identity [identityHeaders]string // the request's, here to save an allocation

	streaming atomic.Bool
	stopped   atomic.Bool // cut, or over
	late      atomic.Bool // something was refused because of stopped

	mu      sync.Mutex // guards the following against the sweep
	cause   token.Cause
	over    bool // next has returned
	conn    *frameConn
	release func()
	began   time.Time // when it was let through; zero on a public route, whose check reads no clock, until it streams
	client  string    // the address of a stream's client

	// Only the handler's goroutine uses what follows.
	wroteHeader bool
	events      events // of an event stream that may be ended with an event
	frames      frames // of a WebSocket over a stream
}

// cut ends the exchange, once. It does not block.
func (o *response) cut(cause token.Cause) {
	o.mu.Lock()
	if o.cause != "" || o.over {
		o.mu.Unlock()
		return
	}
	o.cause = cause
	conn := o.conn
	o.mu.Unlock()
	o.stopped.Store(true)
	if conn != nil {
		conn.cut(cause, o.cancel)
		return
	}
	o.cancel(&cutError{cause})
}

// finish ends the exchange when next has returned, and says why it was cut, if
// it was. From then on it cannot be cut any more.
func (o *response) finish() token.Cause {
	o.stopped.Store(true)
	o.mu.Lock()
	o.over = true
	cause, conn, release := o.cause, o.conn, o.release
	o.mu.Unlock()
	if conn != nil && cause != "" {
		// The cut still uses the connection, whose owner looks at it as soon as
		// the handler has returned.
		<-conn.ended
	}
	if o.gate != nil && o.streaming.Load() {
		o.gate.streamEnded(o, cause)
	}
	if release != nil {
		release()
	}
	return cause
}

// stream marks the exchange as a stream, which is cut without grace.
func (o *response) stream() {
	if o.streaming.Swap(true) {
		return
	}
	var release func()
	if o.hold != nil {
		release = o.hold()
	}
	client := ""
	if o.clientIP != nil {
		client = o.clientIP(o.request)
	}
	o.mu.Lock()
	o.release, o.client = release, client
	if o.began.IsZero() {
		o.began = time.Now()
	}
	o.mu.Unlock()
	if o.gate != nil {
		o.gate.streamBegan(o)
	}
}

// describe says what the exchange is. (What next gets is a copy of the request,
// so that nobody changes this one.)
func (o *response) describe() token.Description {
	o.mu.Lock()
	defer o.mu.Unlock()
	return token.Description{
		Route: o.route, Remote: o.request.RemoteAddr,
		Since: o.began, ClientIP: o.client, Streaming: o.streaming.Load(),
	}
}

func (o *response) hijacked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conn != nil
}

// refused reports whether it is too late to write.
func (o *response) refused() bool {
	if !o.stopped.Load() {
		return false
	}
	o.late.Store(true)
	return true
}

func (o *response) tooLate() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &cutError{o.cause}
}

// Header implements http.ResponseWriter.
func (o *response) Header() http.Header { return o.inner.Header() }

// WriteHeader implements http.ResponseWriter.
func (o *response) WriteHeader(status int) {
	if o.refused() {
		return
	}
	if !o.wroteHeader && (status >= 200 || status == http.StatusSwitchingProtocols) {
		o.wroteHeader = true
		o.begin(status)
	}
	o.inner.WriteHeader(status)
}

// begin looks at the header of the answer before it goes out.
func (o *response) begin(status int) {
	header := o.inner.Header()
	setCORS(header, o.cors, o.origin)
	tunnel := o.upgrade == overConn && status == http.StatusSwitchingProtocols ||
		o.upgrade == overStream && status/100 == 2
	switch {
	case tunnel:
		if o.offered {
			selectBearer(header)
		}
		o.stream()
	case isEventStream(header):
		o.events = newEvents(header)
		o.stream()
	}
}

// Write implements http.ResponseWriter.
func (o *response) Write(p []byte) (int, error) {
	if !o.wroteHeader {
		o.WriteHeader(http.StatusOK)
	}
	if o.refused() {
		return 0, o.tooLate()
	}
	n, err := o.inner.Write(p)
	switch {
	case o.upgrade == overStream:
		o.frames.skip(p[:n])
	case o.events.polite:
		o.events.follow(p[:n])
	}
	return n, err
}

// chunk is how much is copied before the cut is looked at again.
const chunk = 1 << 20

// ReadFrom implements io.ReaderFrom, so that files still go out by sendfile.
func (o *response) ReadFrom(src io.Reader) (n int64, err error) {
	if !o.wroteHeader {
		o.WriteHeader(http.StatusOK)
	}
	inner, ok := o.inner.(io.ReaderFrom)
	if !ok || o.streaming.Load() {
		return io.Copy(writerOnly{o}, src)
	}
	// net/http unpacks one LimitedReader and not two.
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	for limited.N > 0 {
		if o.refused() {
			return n, o.tooLate()
		}
		part := min(limited.N, chunk)
		copied, err := inner.ReadFrom(&io.LimitedReader{R: limited.R, N: part})
		n += copied
		limited.N -= copied
		if err != nil || copied < part {
			return n, err
		}
	}
	return n, nil
}

type writerOnly struct{ io.Writer }

// FlushError implements what http.ResponseController looks for.
func (o *response) FlushError() error {
	if !o.wroteHeader {
		o.WriteHeader(http.StatusOK)
	}
	if o.refused() {
		return o.tooLate()
	}
	return http.NewResponseController(o.inner).Flush()
}

// Flush implements http.Flusher.
func (o *response) Flush() { _ = o.FlushError() } // http.Flusher has no error

// Push implements http.Pusher.
func (o *response) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := o.inner.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap lets http.ResponseController find what is not implemented here.
func (o *response) Unwrap() http.ResponseWriter { return o.inner }

// Hijack implements http.Hijacker. The connection that it returns follows the
// frames of a WebSocket.
func (o *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if o.refused() {
		return nil, nil, o.tooLate()
	}
	inner, rw, err := http.NewResponseController(o.inner).Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn := newFrameConn(inner, o.closeTimeout, o.upgrade == overConn, o.wroteHeader)
	// What net/http had buffered went out before Hijack returned, so all that is
	// written from here on passes the frame counter.
	outer := conn.asConn()
	rw.Writer.Reset(outer)
	o.stream()
	o.mu.Lock()
	o.conn = conn
	cause := o.cause
	o.mu.Unlock()
	if cause != "" {
		conn.cut(cause, o.cancel)
	}
	return outer, rw, nil
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Pusher         = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
)
