package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// dial opens the market stream of a server of its own.
func dial(t *testing.T, options *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	api := newServer()
	api.marketInterval = time.Millisecond
	web := httptest.NewServer(api)
	t.Cleanup(web.Close)
	conn, response, err := websocket.Dial(t.Context(), web.URL+"/api/v1/stream", options)
	if err != nil {
		t.Fatal(err)
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// message is any message of the server.
type message struct {
	Type     string   `json:"type"`
	Symbol   string   `json:"symbol"`
	Error    string   `json:"error"`
	Sequence uint64   `json:"sequence"`
	Tickers  []ticker `json:"tickers"`
}

// readUntil reads messages until one fits.
func readUntil(t *testing.T, conn *websocket.Conn, fits func(message) bool) message {
	t.Helper()
	for {
		var m message
		if err := wsjson.Read(t.Context(), conn, &m); err != nil {
			t.Fatal(err)
		}
		if fits(m) {
			return m
		}
	}
}

func ofType(want string) func(message) bool {
	return func(m message) bool { return m.Type == want }
}

func TestStreamTicksAndNarrows(t *testing.T) {
	conn := dial(t, nil)
	first := readUntil(t, conn, ofType("tick"))
	if len(first.Tickers) != len(symbols) {
		t.Errorf("first tick has %d symbols, want all %d", len(first.Tickers), len(symbols))
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"subscribe":"BTC-USD"}`)); err != nil {
		t.Fatal(err)
	}
	if got := readUntil(t, conn, ofType("subscribed")); got.Symbol != "BTC-USD" {
		t.Errorf("subscribed to %q", got.Symbol)
	}
	// One tick may have been on its way while the subscription was noted.
	narrow := readUntil(t, conn, func(m message) bool { return m.Type == "tick" && len(m.Tickers) == 1 })
	if narrow.Tickers[0].Symbol != "BTC-USD" || narrow.Sequence <= first.Sequence {
		t.Errorf("narrow tick %+v after %+v", narrow, first)
	}
}

func TestStreamAnswers(t *testing.T) {
	tests := []struct{ send, wantType, wantError string }{
		{"ping", "pong", ""},
		{`{"subscribe":"DOGE-USD"}`, "error", "unknown symbol"},
		{`{"unsubscribe":"BTC-USD"}`, "error", "subscribe"},
		{"hello", "error", "subscribe"},
	}
	conn := dial(t, nil)
	for _, tt := range tests {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(tt.send)); err != nil {
			t.Fatal(err)
		}
		got := readUntil(t, conn, func(m message) bool { return m.Type != "tick" })
		if got.Type != tt.wantType || !strings.Contains(got.Error, tt.wantError) {
			t.Errorf("%s: %+v", tt.send, got)
		}
	}
}

func TestStreamSubprotocol(t *testing.T) {
	tests := []struct {
		name    string
		offered []string
		want    string
	}{
		{"none offered", nil, ""},
		{"ours among others", []string{"bearer", "market.v1"}, "market.v1"},
		{"unknown ones only", []string{"bearer", "chat"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, &websocket.DialOptions{Subprotocols: tt.offered})
			if got := conn.Subprotocol(); got != tt.want {
				t.Errorf("chose %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStreamAnswersPingFrames(t *testing.T) {
	conn := dial(t, nil)
	go func() { // Ping needs a reader
		for {
			if _, _, err := conn.Read(context.WithoutCancel(t.Context())); err != nil {
				return
			}
		}
	}()
	if err := conn.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStreamRefusesLongMessages(t *testing.T) {
	conn := dial(t, nil)
	if err := conn.Write(t.Context(), websocket.MessageText, make([]byte, 5<<10)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("close status %v (%v)", got, err)
	}
}

func TestEventsBeatUntilTheClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		w := httptest.NewRecorder()
		newServer().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil))
		if got := w.Header().Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %q", got)
		}
		events := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
		if len(events) != 3 || !w.Flushed { // at 0, 1 and 2 seconds
			t.Fatalf("%d events in 2.5 s: %q", len(events), w.Body)
		}
		for _, event := range events {
			if !strings.HasPrefix(event, "event: tick\nid: ") || !strings.Contains(event, "\ndata: {\"type\":\"tick\"") {
				t.Errorf("event %q", event)
			}
		}
	})
}

func TestEventsEndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		time.AfterFunc(1500*time.Millisecond, s.endStreams)
		start := time.Now()
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/events", nil))
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
