package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// head follows the HTTP header that a handler writes itself when it takes the
// connection over before it answers.
type head struct {
	seen []byte
	done bool
}

// maxHead bounds the header of such an answer.
const maxHead = 64 << 10

// next follows p up to the end of the header. It fails if the answer is no
// switch of protocols; what follows then are not frames.
func (h *head) next(p []byte) (n int, ok bool) {
	before := len(h.seen)
	h.seen = append(h.seen, p...)
	end := bytes.Index(h.seen, []byte("\r\n\r\n"))
	if end < 0 {
		return len(p), len(h.seen) < maxHead
	}
	h.done = true
	return end + 4 - before, bytes.HasPrefix(h.seen, []byte("HTTP/1.1 101 "))
}

// errCut is the error of a write that came too late.
var errCut = errors.New("cut by bearer gate")

// closeTimeout is how long a cut may take: to the end of the frame under way,
// and then until the client has read the close frame and hung up.
const closeTimeout = 250 * time.Millisecond

// frameConn is the connection of a WebSocket that was taken over. It sees the
// server's bytes pass, because only who has counted the frames knows where a
// close frame may stand; that costs the proxy its splice.
type frameConn struct {
	net.Conn

	timeout  time.Duration               // of a cut
	cause    atomic.Pointer[token.Cause] // set: cut
	over     chan struct{}               // closed when nothing more may be written
	ended    chan struct{}               // closed when a cut is complete
	overOnce sync.Once

	reading sync.Mutex // held while reading

	mu     sync.Mutex // held while writing
	frames frames
	head   *head  // the HTTP header is still to come; nil: it went out before
	opaque bool   // not a WebSocket: there are no frames
	last   []byte // the close frame to send as soon as a frame ends
}

func newFrameConn(inner net.Conn, timeout time.Duration, websocket, answered bool) *frameConn {
	c := &frameConn{Conn: inner, timeout: timeout, over: make(chan struct{}), ended: make(chan struct{}), opaque: !websocket}
	if !answered {
		c.head = new(head)
	}
	return c
}

// halfCloser is a frameConn whose inner connection can close one direction,
// which is what proxies ask for.
type halfCloser struct {
	*frameConn
	closeWriter
}

type closeWriter interface{ CloseWrite() error }

func (c *frameConn) asConn() net.Conn {
	if half, ok := c.Conn.(closeWriter); ok {
		return halfCloser{c, half}
	}
	return c
}

func (c *frameConn) ending() bool { return c.cause.Load() != nil }

// Write implements net.Conn. What comes after the cut is not written, even if
// end has not had its turn yet.
func (c *frameConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause := c.cause.Load(); cause != nil {
		c.depart(*cause)
	}
	if c.last == nil {
		n, err := c.Conn.Write(p)
		c.follow(p[:n])
		return n, err
	}
	// The cut came within a frame: the frame goes on to its end, and not a byte
	// beyond it.
	if c.isOver() {
		return 0, errCut
	}
	rest := p[:c.frames.next(p)]
	n, err := c.Conn.Write(rest)
	if err != nil {
		c.finish()
		return n, err
	}
	if c.frames.have > 0 {
		return n, nil
	}
	c.sayGoodbye()
	if n < len(p) {
		return n, errCut
	}
	return n, nil
}

// follow keeps count of what was written.
func (c *frameConn) follow(p []byte) {
	if c.opaque {
		return
	}
	if c.head != nil {
		n, ok := c.head.next(p)
		c.opaque = !ok
		if !ok || !c.head.done {
			return
		}
		c.head, p = nil, p[n:]
	}
	c.frames.skip(p)
}

// Read implements net.Conn. What a client sends after the cut is dropped: the
// upstream may still be finishing its frame, and must not get another order.
func (c *frameConn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, err := c.Conn.Read(p)
	for err == nil && c.ending() {
		_, err = c.Conn.Read(p)
		n = 0
	}
	if c.ending() {
		n = 0
	}
	return n, err
}

// Close implements net.Conn. After the cut the connection is closed by end, when
// the client has had the close frame.
func (c *frameConn) Close() error {
	if c.ending() {
		c.finish()
		return nil
	}
	return c.Conn.Close()
}

// cut ends the connection and then cancels the exchange. It does not block.
func (c *frameConn) cut(cause token.Cause, cancel context.CancelCauseFunc) {
	c.cause.Store(&cause)
	go c.end(cause, cancel)
}

// end says goodbye as soon as a frame has ended, and hangs up. The exchange is
// canceled in between: earlier, the upstream would die within its frame.
func (c *frameConn) end(cause token.Cause, cancel context.CancelCauseFunc) {
	timer := time.AfterFunc(c.timeout, func() {
		c.finish()
		_ = c.Conn.Close() // whatever it says, the connection is given up
	})
	defer close(c.ended)
	defer timer.Stop()
	defer func() { _ = c.Conn.Close() }()

	c.mu.Lock()
	c.depart(cause)
	c.mu.Unlock()

	<-c.over
	cancel(&cutError{cause})
	// Closing with unread bytes would reset the connection, and the client could
	// lose the close frame: read until it hangs up or the time is over. If the
	// proxy is reading at this moment, its Read does just that.
	c.reading.Lock()
	defer c.reading.Unlock()
	_, _ = io.Copy(io.Discard, c.Conn)
}

// depart says goodbye now, or has it said when the frame under way has ended.
// c.mu is held.
func (c *frameConn) depart(cause token.Cause) {
	if c.last != nil {
		return
	}
	c.last = closeFrame(cause)
	switch {
	case c.opaque || c.head != nil || c.frames.closed:
		c.finish()
	case c.frames.between():
		c.sayGoodbye()
	}
}

// sayGoodbye sends the close frame. c.mu is held.
func (c *frameConn) sayGoodbye() {
	if !c.isOver() && !c.frames.closed {
		_, err := c.Conn.Write(c.last)
		if half, ok := c.Conn.(closeWriter); ok && err == nil {
			_ = half.CloseWrite() // the client may have gone already
		}
	}
	c.finish()
}

func (c *frameConn) finish() { c.overOnce.Do(func() { close(c.over) }) }

func (c *frameConn) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}
