package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const patience = 20 * time.Second

func deliver(t *testing.T, s Sink, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Deliver(ctx, line); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heads.jsonl")
	f := File{path}
	deliver(t, f, "one")
	deliver(t, f, "two")
	if got := content(t, path); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// What logrotate does.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	deliver(t, f, "three")
	if got := content(t, path) + content(t, path+".1"); got != "three\none\ntwo\n" {
		t.Errorf("after the rotation %q", got)
	}
}

func TestLineThatWasCutShortIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heads.jsonl")
	if err := os.WriteFile(path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	deliver(t, File{path}, "three")
	if got := content(t, path); got != "one\ntw\nthree\n" {
		t.Errorf("%q", got)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"no folder": dir + "/no/heads", "a folder": dir} {
		if err := (File{path}).Deliver(t.Context(), "x"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

var syslogLine = regexp.MustCompile(`^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ caddy-bearer \d+ audit-head - (.*)$`)

func message(t *testing.T, text string) string {
	t.Helper()
	match := syslogLine.FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("not a line of RFC 5424: %q", text)
	}
	return match[1]
}

func newSyslog(t *testing.T, target string) *Syslog {
	t.Helper()
	s, err := NewSyslog(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// socketDir is short, because paths of sockets are limited to 108 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSyslogDatagrams(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unixgram" {
				address = socketDir(t) + "/log"
			}
			receiver, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			s := newSyslog(t, network+"/"+receiver.LocalAddr().String())
			buffer := make([]byte, 4096)
			for _, line := range []string{"one", "two"} {
				deliver(t, s, line)
				receiver.SetReadDeadline(time.Now().Add(patience))
				n, _, err := receiver.ReadFrom(buffer)
				if err != nil {
					t.Fatal(err)
				}
				if got := message(t, string(buffer[:n])); got != line {
					t.Errorf("received %q, want %q", got, line)
				}
			}
		})
	}
}

// readCounted reads one message by RFC 6587 §3.4.1.
func readCounted(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	count, err := in.ReadString(' ')
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(in, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A stream is connected anew after the receiver was restarted, and what is
// delivered next gets there.
func TestSyslogStreamReconnects(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = socketDir(t) + "/log"
			}
			listener, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			s := newSyslog(t, network+"/"+listener.Addr().String())
			for _, lines := range [][]string{{"one", "two"}, {"three"}} {
				deliver(t, s, lines[0])
				conn, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				conn.SetReadDeadline(time.Now().Add(patience))
				in := bufio.NewReader(conn)
				for i, line := range lines {
					if i > 0 {
						deliver(t, s, line)
					}
					if got := message(t, readCounted(t, in)); got != line {
						t.Errorf("received %q, want %q", got, line)
					}
				}
				conn.Close()
			}
		})
	}
}

func TestSyslogReceiverAway(t *testing.T) {
	s := newSyslog(t, "unixgram/"+socketDir(t)+"/log")
	if err := s.Deliver(t.Context(), "x"); err == nil {
		t.Fatal("no error")
	}
	receiver, err := net.ListenPacket("unixgram", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	deliver(t, s, "x")
}

func TestSyslogAddresses(t *testing.T) {
	for target, want := range map[string]string{
		"udp/127.0.0.1:514": "", "udp/[::1]:514": "", "tcp/log.example.com:601": "", "unixgram//dev/log": "", "unix//run/log": "",
		"":                "network",
		"/dev/log":        "network",
		"udp":             "expected udp/<host>:<port>",
		"udp/":            "expected udp/<host>:<port>",
		"udp/localhost":   "expected udp/<host>:<port>",
		"udp/:514":        "expected udp/<host>:<port>",
		"tcp/host:syslog": `port "syslog"`,
		"tcp/host:0":      `port "0"`,
		"tcp/host:65536":  `port "65536"`,
		"unix/log":        "full path",
		"unixgram/":       "full path",
		"tls/host:6514":   `network "tls" is unknown`,
	} {
		_, err := NewSyslog(target)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", target, err, want)
		}
	}
}

// fakeSink fails for as long as it is told to.
type fakeSink struct {
	mu     sync.Mutex
	err    error
	lines  []string
	at     []time.Time
	closed bool
}

func (s *fakeSink) Deliver(ctx context.Context, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, context.DeadlineExceeded) {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.err == nil {
		s.lines = append(s.lines, line)
		s.at = append(s.at, time.Now())
	}
	return s.err
}

func (s *fakeSink) String() string { return "fake" }

func (s *fakeSink) Close() { s.closed = true }

func (s *fakeSink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSink) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbers []string
	for _, line := range s.lines {
		h, err := ParseHead(line)
		if err != nil {
			return err.Error()
		}
		numbers = append(numbers, fmt.Sprint(h.Last))
	}
	return strings.Join(numbers, " ")
}

func TestCourierDeliversTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{}
		var reports []error
		c := NewCourier(s, func(_ string, err error) { reports = append(reports, err) })
		c.Send(testHead("a", 1))
		synctest.Wait()
		if s.got() != "1" {
			t.Fatalf("delivered %q", s.got())
		}

		broken := errors.New("disk full")
		s.fail(broken)
		for i := range int64(50) { // nobody waits
			c.Send(testHead("a", 2+i))
		}
		time.Sleep(10 * time.Second) // of the bubble's clock
		synctest.Wait()
		if len(reports) != 1 || !errors.Is(reports[0], broken) {
			t.Errorf("reported %v, want one failure", reports)
		}
		s.fail(nil)
		since := time.Now()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s.got() != "1 51" || s.at[1].Sub(since) > redeliverAfter {
			t.Errorf("delivered %q, the last after %s", s.got(), s.at[len(s.at)-1].Sub(since))
		}
		if len(reports) != 2 || reports[1] != nil {
			t.Errorf("reported %v, want that it works again", reports)
		}
		c.Close(t.Context())
		if !s.closed {
			t.Error("the sink is still open")
		}
	})
}

func TestCourierDeliversBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{}
		c := NewCourier(s, func(string, error) {})
		c.Send(testHead("a", 7))
		c.Close(t.Context())
		if s.got() != "7" {
			t.Errorf("delivered %q", s.got())
		}
	})
}

// A sink that hangs holds nobody up, not even the end.
func TestSinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{err: context.DeadlineExceeded}
		c := NewCourier(s, func(string, error) {})
		c.Send(testHead("a", 7))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		c.Close(ctx)
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("waited %s", waited)
		}
		<-c.ended
	})
}
