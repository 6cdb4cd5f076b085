package gate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// frame builds a frame of a server.
func frame(opcode byte, size int) []byte {
	b := []byte{opcode}
	switch {
	case size < length16:
		b = append(b, byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, length16), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, length64), uint64(size))
	}
	return append(b, bytes.Repeat([]byte{final | opClose}, size)...) // looks like headers, and must not be taken for them
}

func TestFramesKnowWhereFramesEnd(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 127, 65535, 65536, 100_000}
	var stream []byte
	ends := map[int]bool{0: true}
	for _, size := range sizes {
		stream = append(stream, frame(final|2, size)...)
		ends[len(stream)] = true
		masked := append([]byte{2, masked | 3, 1, 2, 3, 4}, "abc"...)
		stream = append(stream, masked...)
		ends[len(stream)] = true
	}
	for range 200 {
		var f frames
		for at := 0; at < len(stream); {
			n := min(1+rand.IntN(200), len(stream)-at)
			f.skip(stream[at : at+n])
			at += n
			if f.between() != ends[at] {
				t.Fatalf("at %d: between %v", at, f.between())
			}
		}
	}
	var f frames
	f.skip(frame(final|opClose, 2))
	if !f.closed || f.between() {
		t.Error("a second close frame would follow")
	}
}

// However a stream is cut into writes, the count is the same, and next never
// goes beyond the end of a frame.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame(2, 300), frame(final|1, 5)...), uint8(3))
	f.Add([]byte{0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0x88, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, parts frames
		whole.skip(stream)
		for rest := stream; len(rest) > 0; {
			n := min(1+int(step), len(rest))
			for piece := rest[:n]; len(piece) > 0; {
				taken := parts.next(piece)
				if taken <= 0 || taken > len(piece) {
					t.Fatalf("took %d of %d", taken, len(piece))
				}
				if taken < len(piece) && parts.have != 0 {
					t.Fatal("stopped within a frame")
				}
				piece = piece[taken:]
			}
			rest = rest[n:]
		}
		if whole != parts {
			t.Fatalf("%+v != %+v", whole, parts)
		}
	})
}

// pair is a frameConn and the client at the other end, on a real socket.
func pair(t *testing.T, websocket, answered bool) (*frameConn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	return newFrameConn(server, closeTimeout, websocket, answered), client
}

var revokedFrame = append([]byte{0x88, 15, 0x03, 0xf0}, "token revoked"...)

// cutNow cuts and returns the context's end.
func cutNow(c *frameConn) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	c.cut(token.CauseRevoked, cancel)
	return ctx
}

func write(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func TestCutBetweenFrames(t *testing.T) {
	c, client := pair(t, true, true)
	hello := frame(final|1, 5)
	write(t, c, hello)
	ctx := cutNow(c)
	got, err := io.ReadAll(client)
	if want := append(hello, revokedFrame...); !bytes.Equal(got, want) || err != nil {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("cause %v", context.Cause(ctx))
	}
	if n, err := c.Write(hello); n != 0 || err == nil {
		t.Errorf("a late write of %d bytes, %v", n, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// The API may write at the moment of the cut, before the goroutine that says
// goodbye has had its turn: here it has none before the write.
func TestFrameWrittenAfterTheCutIsNotDelivered(t *testing.T) {
	c, client := pair(t, true, true)
	cause := token.CauseRevoked
	c.cause.Store(&cause)
	if n, err := c.Write(frame(final|1, 5)); n != 0 || err == nil {
		t.Errorf("a late frame: %d bytes, %v", n, err)
	}
	ctx := cutNow(c)
	if got, err := io.ReadAll(client); !bytes.Equal(got, revokedFrame) || err != nil {
		t.Errorf("got %x, %v, want the goodbye alone", got, err)
	}
	<-ctx.Done()
}

func TestCutWithinFrame(t *testing.T) {
	c, client := pair(t, true, true)
	big := frame(final|2, 300)
	write(t, c, big[:100])
	ctx := cutNow(c)
	eventually(t, "the cut is known", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last != nil
	})
	if ctx.Err() != nil {
		t.Fatal("the upstream was ended within its frame")
	}
	write(t, c, big[100:200])
	n, err := c.Write(append(bytes.Clone(big[200:]), frame(final|1, 5)...))
	if n != len(big)-200 || err == nil {
		t.Errorf("wrote %d, %v; want the rest of the frame and an error", n, err)
	}
	got, err := io.ReadAll(client)
	if want := append(big, revokedFrame...); !bytes.Equal(got, want) || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestCutOfStalledFrame(t *testing.T) {
	for name, stall := range map[string]func(*frameConn){
		"upstream does not finish": func(c *frameConn) { _, _ = c.Write(frame(final|2, 300)[:100]) },
		"client does not read": func(c *frameConn) {
			started := make(chan struct{})
			go func() {
				close(started)
				_, _ = c.Write(frame(final|2, 64<<20))
			}()
			<-started
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := pair(t, true, true)
			stall(c)
			begun := time.Now()
			<-cutNow(c).Done()
			if took := time.Since(begun); took > 4*closeTimeout {
				t.Errorf("took %s", took)
			}
			eventually(t, "closed", func() bool {
				_, err := c.Conn.Write([]byte{0})
				return err != nil
			})
		})
	}
}

// A handler that hijacks before it answers writes the header itself.
func TestCutAfterOwnHeader(t *testing.T) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	for _, tt := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"whole header", []string{answer, "\x81\x01a"}, answer + "\x81\x01a" + string(revokedFrame)},
		{"in pieces", []string{answer[:20], answer[20 : len(answer)-2], "\r\n\x81", "\x01a"}, answer + "\x81\x01a" + string(revokedFrame)},
		{"header only half", []string{answer[:20]}, answer[:20]},
		{"no switch", []string{"HTTP/1.1 502 Bad Gateway\r\n\r\n", "\x81\x01a"}, "HTTP/1.1 502 Bad Gateway\r\n\r\n\x81\x01a"},
		{"closed by the upstream", []string{answer, "\x88\x02\x03\xe8"}, answer + "\x88\x02\x03\xe8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, client := pair(t, true, false)
			for _, s := range tt.writes {
				write(t, c, []byte(s))
			}
			// The client's half must be closed, or its side would be waited for.
			if half, ok := client.(closeWriter); ok {
				_ = half.CloseWrite()
			}
			<-cutNow(c).Done()
			got, err := io.ReadAll(client)
			if string(got) != tt.want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Nothing that a client sends after the cut reaches the upstream.
func TestReadAfterCut(t *testing.T) {
	c, client := pair(t, true, true)
	write(t, c, frame(final|2, 300)[:100]) // the cut has to wait
	write(t, client, []byte("before"))
	p := make([]byte, 64)
	if n, err := c.Read(p); string(p[:n]) != "before" || err != nil {
		t.Fatalf("read %q, %v", p[:n], err)
	}
	cutNow(c)
	write(t, client, []byte("an order"))
	if n, err := c.Read(p); n != 0 || err == nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

func TestCloseWriteIsKept(t *testing.T) {
	c, _ := pair(t, true, true)
	if _, ok := c.asConn().(closeWriter); !ok {
		t.Error("a TCP connection lost CloseWrite")
	}
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if _, ok := newFrameConn(here, closeTimeout, true, true).asConn().(closeWriter); ok {
		t.Error("a pipe got CloseWrite")
	}
}
