package main

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// server is the API. The zero value is not usable; see newServer.
type server struct {
	// marketInterval and eventInterval are the beats of the two streams.
	marketInterval time.Duration
	eventInterval  time.Duration

	ledger *ledger
	market *market
	mux    *http.ServeMux

	// streams ends when the process stops. Requests have contexts of their
	// own, but that of a WebSocket does not end with the server.
	streams    context.Context
	endStreams context.CancelFunc
	sockets    sync.WaitGroup
}

func newServer() *server {
	s := &server{
		marketInterval: 200 * time.Millisecond,
		eventInterval:  time.Second,
		ledger:         newLedger(),
		market:         newMarket(),
		mux:            http.NewServeMux(),
	}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	s.routes()
	return s
}

func (s *server) routes() {
	s.mux.HandleFunc("GET /health", s.health)
	s.mux.HandleFunc("GET /debug/request", s.echo)

	s.mux.HandleFunc("GET /api/v1/accounts", s.listAccounts)
	s.mux.HandleFunc("GET /api/v1/accounts/{account}", s.readAccount)
	s.mux.HandleFunc("GET /api/v1/accounts/{account}/balance", s.readBalance)
	s.mux.HandleFunc("GET /api/v1/accounts/{account}/orders", s.listOrders)
	s.mux.HandleFunc("POST /api/v1/accounts/{account}/orders", s.placeOrder)
	s.mux.HandleFunc("DELETE /api/v1/accounts/{account}/orders/{order}", s.cancelOrder)

	for _, kind := range []string{"eft", "remittance"} {
		s.mux.HandleFunc("GET /api/v1/"+kind, s.listPayments(kind))
		s.mux.HandleFunc("POST /api/v1/"+kind, s.sendPayment(kind))
		s.mux.HandleFunc("GET /api/v1/"+kind+"/{payment}", s.readPayment(kind))
	}

	s.mux.HandleFunc("GET /api/v1/market", s.readMarket)
	s.mux.HandleFunc("GET /api/v1/stream", s.streamMarket)
	s.mux.HandleFunc("GET /api/v1/events", s.streamEvents)

	s.mux.HandleFunc("GET /api/v1/echo", s.echo)
	s.mux.HandleFunc("GET /api/v1/report", s.report)
	s.mux.HandleFunc("GET /api/v1/desk", s.desk)
}

// ServeHTTP answers the API's calls. The mux alone would answer an unknown
// path or method in plain text; here every error is JSON.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	// The mux's own answer knows the status and, for a 405, what is allowed.
	verdict := &statusOnly{ResponseWriter: w, status: http.StatusNotFound}
	handler.ServeHTTP(verdict, r)
	writeError(w, verdict.status, http.StatusText(verdict.status))
}

// statusOnly lets headers through and keeps status and body back.
type statusOnly struct {
	http.ResponseWriter
	status int
}

func (w *statusOnly) WriteHeader(status int)      { w.status = status }
func (w *statusOnly) Write(p []byte) (int, error) { return len(p), nil }

// waitSockets waits until every WebSocket has closed, or until ctx ends.
func (s *server) waitSockets(ctx context.Context) {
	closed := make(chan struct{})
	go func() {
		s.sockets.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}
