package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
)

// streamMarket is the WebSocket: a tick at once and then one each interval.
// A client may send the text "ping" and {"subscribe":"BTC-USD"}, which
// narrows the ticks to the symbols subscribed so far.
func (s *server) streamMarket(w http.ResponseWriter, r *http.Request) {
	// Before Accept: until it hijacks, the server's Shutdown waits for this
	// request, so that the count is complete when waitSockets begins.
	s.sockets.Add(1)
	defer s.sockets.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// Chosen only if offered; without a match the answer names none.
		Subprotocols: []string{"market.v1"},
		// Pages of other origins may connect: there is no cookie that a
		// foreign page could ride on, only a token that it must have.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(4 << 10)

	// Not r.Context(): that of a hijacked request ends with the handler only.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := new(subscription)
	go func() {
		defer cancel() // the client has gone or broke the protocol
		for {
			_, message, err := conn.Read(ctx)
			if err != nil {
				return
			}
			if err := send(ctx, conn, asked.handle(message)); err != nil {
				return
			}
		}
	}()

	beat := time.NewTicker(s.marketInterval)
	defer beat.Stop()
	for {
		if err := send(ctx, conn, s.market.next(asked.symbols()...)); err != nil {
			return
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		case <-s.streams.Done():
			_ = conn.Close(websocket.StatusGoingAway, "the exchange stops")
			return
		}
	}
}

// send writes v as one text message. A reader that takes longer than two
// seconds for it is not reading.
func send(ctx context.Context, conn *websocket.Conn, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	message, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, message)
}

// subscription is the set of symbols that one WebSocket asked for. Its
// reader fills it and its writer reads it.
type subscription struct {
	mu     sync.Mutex
	wanted []string
}

func (s *subscription) symbols() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wanted)
}

// handle takes one message of the client and returns the answer to it.
func (s *subscription) handle(message []byte) any {
	if string(bytes.TrimSpace(message)) == "ping" {
		return map[string]string{"type": "pong"}
	}
	var request struct {
		Subscribe string `json:"subscribe"`
	}
	if err := json.Unmarshal(message, &request, json.RejectUnknownMembers(true)); err != nil {
		return map[string]string{"type": "error", "error": `send ping or {"subscribe":"SYMBOL"}`}
	}
	if !slices.Contains(symbols, request.Subscribe) {
		return map[string]string{"type": "error", "error": "unknown symbol"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.wanted, request.Subscribe) {
		s.wanted = append(s.wanted, request.Subscribe)
	}
	return map[string]string{"type": "subscribed", "symbol": request.Subscribe}
}

// streamEvents is the same market as server-sent events: one at once, then
// one each interval, until the client or the server ends it.
func (s *server) streamEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	control := http.NewResponseController(w)
	beat := time.NewTicker(s.eventInterval)
	defer beat.Stop()
	for {
		tick := s.market.next()
		data, err := json.Marshal(tick)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "event: tick\nid: %d\ndata: %s\n\n", tick.Sequence, data); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-beat.C:
		case <-r.Context().Done():
			return
		case <-s.streams.Done():
			return
		}
	}
}
