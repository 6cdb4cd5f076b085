package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Syslog is a sink that sends each head as the message of a syslog line
// (RFC 5424), with facility 13 (log audit) and severity 6 (informational). Over
// tcp and unix messages are counted (RFC 6587 §3.4.1). Only over these a lost
// receiver is noticed; over udp nothing is.
type Syslog struct {
	network string
	address string
	now     func() time.Time
	conn    net.Conn // nil: not connected
}

const syslogPriority = 13*8 + 6

// NewSyslog returns a sink for an address as in udp/log.example.com:514,
// tcp/127.0.0.1:601, unixgram//dev/log or unix//run/syslog.sock. It does not
// connect yet.
func NewSyslog(target string) (*Syslog, error) {
	network, address, _ := strings.Cut(target, "/")
	switch network {
	case "udp", "tcp":
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" {
			return nil, fmt.Errorf("syslog %q: expected %s/<host>:<port>", target, network)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("syslog %q: port %q is not a number from 1 to 65535", target, port)
		}
	case "unix", "unixgram":
		if !filepath.IsAbs(address) {
			return nil, fmt.Errorf("syslog %q: expected the full path of a socket, as in %s//dev/log", target, network)
		}
	default:
		return nil, fmt.Errorf("syslog %q: network %q is unknown; write udp/<host>:<port>, tcp/<host>:<port>, unixgram/<path> or unix/<path>", target, network)
	}
	return &Syslog{network: network, address: address, now: time.Now}, nil
}

// Deliver implements Sink.
func (s *Syslog) Deliver(ctx context.Context, line string) error {
	if s.conn != nil && s.abandoned() {
		s.drop()
	}
	if s.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := s.conn.Write(s.message(line)); err != nil {
		s.drop() // the next attempt connects anew
		return err
	}
	return nil
}

// abandoned reports whether the receiver has closed a stream. A write would
// still succeed, and what it wrote be lost.
func (s *Syslog) abandoned() bool {
	if !s.stream() {
		return false
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := s.conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *Syslog) stream() bool { return s.network == "tcp" || s.network == "unix" }

func (s *Syslog) drop() {
	_ = s.conn.Close() // what was not sent is sent again
	s.conn = nil
}

func (s *Syslog) message(line string) []byte {
	text := fmt.Sprintf("<%d>1 %s %s caddy-bearer %d audit-head - %s",
		syslogPriority, s.now().UTC().Format("2006-01-02T15:04:05.000000Z"), hostname(), os.Getpid(), line)
	if s.stream() {
		text = strconv.Itoa(len(text)) + " " + text
	}
	return []byte(text)
}

// hostname is what RFC 5424 §6.2.4 lets stand there.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "-"
	}
	return name
}

func (s *Syslog) String() string { return "syslog " + s.network + "/" + s.address }

// Close implements Sink.
func (s *Syslog) Close() {
	if s.conn != nil {
		s.drop()
	}
}

// Interface guards.
var (
	_ Sink = File{}
	_ Sink = (*Syslog)(nil)
)
