package gate

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// floods are tokens that somebody makes up, by what he knows. Each is another one.
func (w *world) floods(t testing.TB) map[string]func(i int) string {
	good := w.mint(t)
	header, rest, _ := strings.Cut(good, ".")
	head := good[:strings.LastIndexByte(good, '.')+1]
	personal := w.personal(t, "read:accounts")
	const tail = 27 + 9 // random and check
	return map[string]func(int) string{
		"random":              func(i int) string { return fmt.Sprintf("%040d", i) },
		"opaque, no check":    func(i int) string { return fmt.Sprintf("%s%0*d", personal[:len(personal)-tail], tail, i) },
		"opaque, never made":  func(int) string { raw, _ := w.authority.Keyring().NewOpaque(store.Personal); return raw },
		"unknown key":         func(i int) string { return fmt.Sprintf("%s%06d.%s", header[:len(header)-8], i, rest) },
		"signature of nobody": func(i int) string { return fmt.Sprintf("%s%085dA", head, i) },
	}
}

// TestFloods sends made-up tokens over real connections as fast as they are
// answered, and counts what comes of it: how often the store is asked, how many
// signatures are verified, and what happens meanwhile to those who mean well.
func TestFloods(t *testing.T) {
	w := openWorld(t, nil)
	var passed atomic.Int64
	server := w.serve(t, handlerFunc(func(http.ResponseWriter, *http.Request) error {
		passed.Add(1)
		return nil
	}))
	known := w.mint(t)
	if got, _ := w.send(t, server, known); got != 200 {
		t.Fatalf("a good token: %d", got)
	}
	for name, next := range w.floods(t) {
		t.Run(name, func(t *testing.T) {
			w.offset.Add(int64(time.Hour / 2)) // what was counted before is forgotten
			f := &onslaught{world: w, server: server, next: next, known: known, newcomer: w.mint(t)}
			passed.Store(0)
			f.run(t)
			if got := passed.Load(); got != f.good.Load() {
				t.Errorf("%d requests passed, and %d were good", got, f.good.Load())
			}
		})
		known = w.mint(t) // the next half hour is beyond the life of this one
		_, _ = w.send(t, server, known)
	}
}

// onslaught is one of them, with two who mean well beside it.
type onslaught struct {
	*world
	server          *httptest.Server
	next            func(int) string
	known, newcomer string

	number, good atomic.Int64
	answered     [600]atomic.Int64 // by status
}

const floodTime, floodConnections = 1500 * time.Millisecond, 64

func (f *onslaught) run(t *testing.T) {
	verified, lookedUp := f.authority.Work()
	begin := time.Now()
	var floods, others sync.WaitGroup
	for range floodConnections {
		floods.Go(func() {
			for time.Since(begin) < floodTime {
				status, _ := f.send(t, f.server, f.next(int(f.number.Add(1))))
				f.answered[status].Add(1)
			}
		})
	}
	over := make(chan struct{})
	others.Go(func() { f.goOn(t, over) })
	others.Go(func() { f.arrive(t) })
	floods.Wait()
	close(over)
	others.Wait()
	took := time.Since(begin)

	afterVerify, afterLookup := f.authority.Work()
	work := int(afterVerify.Done - verified.Done + afterLookup.Done - lookedUp.Done)
	// 60 at once and one each second for the address, then the slow lane: 500 a
	// second. Two for the newcomer, and some that had their turn at the same time.
	if most := 60 + int(took/time.Second) + int(500*(took+time.Second)/time.Second) + 10; work > most {
		t.Errorf("%d signatures and look-ups in %s; want %d at most", work, took, most)
	}
	if refused := f.answered[401].Load() + f.answered[429].Load(); refused != f.number.Load() {
		t.Errorf("%d of %d were refused with 401 or 429", refused, f.number.Load())
	}
	t.Logf("%s: %d × 401, %d × 429, %d signatures and look-ups, %d good requests beside",
		took.Round(time.Millisecond), f.answered[401].Load(), f.answered[429].Load(), work, f.good.Load())
}

// goOn is somebody who has a token that is known.
func (f *onslaught) goOn(t *testing.T, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		if status, text := f.send(t, f.server, f.known); status != 200 {
			t.Errorf("a known token: %d %s", status, text)
			return
		}
		f.good.Add(1)
	}
}

// arrive is somebody whose token is new, and who comes from the flood's address.
func (f *onslaught) arrive(t *testing.T) {
	eventually(t, "a new token gets in, in spite of the flood", func() bool {
		status, text := f.send(t, f.server, f.newcomer)
		switch status {
		case 200:
			f.good.Add(1)
			return true
		case 429, 503:
			return false
		}
		t.Errorf("a new token: %d %s", status, text)
		return true
	})
}

// send makes a request with a token, and returns the status with the body.
func (w *world) send(t testing.TB, server *httptest.Server, raw string) (int, string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/accounts", nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// Those for whom there is no place in the slow lane are told when to come back,
// and that nothing is known against the token.
func TestAnswersUnderAFlood(t *testing.T) {
	w := openWorld(t, nil)
	for _, tt := range []struct {
		overloaded token.Overloaded
		status     int
		body       string
	}{
		{token.Overloaded{Work: token.WorkVerify, Address: true, RetryAfter: time.Second}, 429,
			`{"type":"https://as.test/problems/too-many-invalid-tokens","title":"Too many tokens from this address were not valid","status":429,"code":"too_many_invalid_tokens","detail":"Tokens of this address are looked at slowly, because too many were none of ours. This one was not looked at.","request_id":"req-1"}`},
		{token.Overloaded{Work: token.WorkLookup, RetryAfter: time.Second}, 503,
			`{"type":"https://as.test/problems/temporarily-unavailable","title":"Try again","status":503,"code":"temporarily_unavailable","detail":"Whether the token is valid was not found out, because too many others are to be looked at.","request_id":"req-1"}`},
	} {
		r, rw := httptest.NewRequest("GET", "/accounts", nil), httptest.NewRecorder()
		w.refuseProof(r, fmt.Errorf("proof: %w", &tt.overloaded)).Respond(rw, r)
		if got := strings.TrimSpace(rw.Body.String()); rw.Code != tt.status || got != tt.body {
			t.Errorf("%d %s\nwant %d %s", rw.Code, got, tt.status, tt.body)
		}
		if rw.Header().Get("Retry-After") != "1" || rw.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("header %v", rw.Header())
		}
	}
}
