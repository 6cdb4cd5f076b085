package attacks

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

func init() {
	register(rows{
		"PATH-70": func(a *attack) {
			c := a.dialHTTP2()
			for _, token := range []string{a.tokenRead(), a.tokenAdmin()} {
				c.ask(append(asking("GET", "/public/../v1/admin/users"), authorized(token))...).refused(400, invalidRequest)
			}
			c.ask(asking("GET", "/public/../v1/admin/users")...).refused(400, invalidRequest)
			for _, path := range []string{"/public/%2e%2e/v1/admin/users", "/v1//admin/users"} {
				c.ask(append(asking("GET", path), authorized(a.tokenAdmin()))...).refused(400, invalidRequest)
			}
			for _, path := range []string{"v1/admin/users", "", "*", "http://gw.test/../v1/admin/users"} { // RFC 9113 §8.3.1
				a.dialHTTP2().ask(append(asking("GET", path), authorized(a.tokenAdmin()))...).notServed()
			}
		},
		"PATH-72": func(a *attack) {
			token := authorized(a.tokenRead())
			ask := asking("GET", "/v1/accounts")
			ask[2].value = "evil.test"
			a.dialHTTP2().ask(append(ask, field{"host", "gw.test"}, token)...).notServed()
			// Alone it is the name that the backend hears, and nothing else is.
			seen := a.dialHTTP2().ask(append(ask, token)...).passed()
			for line, name := range map[string]string{"Host: evil.test": "Host", "X-Forwarded-Host: evil.test": "X-Forwarded-Host"} {
				if got := seen.lines(name); !slices.Equal(got, []string{line}) {
					a.Errorf("the backend saw %q", got)
				}
			}
		},
		"PATH-74": func(a *attack) {
			for _, bad := range []field{
				{"X-Upper", "x"}, {"x-split", "a\r\nX-Auth-Scope: admin"}, {"x-split", "a\nb"}, {"x-nul", "a\x00b"}, {"x split", "a"}, {"x:colon", "a"},
				{"transfer-encoding", "chunked"}, {"connection", "keep-alive"}, {"te", "gzip"}, {":path", "/v1/admin/users"}, {":evil", "x"},
			} {
				a.dialHTTP2().ask(append(asking("GET", "/v1/accounts"), authorized(a.tokenRead()), bad)...).notServed()
			}
			a.dialHTTP2().ask(append(append([]field{{"x-first", "x"}}, asking("GET", "/v1/accounts")...), authorized(a.tokenRead()))...).notServed()
		},
		"SMUGGLING-11": func(a *attack) {
			token := authorized(a.mint(a.header(), a.claims("orders:write")))
			c := a.dialHTTP2()
			const path = "/v1/orders?length=0"
			id := c.open(false, append(asking("POST", path), token, field{"content-length", "0"}, field{"x-aside", "1"})...)
			c.wrote(c.framer.WriteData(id, true, []byte(behind)))
			// The request may have been answered before the bytes came that it must not have.
			if got := c.answer(id); got.reset != nil && *got.reset != http2.ErrCodeProtocol || got.reset == nil && got.status != http.StatusOK {
				a.Errorf("%v %s", got.reset, got.answer)
			}
			a.eventually(a.T, "the log has the request", func() bool { return a.log.contains(path, a.logFrom) })
			for _, seen := range a.backend.asides() {
				if seen.request.Method != "POST" || strings.Contains(seen.raw, "/v1/admin") || seen.body != "" {
					a.Errorf("the backend saw %q", seen.raw)
				}
			}
			a.result("PROTOCOL_ERROR, or one request without a body")
			// A GET with a body is one request to the backend, too.
			c = a.dialHTTP2()
			id = c.open(false, append(asking("GET", "/v1/accounts"), authorized(a.tokenRead()))...)
			c.wrote(c.framer.WriteData(id, true, []byte(behind)))
			if seen := c.answer(id).passed(); seen.body != behind {
				a.Errorf("the backend saw %q", seen.raw)
			}
		},
		"SMUGGLING-20": func(a *attack) {
			before := a.memory()
			a.rapidReset()
			a.continuationFlood()
			a.zeroWindow()
			if grown := a.memory() - before; grown > 128<<20 {
				a.Errorf("the server needed %d MiB more", grown>>20)
			}
		},
	})
}

// notServed wants the request to have been refused as a whole: by a 400, or by a
// PROTOCOL_ERROR.
func (got *http2Answer) notServed() {
	got.a.Helper()
	if got.reset == nil {
		got.refused(400, notByGate)
		return
	}
	got.isReset()
}

// serving wants a good request on another connection to be served meanwhile.
func (a *attack) serving() {
	a.Helper()
	results := a.results
	a.get("/v1/accounts/meanwhile", a.tokenRead()).passed()
	a.results = results
}

// rapidReset begins streams and gives each up at once (CVE-2023-44487).
func (a *attack) rapidReset() {
	c := a.dialHTTP2()
	came := c.drain()
	block := slices.Clone(c.fields(asking("GET", "/v1/accounts")...))
	sent := 0
	for ; sent < 10_000; sent++ {
		id := c.next
		c.next += 2
		if c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}) != nil ||
			c.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break // the server hung up
		}
		if sent == 5_000 {
			a.serving()
		}
	}
	a.serving()
	c.close(came)
	a.result("rapid reset: bounded")
}

// continuationFlood sends a header block that never ends (CVE-2023-45288).
func (a *attack) continuationFlood() {
	c := a.dialHTTP2()
	came := c.drain()
	c.wrote(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(asking("GET", "/v1/accounts")...)}))
	const most = 64 << 20
	sent, block := 0, slices.Clone(c.fields(field{"x-more", strings.Repeat("x", 8<<10)}))
	for ; sent < most && c.framer.WriteContinuation(1, false, block) == nil; sent += len(block) {
	}
	if sent >= most {
		a.Errorf("%d MiB of a header block were read", sent>>20)
	}
	a.serving()
	if got := <-came.done; got.answers > 0 {
		a.Errorf("%+v", got)
	}
	a.result("CONTINUATION flood: the connection is ended")
}

// zeroWindow asks for more than the server may answer, and never lets it.
func (a *attack) zeroWindow() {
	c := a.dialHTTP2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	came := c.drain()
	block := slices.Clone(c.fields(asking("GET", "/v1/accounts")...))
	const asked = 2_000
	for range asked {
		id := c.next
		c.next += 2
		if c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}) != nil {
			break // the server hung up
		}
	}
	a.serving()
	if c.framer.WritePing(false, [8]byte{}) == nil {
		select {
		case <-came.pong:
		case got := <-came.done:
			came.done <- got
		}
	}
	got := c.close(came)
	if got.concurrent == 0 || got.concurrent > 1000 || len(got.goAway) == 0 && got.resets < asked-int(got.concurrent) {
		a.Errorf("%d streams may be open, and of %d were refused %d", got.concurrent, asked, got.resets)
	}
	a.result("0-window: no more wait than streams may be open")
}
