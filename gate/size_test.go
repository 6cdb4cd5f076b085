package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// swallow reads the body to its end and tells what became of it.
func swallow(read *int, failed *error) Handler {
	return handlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		*read, *failed = len(body), err
		if err != nil {
			w.WriteHeader(http.StatusBadGateway) // as a proxy that lost its client's body
		}
		return nil
	})
}

func wantProblem(t *testing.T, resp *http.Response, status int, code string) {
	t.Helper()
	got := body(t, resp)
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" ||
		!strings.Contains(got, `"code":"`+code+`"`) || !strings.Contains(got, `"type":"https://as.test/problems/`+strings.ReplaceAll(code, "_", "-")+`"`) {
		t.Errorf("status %d, body %s; want %d %s", resp.StatusCode, got, status, code)
	}
}

func TestHeaderBombs(t *testing.T) {
	w := openWorld(t, nil)
	bearer := "Authorization: Bearer " + w.mint(t)
	passed := 0
	server := w.serve(t, handlerFunc(func(http.ResponseWriter, *http.Request) error {
		passed++
		return nil
	}))
	many := func(n int, format string) (lines []string) {
		for i := range n {
			lines = append(lines, strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return lines
	}
	room := defaultHeader - len(bearer) - len(": \r\n") + len(": ") - len("X-Filler: \r\n")
	for _, tt := range []struct {
		attack string
		lines  []string
		status int
	}{
		{"as many fields as there may be", many(defaultFields-1, "X-Filler-#: a"), 200},
		{"one field too many", many(defaultFields, "X-Filler-#: a"), 431},
		{"the same field again and again", many(defaultFields, "X-Filler: a"), 431},
		{"thousands of empty fields", many(5000, "X-#:"), 431},
		{"cookies that have piled up", many(defaultFields, "Cookie: a#=b"), 431},
		{"forged identities, each in another spelling", many(defaultFields, "X_Auth-Subject-#: root"), 431},
		{"as large as it may be", []string{"X-Filler: " + strings.Repeat("a", room)}, 200},
		{"a byte too large", []string{"X-Filler: " + strings.Repeat("a", room+1)}, 431},
		{"one field of 500 KiB", []string{"X-Filler: " + strings.Repeat("a", 500<<10)}, 431},
		{"a large name", []string{strings.Repeat("a", defaultHeader) + ": a"}, 431},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			before := passed
			resp := raw(t, server, get("/accounts", append(tt.lines, bearer)...))
			if tt.status == 200 {
				if resp.StatusCode != 200 {
					t.Errorf("status %d: %s", resp.StatusCode, body(t, resp))
				}
				return
			}
			wantProblem(t, resp, tt.status, CodeHeaderTooLarge)
			if passed != before {
				t.Error("it came through")
			}
		})
	}
}

func TestEndlessTargets(t *testing.T) {
	w := openWorld(t, nil)
	bearer := "Authorization: Bearer " + w.mint(t)
	server := w.serve(t, nothing)
	const path = "/accounts?"
	for _, tt := range []struct {
		attack, target string
		status         int
	}{
		{"as long as it may be", path + strings.Repeat("a", defaultTarget-len(path)), 200},
		{"a byte too long", path + strings.Repeat("a", defaultTarget+1-len(path)), 414},
		{"a query of 500 KiB", path + strings.Repeat("a=1&", 125<<10), 414},
		{"a thousand segments", strings.Repeat("/a", 10_000), 414},
		{"absolute form", "http://gw.test" + path + strings.Repeat("a", defaultTarget), 414},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, get(tt.target, bearer))
			if tt.status != 200 {
				wantProblem(t, resp, tt.status, CodeURITooLong)
			} else if resp.StatusCode != 200 {
				t.Errorf("status %d: %s", resp.StatusCode, body(t, resp))
			}
		})
	}
}

// A token that is too long is answered for before it is looked at, and in words.
func TestEndlessTokens(t *testing.T) {
	w := openWorld(t, nil)
	server := w.serve(t, nothing)
	good := w.mint(t)
	for attack, token := range map[string]string{
		"letters":             strings.Repeat("A", 9<<10),
		"a good one, longer":  good + strings.Repeat("A", 9<<10),
		"dots":                strings.Repeat(".", 9<<10),
		"a header that costs": "e" + strings.Repeat("A", 4<<10) + good[strings.IndexByte(good, '.'):],
	} {
		resp := raw(t, server, get("/accounts", "Authorization: Bearer "+token))
		if got := body(t, resp); resp.StatusCode != 401 || !strings.Contains(got, "longer than any of ours") {
			t.Errorf("%s: %d %s", attack, resp.StatusCode, got)
		}
	}
}

// A body that says that it is too large is refused before a byte of it is sent.
func TestBodyThatSaysItIsTooLarge(t *testing.T) {
	w := openWorld(t, nil)
	read, failed := -1, error(nil)
	server := w.serve(t, swallow(&read, &failed))
	bearer := "Authorization: Bearer " + w.mint(t)
	for _, line := range []string{fmt.Sprint("Content-Length: ", defaultBody+1), "Content-Length: 9223372036854775807"} {
		for _, expect := range []string{"Expect: 100-continue", "X-No: expectation"} {
			resp := raw(t, server, request("POST", "/upload", bearer, line, expect))
			wantProblem(t, resp, 413, CodeContentTooLarge)
			if !resp.Close {
				t.Errorf("%s: the connection is kept, with a body to come", line)
			}
		}
	}
	// Without a token, too: nobody is asked to send 10 MiB to learn that he may not.
	wantProblem(t, raw(t, server, request("POST", "/upload", fmt.Sprint("Content-Length: ", defaultBody+1))), 413, CodeContentTooLarge)
	if read >= 0 {
		t.Errorf("one came through, and %d bytes of it", read)
	}
}

func TestBodyWithoutALengthIsCutAtTheLimit(t *testing.T) {
	const limit = 100_000
	w := openWorld(t, func(o *Options) { o.Limits.Body = limit })
	read, failed := 0, error(nil)
	server := w.serve(t, swallow(&read, &failed))
	head := request("POST", "/upload", "Authorization: Bearer "+w.mint(t), "Transfer-Encoding: chunked")
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("a", n)) }
	for _, tt := range []struct {
		attack, body string
		status       int
	}{
		{"as large as it may be", chunk(limit) + "0\r\n\r\n", 200},
		{"in pieces", strings.Repeat(chunk(limit/10), 10) + "0\r\n\r\n", 200},
		{"a byte too many", chunk(limit+1) + "0\r\n\r\n", 413},
		{"a byte too many, by itself", chunk(limit) + chunk(1) + "0\r\n\r\n", 413},
		{"without an end", chunk(limit + 1), 413},
	} {
		t.Run(tt.attack, func(t *testing.T) {
			resp := raw(t, server, head+tt.body)
			if tt.status == 200 {
				if resp.StatusCode != 200 || read != limit || failed != nil {
					t.Errorf("status %d, %d bytes arrived, %v", resp.StatusCode, read, failed)
				}
				return
			}
			wantProblem(t, resp, 413, CodeContentTooLarge)
			if !errors.Is(failed, context.Canceled) || read > limit {
				t.Errorf("%d bytes arrived, then %v; want %d at most, then what no upstream is blamed for", read, failed, limit)
			}
			if !resp.Close {
				t.Error("the connection is kept, with a body to come")
			}
		})
	}
	if n := w.authority.Riders(); n != 0 {
		t.Errorf("%d riders are left", n)
	}
}

// An answer that has begun cannot become another one: the client must see that it
// is not whole.
func TestBodyThatGrowsTooLargeBehindAnAnswer(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.Limits.Body = 10 })
	done := make(chan error, 1)
	server := w.serve(t, handlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		_ = http.NewResponseController(rw).EnableFullDuplex()
		rw.Header().Set("Content-Length", "20")
		_, _ = io.WriteString(rw, "the first half")
		_ = http.NewResponseController(rw).Flush()
		_, _ = io.ReadAll(r.Body)
		_, err := io.WriteString(rw, "second")
		done <- err
		return err
	}))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, request("POST", "/upload", "Authorization: Bearer "+w.mint(t), "Transfer-Encoding: chunked"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.WriteString(conn, "14\r\n"+strings.Repeat("a", 20)+"\r\n")
	if got, err := io.ReadAll(resp.Body); err == nil || string(got) != "the first half" {
		t.Errorf("read %q, %v; want it to break off", got, err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the second half was written: %v", err)
	}
}

func TestNoLimitOfTheBody(t *testing.T) {
	w := openWorld(t, func(o *Options) { o.Limits.Body = -1 })
	read, failed := 0, error(nil)
	server := w.serve(t, swallow(&read, &failed))
	const n = defaultBody + 1
	resp := raw(t, server, request("POST", "/upload", "Authorization: Bearer "+w.mint(t), fmt.Sprint("Content-Length: ", n))+strings.Repeat("a", n))
	if resp.StatusCode != 200 || read != n {
		t.Errorf("status %d, %d bytes, %v", resp.StatusCode, read, failed)
	}
}

func TestLimitsOfNoSense(t *testing.T) {
	for _, limits := range []Limits{{Target: -1}, {Header: -1}, {Fields: -1}} {
		if _, err := newSizes(limits); err == nil {
			t.Errorf("%+v is accepted", limits)
		}
	}
}

// The body of a WebSocket over HTTP/2 is what the client says, for hours.
func TestWebSocketsHaveNoBody(t *testing.T) {
	s, err := newSizes(Limits{Body: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://gw.test/ws", io.NopCloser(strings.NewReader("frames")))
	if err != nil {
		t.Fatal(err)
	}
	r.ProtoMajor, r.ContentLength = 2, -1
	r.Header.Set(":protocol", "websocket")
	out := &response{upgrade: upgradeOf(r)}
	if out.upgrade != overStream || s.judge(r) != nil {
		t.Fatalf("upgrade %d, %v", out.upgrade, s.judge(r))
	}
	s.bound(r, out)
	if got, err := io.ReadAll(r.Body); err != nil || string(got) != "frames" {
		t.Errorf("%q, %v", got, err)
	}
}
