package gate

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// eventOf is the name of the last event of an event stream that was cut, and
// the word for the cut in logs.
func eventOf(cause token.Cause) string {
	switch cause {
	case token.CauseExpired:
		return "expired"
	case token.CauseRevoked:
		return "revoked"
	case token.CauseRights:
		return "rights_changed"
	case token.CauseForbidden:
		return "forbidden"
	case token.CauseShutdown:
		return "shutdown"
	case causeBody:
		return "body_size"
	}
	return "ended"
}

// isEventStream reports whether the answer is server-sent events.
func isEventStream(header http.Header) bool {
	values := header["Content-Type"]
	if len(values) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(values[0], ";")
	return strings.EqualFold(trim(mediaType), "text/event-stream")
}

// events follows an event stream, so as to know whether an event could follow:
// a half event with our lines behind it would reach the client as a whole one.
type events struct {
	polite bool // an event may be added at the end at all
	begun  bool
	tail   [4]byte
}

func newEvents(header http.Header) events {
	return events{polite: header.Get("Content-Length") == "" && header.Get("Content-Encoding") == ""}
}

// follow remembers the last bytes.
func (e *events) follow(p []byte) {
	e.begun = e.begun || len(p) > 0
	p = p[max(0, len(p)-len(e.tail)):]
	copy(e.tail[:], e.tail[len(p):])
	copy(e.tail[len(e.tail)-len(p):], p)
}

// between reports whether the stream stands between two events.
func (e *events) between() bool {
	return !e.begun || bytes.HasSuffix(e.tail[:], []byte("\n\n")) ||
		bytes.Equal(e.tail[:], []byte("\r\n\r\n")) || bytes.HasSuffix(e.tail[:], []byte("\r\r"))
}

// farewell ends a stream that was cut as its protocol has it, if the stream
// allows it. Next must have returned. The event says why, for programs in its
// name and for people in its data:
//
//	event: revoked
//	data: {"reason":"token revoked"}
func (o *response) farewell(cause token.Cause) bool {
	var last []byte
	switch {
	case o.upgrade == overStream && o.streaming.Load() && o.frames.between():
		last = closeFrame(cause)
	case o.events.polite && o.events.between():
		last = []byte("event: " + eventOf(cause) + "\ndata: {\"reason\":\"" + string(cause) + "\"}\n\n")
	default:
		return false
	}
	if _, err := o.inner.Write(last); err != nil {
		return false
	}
	return http.NewResponseController(o.inner).Flush() == nil
}
