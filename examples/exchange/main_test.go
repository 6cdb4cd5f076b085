package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestMain lets the test binary be the program: the tests of a process's end
// need a process.
func TestMain(m *testing.M) {
	if os.Getenv("EXCHANGE_BE_THE_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the program, running.
type process struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	address string
}

var listening = regexp.MustCompile(`msg=listening addr=(\S+)`)

func startProcess(t *testing.T) *process {
	t.Helper()
	// The context is the safety net of a test that would hang.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, "-listen", "127.0.0.1:0", "-exit-with-stdin")
	cmd.Env = append(os.Environ(), "EXCHANGE_BE_THE_PROGRAM=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	found := listening.FindStringSubmatch(line)
	if err != nil || found == nil {
		t.Fatalf("first log line %q (%v) names no address", line, err)
	}
	return &process{cmd: cmd, stdin: stdin, address: found[1]}
}

// openStreams connects one stream of each kind and returns when both are live.
func (p *process) openStreams(t *testing.T) {
	t.Helper()
	response, err := http.Get("http://" + p.address + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	conn, upgrade, err := websocket.Dial(t.Context(), "ws://"+p.address+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if upgrade.Body != nil {
		_ = upgrade.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestProcessEndsWithLiveStreams(t *testing.T) {
	tests := []struct {
		name string
		end  func(*process) error
	}{
		{"standard input ends", func(p *process) error { return p.stdin.Close() }},
		{"SIGINT", func(p *process) error { return p.cmd.Process.Signal(os.Interrupt) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startProcess(t)
			p.openStreams(t)
			if err := tt.end(p); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Fatalf("the process ended with %v, want exit code 0", err)
			}
		})
	}
}

func TestSocketIsToldToGoAway(t *testing.T) {
	p := startProcess(t)
	conn, upgrade, err := websocket.Dial(t.Context(), "ws://"+p.address+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if upgrade.Body != nil {
		_ = upgrade.Body.Close()
	}
	defer func() { _ = conn.CloseNow() }()
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
		t.Errorf("close status %v (%v), want going away", got, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		log  string
	}{
		{"unknown flag", []string{"-nope"}, 2, "not defined"},
		{"stray argument", []string{"now"}, 2, "unexpected argument"},
		{"help", []string{"-h"}, 0, "-listen"},
		{"no such address", []string{"-listen", "256.0.0.1:0"}, 1, "exchange stopped"},
		{"one bad address of two", []string{"-listen", "127.0.0.1:0,nowhere"}, 1, "missing port"},
		{"standard input already at its end", []string{"-listen", "127.0.0.1:0, 127.0.0.1:0", "-exit-with-stdin"}, 0, "msg=listening"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := run(t.Context(), tt.args, strings.NewReader(""), &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, tt.code, &stderr)
			}
			if !strings.Contains(stderr.String(), tt.log) {
				t.Errorf("stderr lacks %q:\n%s", tt.log, &stderr)
			}
		})
	}
}

func TestServeFailsWhenAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if err := serve(t.Context(), []string{taken.Addr().String()}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("serve gave no error for an address in use")
	}
}
