package attacks

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn writes frames by hand, so that it can send what no client would.
type http2Conn struct {
	a      *attack
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
	next   uint32 // the next stream's id
}

// dialHTTP2 opens a connection to the gate and says hello with these settings.
func (a *attack) dialHTTP2(settings ...http2.Setting) *http2Conn {
	a.Helper()
	plain, err := net.Dial("tcp", "127.0.0.1:"+a.ports["gw.test:443"])
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { plain.Close() })
	if err := plain.SetDeadline(time.Now().Add(patience)); err != nil {
		a.Fatal(err)
	}
	conn := tls.Client(plain, &tls.Config{RootCAs: a.roots, ServerName: "gw.test", NextProtos: []string{"h2"}})
	if err := conn.HandshakeContext(a.Context()); err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		a.Fatal("no HTTP/2: ", err)
	}
	c := &http2Conn{a: a, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	c.encode = hpack.NewEncoder(&c.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		a.Fatal(err)
	}
	c.wrote(c.framer.WriteSettings(settings...))
	c.wrote(c.framer.WriteSettingsAck())
	return c
}

func (c *http2Conn) wrote(err error) {
	c.a.Helper()
	if err != nil {
		c.a.Fatal(err)
	}
}

// field is a header field, as it goes over the wire.
type field struct{ name, value string }

// asking are the pseudo-header fields of a request.
func asking(method, path string) []field {
	return []field{{":method", method}, {":scheme", "https"}, {":authority", "gw.test"}, {":path", path}}
}

func authorized(token string) field { return field{"authorization", "Bearer " + token} }

// fields encodes a header block. Whoever keeps it copies it.
func (c *http2Conn) fields(fields ...field) []byte {
	c.a.Helper()
	c.block.Reset()
	for _, f := range fields {
		c.wrote(c.encode.WriteField(hpack.HeaderField{Name: f.name, Value: f.value, Sensitive: true}))
	}
	return c.block.Bytes()
}

// open begins a stream and returns its id.
func (c *http2Conn) open(endStream bool, fields ...field) uint32 {
	c.a.Helper()
	id := c.next
	c.next += 2
	c.wrote(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(fields...), EndHeaders: true, EndStream: endStream}))
	return id
}

// ask sends a request without a body and reads its answer.
func (c *http2Conn) ask(fields ...field) *http2Answer {
	c.a.Helper()
	return c.answer(c.open(true, fields...))
}

// http2Answer is an answer, or how its stream or the connection ended instead.
type http2Answer struct {
	*answer
	reset *http2.ErrCode // of the stream, by RST_STREAM, or of the connection, by GOAWAY
}

// answer reads frames until the stream is over.
func (c *http2Conn) answer(id uint32) *http2Answer {
	c.a.Helper()
	got := &http2Answer{answer: &answer{a: c.a, header: http.Header{}, proto: 2}}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.a.Fatalf("stream %d: %v", id, err)
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				got.reset = &frame.ErrCode
				return got
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				if frame.ErrCode != http2.ErrCodeNo || got.status == 0 {
					got.reset = &frame.ErrCode
				}
				return got
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == id {
				got.take(frame)
			}
		case *http2.DataFrame:
			if frame.StreamID == id {
				got.body += string(frame.Data())
			}
		}
		if frame.Header().StreamID == id && frame.Header().Flags.Has(http2.FlagDataEndStream) && got.status >= 200 {
			return got
		}
	}
}

func (got *http2Answer) take(frame *http2.MetaHeadersFrame) {
	for _, f := range frame.Fields {
		if f.Name == ":status" {
			got.status, _ = strconv.Atoi(f.Value)
		} else {
			got.header.Add(f.Name, f.Value)
		}
	}
}

// isReset wants the stream, or the whole connection, to have ended as a violation
// of the protocol, and the backend to have seen nothing.
func (got *http2Answer) isReset() {
	got.a.Helper()
	if got.reset == nil || *got.reset != http2.ErrCodeProtocol {
		got.a.Errorf("reset %v, answer %s; a PROTOCOL_ERROR is wanted", got.reset, got.answer)
	}
	got.a.noMoreReceived()
	got.a.result("PROTOCOL_ERROR")
}

// flow reads what comes until the connection ends, while somebody else writes.
type flow struct {
	pong chan struct{} // the server has read all that came before a ping
	done chan drained
}

// drained is what came on a connection up to its end.
type drained struct {
	goAway          []http2.ErrCode
	answers, resets int
	concurrent      uint32 // streams that the server lets be open at a time
}

func (c *http2Conn) drain() *flow {
	f := &flow{make(chan struct{}), make(chan drained, 1)}
	go func() {
		var end drained
		for {
			frame, err := c.framer.ReadFrame()
			if err != nil {
				f.done <- end
				return
			}
			switch frame := frame.(type) {
			case *http2.GoAwayFrame:
				end.goAway = append(end.goAway, frame.ErrCode)
			case *http2.RSTStreamFrame:
				end.resets++
			case *http2.MetaHeadersFrame:
				end.answers++
			case *http2.SettingsFrame:
				if most, ok := frame.Value(http2.SettingMaxConcurrentStreams); ok {
					end.concurrent = most
				}
			case *http2.PingFrame:
				if frame.IsAck() {
					close(f.pong)
				}
			}
		}
	}()
	return f
}

// close ends the connection and tells what came.
func (c *http2Conn) close(f *flow) drained {
	c.conn.Close()
	return <-f.done
}

// TestHTTP2Harness makes sure that a good request by hand is served: a reset says
// nothing otherwise.
func TestHTTP2Harness(t *testing.T) {
	a := &attack{T: t, server: startServer(t), id: "http2-harness"}
	a.runExpecting(func(a *attack) {
		c := a.dialHTTP2()
		got := c.ask(append(asking("GET", "/v1/accounts"), authorized(a.tokenRead()))...)
		if got.reset != nil {
			a.Fatal(got.reset)
		}
		if seen := got.passed(); seen.request.Host != "gw.test" {
			a.Errorf("the backend saw %q", seen.raw)
		}
		c.ask(asking("GET", "/v1/accounts")...).refused(401, noCredentials)
		id := c.open(false, append(asking("POST", "/v1/orders"), authorized(a.mint(a.header(), a.claims("orders:write"))))...)
		c.wrote(c.framer.WriteData(id, true, []byte("buy")))
		if seen := c.answer(id).passed(); seen.body != "buy" {
			a.Errorf("the backend saw %q", seen.raw)
		}
		flood := a.dialHTTP2()
		seen := flood.drain()
		flood.open(true, asking("GET", "/v1/accounts")...)
		flood.wrote(flood.framer.WritePing(false, [8]byte{}))
		<-seen.pong
		if end := flood.close(seen); end.concurrent == 0 || end.resets != 0 || len(end.goAway) != 0 {
			a.Errorf("%+v", end)
		}
	})
}
