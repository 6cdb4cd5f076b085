package gate

import (
	"cmp"
	"fmt"
	"io"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// Limits are the sizes that a gate lets pass. Zero is the default.
type Limits struct {
	Target int   // bytes of a request target, query included; 16 KiB by default
	Header int   // bytes of all header fields, names and values; 64 KiB by default
	Fields int   // header fields; 100 by default
	Body   int64 // bytes of a body; 10 MiB by default; negative: any
}

// The defaults. Servers of our day take 8 to 64 KiB of header and about 100 fields;
// a body that a trading API takes has some KiB. What a client of such an API sends
// is far below each, and what a server has to hold for a stranger is bounded.
const (
	defaultTarget = 16 << 10
	defaultHeader = 64 << 10
	defaultFields = 100
	defaultBody   = 10 << 20
)

// sizes are Limits with the refusals that say them.
type sizes struct {
	Limits
	target, header, fields, body *flaw
}

func newSizes(l Limits) (sizes, error) {
	if l.Target < 0 || l.Header < 0 || l.Fields < 0 {
		return sizes{}, fmt.Errorf("limits %+v: only that of the body can be negative", l)
	}
	l.Target, l.Header = cmp.Or(l.Target, defaultTarget), cmp.Or(l.Header, defaultHeader)
	l.Fields, l.Body = cmp.Or(l.Fields, defaultFields), cmp.Or(l.Body, defaultBody)
	tooLarge := func(status int, code, reason, title, format string, most any) *flaw {
		return &flaw{status: status, code: code, reason: reason, title: title, detail: fmt.Sprintf(format, most)}
	}
	return sizes{
		Limits: l,
		target: tooLarge(http.StatusRequestURITooLong, CodeURITooLong, "target_length",
			"The request target is too long", "Path and query may have %d bytes together.", l.Target),
		header: tooLarge(http.StatusRequestHeaderFieldsTooLarge, CodeHeaderTooLarge, "header_size",
			"The header is too large", "All header fields may have %d bytes together.", l.Header),
		fields: tooLarge(http.StatusRequestHeaderFieldsTooLarge, CodeHeaderTooLarge, "header_fields",
			"The header is too large", "There may be %d header fields.", l.Fields),
		body: tooLarge(http.StatusRequestEntityTooLarge, CodeContentTooLarge, "body_size",
			"The body is too large", "A body may have %d bytes.", l.Body),
	}, nil
}

// judge looks at what is known before anything is read: the target, and how long
// the body says that it is.
func (s *sizes) judge(r *http.Request) *flaw {
	switch {
	case len(r.RequestURI) > s.Target:
		return s.target
	case s.Body >= 0 && r.ContentLength > s.Body && upgradeOf(r) != overStream:
		return s.body
	}
	return nil
}

// judgeHeader looks at the header when its fields have been counted. The four
// bytes are what stands around name and value in HTTP/1.1.
func (s *sizes) judgeHeader(fields, size int) *flaw {
	switch {
	case fields > s.Fields:
		return s.fields
	case size+4*fields > s.Header:
		return s.header
	}
	return nil
}

// causeBody ends an exchange whose body turned out to be too large.
const causeBody token.Cause = "body too large"

// bound has a body that does not say how long it is cut at the limit. The body of
// a WebSocket over HTTP/2 is its connection, and has none.
func (s *sizes) bound(r *http.Request, out *response) {
	if s.Body < 0 || r.ContentLength >= 0 || r.Body == nil || r.Body == http.NoBody || out.upgrade == overStream {
		return
	}
	r.Body = &boundedBody{ReadCloser: r.Body, left: s.Body, out: out}
}

// boundedBody ends the exchange at the first byte too many. That is a cut like any
// other, so that the proxy does not count it against the upstream's health.
type boundedBody struct {
	io.ReadCloser
	left int64
	out  *response
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &cutError{causeBody}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than may be, to see it
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left >= 0 {
		return n, err
	}
	b.out.cut(causeBody)
	return n - 1, &cutError{causeBody}
}

// refuseOverload answers when it was not found out what a token is, because too
// much is under way.
func (g *Gate) refuseOverload(r *http.Request, overloaded *token.Overloaded) *Refusal {
	f := flawOverloaded
	if overloaded.Address {
		f = flawFailures
	}
	refusal := g.refuse(r, f).because(overloaded)
	refusal.RetryAfter = wholeSeconds(overloaded.RetryAfter)
	return refusal
}
