//go:build proof

package proof

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// streamBound is how long after the answer to a revocation the last byte of a
// stream may come: what is in the sockets by then, the close frame, the last
// event. What the API writes after the answer must not come at all in an event
// stream. A WebSocket gets its close frame between two frames, and whoever waits
// for that moment may be overtaken by a frame.
const streamBound = time.Second

const sse = "SSE"

// stream is a live stream that rides on a token. read returns the next message.
type stream struct {
	kind  string
	token int
	read  func() ([]byte, error)
	alive chan struct{} // closed at the first message

	// Written by follow, all in time since began.
	written time.Duration // when the backend wrote the last message that came
	over    time.Duration // when the stream was seen to be over
}

// Streams that ride on a token die with it, some hundreds at a time.
func TestStreamsDieWithTheirToken(t *testing.T) {
	const perKind, revokers = 150, 16
	s := newServer(t, binary()).start()
	b := s.newBot(t, "streams")
	streams := make([]*stream, 0, 2*perKind)
	held := make([]tokens, perKind)
	var following sync.WaitGroup
	for i := range perKind {
		var err error
		if held[i], err = b.authorize(); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s.openEvents(t, i, held[i].Access), s.openSocket(t, i, held[i].Access))
	}
	for _, st := range streams {
		following.Go(st.follow)
	}
	for _, st := range streams {
		<-st.alive
	}

	ended := make([]time.Duration, perKind)
	var revoking sync.WaitGroup
	for r := range revokers {
		other := s.connect(b)
		revoking.Go(func() {
			for i := r; i < perKind; i += revokers {
				token := held[i].Access
				if i%3 == 0 {
					token = held[i].Refresh // takes the grant along
				}
				a, err := other.revoke(token)
				if err != nil || a.status != 200 {
					t.Errorf("revocation: %v %s", err, a)
				}
				ended[i] = a.read.Sub(began)
			}
		})
	}
	revoking.Wait()
	following.Wait() // each read has a deadline

	lives := map[string][]time.Duration{}
	for _, st := range streams {
		end := ended[st.token]
		if st.written > end {
			t.Errorf("%s %d: delivered what the API wrote %s after the revocation was answered", st.kind, st.token, st.written-end)
		}
		if st.over > end+streamBound {
			t.Errorf("%s %d: over %s after the revocation was answered", st.kind, st.token, st.over-end)
		}
		lives[st.kind] = append(lives[st.kind], st.over-end)
	}
	for kind, all := range lives {
		slices.Sort(all)
		t.Logf("%d streams (%s): over after the answer by p50 %s, p99 %s, max %s", len(all), kind, all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
	}
}

// follow reads until the stream is over.
func (s *stream) follow() {
	first := true
	for {
		message, err := s.read()
		s.over = time.Since(began)
		var got tick
		if err == nil && json.Unmarshal(message, &got) == nil && got.At != 0 {
			s.written = got.At
		}
		if first {
			close(s.alive)
			first = false
		}
		if err != nil {
			return
		}
	}
}

func (s *server) openEvents(t testing.TB, token int, access string) *stream {
	t.Helper()
	conn, err := net.Dial("tcp", s.api)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: "+s.api+"\r\nAuthorization: Bearer "+access+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("events: %v %v", err, response)
	}
	lines := bufio.NewScanner(response.Body)
	return &stream{kind: sse, token: token, alive: make(chan struct{}), read: func() ([]byte, error) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return []byte(data), nil
			}
		}
		if lines.Err() != nil {
			return nil, lines.Err()
		}
		return nil, io.EOF
	}}
}

func (s *server) openSocket(t testing.TB, token int, access string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "ws://"+s.api+"/socket", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + access}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &stream{kind: "WebSocket", token: token, alive: make(chan struct{}), read: func() ([]byte, error) {
		_, message, err := conn.Read(ctx)
		return message, err
	}}
}
