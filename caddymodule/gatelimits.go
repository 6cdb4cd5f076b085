package caddymodule

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-bearer/caddy-bearer/gate"
)

// GateLimits are the sizes that a gate lets pass.
type GateLimits struct {
	// Bytes of a request target, which is the path with its query. More is answered
	// with 414. From 1 KiB to 1 MiB. Default: 16 KiB.
	Target int64 `json:"target,omitempty"`

	// Bytes of all header fields together, names and values. More is answered with
	// 431. From 1 KiB to 1 MiB. Default: 64 KiB.
	Header int64 `json:"header,omitempty"`

	// How many header fields there may be. More is answered with 431. From 10 to
	// 10000. Default: 100.
	HeaderFields int `json:"header_fields,omitempty"`

	// Bytes of a body. More is answered with 413. Negative: any. Default: 10 MiB.
	Body int64 `json:"body,omitempty"`
}

// options is the block limits, in that of bearer_gate:
//
//	limits {
//		target        <size>
//		header        <size>
//		header_fields <number>
//		body          <size>|off
//	}
//
// Sizes are bytes or written as 64KiB. What is larger is refused with a problem
// document before the token is looked at:
//
//   - target: the path with its query; 414. From 1KiB to 1MiB. Default: 16KiB. (A path
//     has 8192 bytes at most, whatever this says.)
//   - header: all header fields together, names and values; 431. From 1KiB to 1MiB.
//     Default: 64KiB. Caddy's own max_header_size comes before it.
//   - header_fields: how many there may be; 431. From 10 to 10000. Default: 100.
//   - body: the body of a request; 413. One that says its length is refused at once,
//     another is cut where it becomes too large, and its request with it. A WebSocket
//     has no body. off: any. Default: 10MiB.
func (l *GateLimits) options() []option {
	return []option{
		{name: "target", args: "<size>", read: limitSize("target", &l.Target)},
		{name: "header", args: "<size>", read: limitSize("header", &l.Header)},
		{name: "header_fields", args: "<number>", read: l.readHeaderFields},
		{name: "body", args: "<size>|off", read: l.readBody},
	}
}

// readLimits reads the option limits.
func (g *Gate) readLimits(d *caddyfile.Dispenser, _ []string) error {
	g.Limits = new(GateLimits)
	if err := readBlock(d, "limits", g.Limits.options()); err != nil {
		return err
	}
	if *g.Limits == (GateLimits{}) {
		return d.Errf("limits says nothing; write for example: limits { body 1MiB }")
	}
	if _, err := g.Limits.checked(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// limitSize reads a size, which cannot be 0: that is how JSON leaves one out.
func limitSize(name string, into *int64) func(*caddyfile.Dispenser, []string) error {
	return func(d *caddyfile.Dispenser, args []string) error {
		size, err := humanize.ParseBytes(args[0])
		if err != nil || size == 0 {
			return d.Errf("%s %q is not a size; write for example: %s 64KiB", name, args[0], name)
		}
		*into = int64(min(size, math.MaxInt64))
		return nil
	}
}

func (l *GateLimits) readHeaderFields(d *caddyfile.Dispenser, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil || n == 0 {
		return d.Errf("header_fields %q is not a number; write for example: header_fields 100", args[0])
	}
	l.HeaderFields = n
	return nil
}

func (l *GateLimits) readBody(d *caddyfile.Dispenser, args []string) error {
	if args[0] == "off" {
		l.Body = -1
		return nil
	}
	return limitSize("body", &l.Body)(d, args)
}

// checked returns the limits as the gate takes them. Nil: the defaults.
func (l *GateLimits) checked() (gate.Limits, error) {
	if l == nil {
		return gate.Limits{}, nil
	}
	within := func(name string, is, least, most int64) error {
		if is != 0 && (is < least || is > most) {
			return fmt.Errorf("limits: %s is %d; expected %d to %d", name, is, least, most)
		}
		return nil
	}
	err := errors.Join(
		within("target", l.Target, 1<<10, 1<<20),
		within("header", l.Header, 1<<10, 1<<20),
		within("header_fields", int64(l.HeaderFields), 10, 10000),
	)
	return gate.Limits{Target: int(l.Target), Header: int(l.Header), Fields: l.HeaderFields, Body: l.Body}, err
}
