//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestCallerAcceptsNothingButSuccess(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte(`{"code":"` + r.Header.Get("X-Word") + string(body) + `"}`))
		case "/moved":
			http.Redirect(w, r, "/good", http.StatusFound)
		default:
			http.Error(w, "refused", http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	c := &caller{network: "tcp", address: server.Listener.Addr().String()}
	defer c.close()
	for range 2 { // on one connection
		answer, err := c.send(call{"POST", "/good", "X-Word: a\r\n", "b"})
		if err != nil || member(answer, "code") != "ab" {
			t.Fatalf("%s, %v", answer, err)
		}
	}
	for _, path := range []string{"/moved", "/other"} {
		if _, err := c.send(call{"GET", path, "", ""}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDriveEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := drive(context.Background(), []*caller{{}, {}}, time.Hour, func(*caller) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
