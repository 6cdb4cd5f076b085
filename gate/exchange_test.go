package gate

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/token"
)

var discardLog = log.New(io.Discard, "", 0)

// A handler that writes after it returned writes into nothing: neither its own
// answer nor that of the request that took its place in the pool.
func TestWriteAfterReturn(t *testing.T) {
	w := openWorld(t, nil)
	var stale []http.ResponseWriter
	for range 100 {
		rec := httptest.NewRecorder()
		err := w.ServeHTTP(rec, httptest.NewRequest("GET", "/health", nil), handlerFunc(func(rw http.ResponseWriter, _ *http.Request) error {
			for _, old := range stale {
				old.WriteHeader(500)
				if _, err := io.WriteString(old, "stale"); err == nil {
					t.Error("written")
				}
				if http.NewResponseController(old).Flush() == nil {
					t.Error("flushed")
				}
				if _, _, err := http.NewResponseController(old).Hijack(); err == nil {
					t.Error("hijacked")
				}
			}
			stale = append(stale, rw)
			_, err := io.WriteString(rw, "fresh")
			return err
		}))
		if err != nil || rec.Body.String() != "fresh" || rec.Code != 200 {
			t.Fatalf("%v: %d %q", err, rec.Code, rec.Body)
		}
	}
}

// The context's cause is what proxies need to see, and reaches no other request.
func TestContextOfCutExchange(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.mint(t)
	serve := func(next handlerFunc) error {
		r := httptest.NewRequest("GET", "/sse", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		return w.ServeHTTP(httptest.NewRecorder(), r, next)
	}
	err := serve(func(_ http.ResponseWriter, r *http.Request) error {
		w.authority.CutAll(token.CauseRights)
		<-r.Context().Done()
		return context.Cause(r.Context())
	})
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != "cut_rights_changed" || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := serve(func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() }); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// A shutdown that comes between the decision and the exchange is carried out.
func TestCutBeforeNext(t *testing.T) {
	w := openWorld(t, func(o *Options) {
		authority := o.Authority
		o.Allowed = func(*http.Request, Decision) { authority.CutAll(token.CauseShutdown) }
	})
	var refusal *Refusal
	if err := w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil), handlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return nil
	})); !errors.As(err, &refusal) || refusal.Status != 503 {
		t.Errorf("%v", err)
	}
	w.afterJoin = func() { w.authority.CutAll(token.CauseShutdown) }
	if err := w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil), handlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		return context.Cause(r.Context())
	})); !errors.As(err, &refusal) || refusal.Status != 503 {
		t.Errorf("%v", err)
	}
}

// A policy is asked once for each rider, and again only when it has changed.
func TestPermitted(t *testing.T) {
	w := openWorld(t, nil)
	raw := w.mint(t)
	r := httptest.NewRequest("GET", "/accounts", nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	x := w.take()
	if _, refusal := w.check(x, r); refusal != nil {
		t.Fatal(refusal)
	}
	defer w.leave(x)
	for _, tt := range []struct {
		name string
		src  string
		want bool
	}{
		{"unchanged", testPolicy, true},
		{"changed elsewhere", strings.ReplaceAll(testPolicy, "path: /sse}", "path: /elsewhere}"), true},
		{"route gone", strings.ReplaceAll(testPolicy, "path: /accounts}", "path: /elsewhere}"), false},
		{"back again", testPolicy, true},
		{"removed", "", false},
	} {
		if tt.src == "" {
			w.rules.Store(nil)
		} else {
			w.rules.Store(loadPolicy(t, tt.src))
		}
		for range 2 {
			if got := x.Permitted(); got != tt.want {
				t.Errorf("%s: %v", tt.name, got)
			}
		}
		if n := testing.AllocsPerRun(10, func() { x.Permitted() }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// Requests, revocations, sweeps and policy swaps at once; the race detector and
// the answers are the test.
func TestPoolUnderLoad(t *testing.T) {
	w := openWorld(t, nil)
	old, swapped := w.rules.Load(), loadPolicy(t, testPolicy)
	good := w.mint(t)
	tokens := make([]string, 40)
	for i := range tokens {
		tokens[i] = w.mint(t)
	}
	stop := make(chan struct{})
	var background, requests sync.WaitGroup
	background.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.authority.Sweep()
				w.rules.Store(swapped)
				w.rules.Store(old)
			}
		}
	})
	background.Go(func() {
		for _, raw := range tokens {
			w.revoke(t, raw)
		}
	})
	for worker := range 4 {
		requests.Go(func() {
			for i := range 200 {
				w.loadOne(t, good, tokens[rand.IntN(len(tokens))], worker*1000+i)
			}
		})
	}
	requests.Wait()
	close(stop)
	background.Wait()
	if n := w.authority.Riders(); n != 0 {
		t.Errorf("%d riders are left", n)
	}
}

// loadOne sends one request with the good token or a dying one.
func (w *world) loadOne(t *testing.T, good, dying string, i int) {
	raw, path := good, "/accounts"
	if i%2 == 0 {
		raw, path = dying, "/sse"
	}
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	rec := httptest.NewRecorder()
	catch(func() {
		err := w.ServeHTTP(rec, r, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
			if path == "/sse" {
				rw.Header().Set("Content-Type", "text/event-stream")
			}
			_, err := io.WriteString(rw, "data: "+r.Header.Get("X-Auth-Subject")+"\n\n")
			return err
		}))
		var refusal *Refusal
		switch {
		case raw == good && (err != nil || rec.Body.String() != "data: alice\n\n"):
			t.Errorf("good token: %v, %q", err, rec.Body)
		case err != nil && !errors.As(err, &refusal) && !errors.Is(err, context.Canceled):
			t.Errorf("dying token: %v", err)
		}
	})
}
