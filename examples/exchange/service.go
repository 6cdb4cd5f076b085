package main

import (
	"net/http"
	"strconv"
	"time"
)

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// echo answers with the request as it arrived here: what the gate removed,
// what it added, what it left alone. Never in a real API.
func (s *server) echo(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"method":  r.Method,
		"target":  r.RequestURI,
		"host":    r.Host,
		"headers": r.Header,
	})
}

// report takes its time: the headers at once, the answer after ?seconds=N.
// It is there to be in flight while a token is revoked or a config reloaded.
func (s *server) report(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 0 || seconds > 10 {
		fail(w, errorf(http.StatusBadRequest, "seconds must be a number from 0 to 10"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	done := time.NewTimer(time.Duration(seconds) * time.Second)
	defer done.Stop()
	select {
	case <-r.Context().Done():
		return
	case <-done.C:
	}
	accounts, orders, payments := s.ledger.totals()
	writeBody(w, map[string]any{
		"seconds": seconds, "accounts": accounts, "open_orders": orders, "payments": payments,
	})
}

// desk is what the people of the trading desk see.
func (s *server) desk(w http.ResponseWriter, _ *http.Request) {
	accounts, orders, payments := s.ledger.totals()
	writeJSON(w, http.StatusOK, map[string]int{
		"accounts": accounts, "open_orders": orders, "payments": payments,
	})
}
