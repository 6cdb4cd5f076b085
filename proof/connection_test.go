//go:build proof

package proof

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 60 * time.Second

// connection is one caller's connection to one server. Unlike http.Client it
// never sends a request twice by itself, and never shares: the moment at which
// something was sent, and whether it was answered, are facts.
type connection struct {
	network, address string

	conn   net.Conn
	reader *bufio.Reader
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
	sent   time.Time // before the first byte went out
	read   time.Time // after the last byte came in
}

// send makes one request and waits for its answer. An error means that there
// was none: the request may have been carried out or not.
func (c *connection) send(method, target, body string, header ...string) (answer, error) {
	a, err := c.exchange(method, target, body, header)
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *connection) exchange(method, target, body string, header []string) (a answer, err error) {
	if err := c.open(); err != nil {
		return a, err
	}
	var request strings.Builder
	request.WriteString(method + " " + target + " HTTP/1.1\r\nHost: " + c.host() + "\r\n")
	for i := 0; i < len(header); i += 2 {
		request.WriteString(header[i] + ": " + header[i+1] + "\r\n")
	}
	if method != http.MethodGet {
		request.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	request.WriteString("\r\n" + body)
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return a, err
	}
	a.sent = time.Now()
	if _, err := io.WriteString(c.conn, request.String()); err != nil {
		return a, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return a, err
	}
	a.status = response.StatusCode
	a.body, err = io.ReadAll(response.Body)
	a.read = time.Now()
	if response.Close {
		c.close()
	}
	return a, err
}

func (c *connection) open() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = net.DialTimeout(c.network, c.address, patience); err == nil {
		c.reader = bufio.NewReader(c.conn)
	} else {
		c.conn = nil
	}
	return err
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// host is what stands in the Host header; for a socket it only has to look so.
func (c *connection) host() string {
	if c.network == "unix" {
		return "127.0.0.1"
	}
	return c.address
}
