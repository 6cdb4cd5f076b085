package issuer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// BenchmarkS4 is the bank's code call and token call over HTTP, on SQLite with
// every acknowledgement on the disk. One op is both calls.
func BenchmarkS4(b *testing.B) {
	benchmarkIssuing(b, token.ES256, func(c *caller) error {
		_, err := c.tokens()
		return err
	})
}

// BenchmarkClientCredentials is one call over HTTP: the grant is on the disk and
// the token signed when it is answered.
func BenchmarkClientCredentials(b *testing.B) {
	for _, algorithm := range []string{token.ES256, token.EdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			benchmarkIssuing(b, algorithm, func(c *caller) error {
				_, err := c.send(ownCall())
				return err
			})
		})
	}
}

// BenchmarkRefresh is one call over HTTP that rotates a refresh token: each op
// takes a family, renews it and puts it back with its new head.
func BenchmarkRefresh(b *testing.B) {
	heads := make(chan string, 256)
	benchmarkIssuing(b, token.ES256, func(c *caller) error {
		body, err := c.send(renewCall(<-heads))
		if err != nil {
			return err
		}
		heads <- member(body, "refresh_token")
		return nil
	}, func(c *caller) error {
		for len(heads) > 0 {
			<-heads // of the benchmark before
		}
		for range cap(heads) {
			body, err := c.tokens()
			if err != nil {
				return err
			}
			heads <- member(body, "refresh_token")
		}
		return nil
	})
}

// benchmarkIssuing measures issue at a bank that was prepared.
func benchmarkIssuing(b *testing.B, algorithm string, issue func(*caller) error, prepare ...func(*caller) error) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			bank := newBank(b, func(bank *bank) { bank.algorithm = algorithm })
			for _, step := range prepare {
				if err := step(newCaller(b, bank)); err != nil {
					b.Fatal(err)
				}
			}
			work := make(chan struct{}, callers)
			var all sync.WaitGroup
			for range callers {
				c := newCaller(b, bank)
				all.Go(func() {
					for range work {
						if err := issue(c); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// caller is one connection of a client that costs next to nothing, as a load
// generator does: it shares the processor with what is measured.
type caller struct {
	conn   net.Conn
	answer *bufio.Reader
	out    []byte
	body   []byte
}

func newCaller(b *testing.B, bank *bank) *caller {
	b.Helper()
	conn, err := net.Dial("tcp", bank.server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &caller{conn: conn, answer: bufio.NewReader(conn)}
}

// send returns the body of a call's answer, until the next call.
func (c *caller) send(what call) ([]byte, error) {
	c.out = fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: issuer\r\nContent-Length: %d\r\n", what.method, what.path, len(what.body))
	for name, values := range what.header {
		c.out = fmt.Appendf(c.out, "%s: %s\r\n", name, values[0])
	}
	c.out = append(append(c.out, "\r\n"...), what.body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, err
	}
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
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
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
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return nil, fmt.Errorf("%s %s", status, c.body)
	}
	return c.body, nil
}

// tokens fetches a code and redeems it.
func (c *caller) tokens() ([]byte, error) {
	body, err := c.send(codeCall())
	if err != nil {
		return nil, err
	}
	return c.send(redeemCall(member(body, "code")))
}

// member is a text in a JSON object that has no escapes.
func member(body []byte, name string) string {
	_, after, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(after, []byte(`"`))
	return string(value)
}
