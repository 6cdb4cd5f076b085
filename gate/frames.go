package gate

import (
	"encoding/binary"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// frames follows the frames of one direction of a WebSocket (RFC 6455 §5.2). A
// control frame may stand between any two frames, those of one message too, so
// all that needs to be known is where frames end.
type frames struct {
	header [14]byte // of the frame under way
	have   int      // bytes of header; 0: between frames
	left   uint64   // bytes of payload still to come
	closed bool     // a close frame went by
}

// between reports whether a close frame may be sent now.
func (f *frames) between() bool { return f.have == 0 && !f.closed }

// skip follows all of p.
func (f *frames) skip(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}

// next follows p up to the end of the frame under way, or of p, and returns
// how many bytes that is.
func (f *frames) next(p []byte) int {
	n := 0
	for f.have < f.headerSize() {
		if n == len(p) {
			return n
		}
		f.header[f.have] = p[n]
		f.have++
		n++
		if f.have == f.headerSize() {
			f.left = f.payloadSize()
		}
	}
	taken := min(f.left, uint64(len(p)-n))
	f.left -= taken
	if f.left == 0 {
		f.closed = f.closed || f.header[0]&0x0f == opClose
		f.have = 0
	}
	return n + int(taken)
}

const (
	opClose    = 8
	final      = 0x80 // in the first byte of a header
	masked     = 0x80 // in the second
	lengthBits = 0x7f
	length16   = 126
	length64   = 127
)

// headerSize is as much as is known of the header's length: it is final once
// two bytes are there.
func (f *frames) headerSize() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.header[1] & lengthBits {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if f.header[1]&masked != 0 {
		size += 4
	}
	return size
}

func (f *frames) payloadSize() uint64 {
	switch n := f.header[1] & lengthBits; n {
	case length16:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case length64:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}

// closeFrame is the frame that ends a WebSocket: 1008 (policy violation) with
// the cause, or 1001 (going away).
func closeFrame(cause token.Cause) []byte {
	code := uint16(1008)
	if cause == token.CauseShutdown {
		code = 1001
	}
	frame := []byte{final | opClose, byte(2 + len(cause))}
	frame = binary.BigEndian.AppendUint16(frame, code)
	return append(frame, cause...)
}
