//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is a request. Its header is written as it goes out, with line ends.
type call struct{ method, path, header, body string }

// caller is one connection of a client that costs next to nothing: it shares the
// processors with what is measured. wrk does what needs no answer to go on.
type caller struct {
	network, address string

	conn   net.Conn
	answer *bufio.Reader
	out    []byte
	body   []byte
}

// send returns the body of the answer, until the next call. Any answer but 2xx
// is an error.
func (c *caller) send(what call) ([]byte, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	c.out = fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s", what.method, what.path, what.header)
	if what.body != "" {
		c.out = fmt.Appendf(c.out, "Content-Length: %d\r\n", len(what.body))
	}
	c.out = append(append(c.out, "\r\n"...), what.body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, err
	}
	return c.receive(what)
}

func (c *caller) open() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = new(net.Dialer).DialContext(context.Background(), c.network, c.address); err != nil {
		return err
	}
	c.answer = bufio.NewReader(c.conn)
	return c.conn.SetDeadline(time.Now().Add(time.Hour))
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

func (c *caller) receive(what call) ([]byte, error) {
	status, err := c.answer.ReadString('\n')
	if err != nil {
		return nil, err
	}
	length := -1
	for {
		line, err := c.answer.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= len("\r\n") {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, errors.New("an answer without Content-Length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.answer, c.body); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 2") {
		return nil, fmt.Errorf("%s %s: %s%.200s", what.method, what.path, status, c.body)
	}
	return c.body, nil
}

// member is a text in a JSON object that has no escapes.
func member(body []byte, name string) string {
	_, after, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(after, []byte(`"`))
	return string(value)
}

// drive has callers do the same for d, and reports how often and how long. The
// first error ends it.
func drive(ctx context.Context, callers []*caller, d time.Duration, do func(*caller) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	times := make([][]float64, len(callers))
	var all sync.WaitGroup
	begin := time.Now()
	for i, c := range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				before := time.Now()
				if before.Sub(begin) >= d {
					return
				}
				if err := do(c); err != nil {
					cancel(err)
					return
				}
				times[i] = append(times[i], float64(time.Since(before))/float64(time.Microsecond))
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	sorted := slices.Concat(times...)
	slices.Sort(sorted)
	if len(sorted) == 0 {
		return sample{}, errors.New("nothing was done in time")
	}
	return sample{
		Requests: int64(len(sorted)), PerSecond: float64(len(sorted)) / took.Seconds(),
		P50: sorted[len(sorted)/2], P99: sorted[len(sorted)*99/100],
	}, nil
}
