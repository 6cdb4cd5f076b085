//go:build proof

package proof

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// tags are those of the released binary (see the Makefile).
const tags = "nobadger,nomysql,nopgx"

// workshop is the folder for what is built.
var workshop string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if workshop, err = os.MkdirTemp("", "bearer-proof"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(workshop)
		return m.Run()
	}())
}

// binary is the real thing, built once.
var binary = sync.OnceValue(func() string {
	out := filepath.Join(workshop, "caddy")
	if err := build(out, tags); err != nil {
		panic(err)
	}
	return out
})

// build makes the binary as `make build` does, so that the build cache is shared.
func build(out, tags string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", tags, "-o", out, "../cmd/caddy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build -tags %s: %w\n%s", tags, err, said)
	}
	return nil
}

// Each scope has a route of its own.
const policyFile = `version: 1
scopes:
  read:accounts: {title: See accounts, risk: read}
  read:market:   {title: See market data, risk: read}
routes:
  - {id: accounts, match: {methods: [GET], path: "/accounts"}, require: {scopes: [read:accounts]}}
  - {id: market, match: {methods: [GET], path: "/market"}, require: {scopes: [read:market]}}
  - {id: events, match: {methods: [GET], path: "/events"}, require: {scopes: [read:market]}}
  - {id: socket, match: {methods: [GET], path: "/socket"}, require: {scopes: [read:market]}}
`

// server is a process of the real binary with a folder and ports of its own.
type server struct {
	t       testing.TB
	binary  string
	dir     string
	api     string // address of the gated site
	issuer  string // address of the issuer
	backend *backend

	environment []string // more of it

	cmd    *exec.Cmd
	exited chan struct{}
	output *tail
}

// newServer prepares the folder; start runs the binary.
func newServer(t testing.TB, binary string) *server {
	t.Helper()
	// Socket paths are limited to 108 bytes: t.TempDir may be longer.
	dir, err := os.MkdirTemp("", "bearer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{
		t: t, binary: binary, dir: dir, backend: newBackend(t),
		api: "127.0.0.1:" + freeport.Find(t), issuer: "127.0.0.1:" + freeport.Find(t),
	}
	s.write("policy.yaml", policyFile)
	s.write("Caddyfile", s.caddyfile())
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("Caddy's output:\n%s", s.output)
		}
	})
	return s
}

// Nothing expires while a proof runs.
func (s *server) caddyfile() string {
	return `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	log {
		level WARN
	}
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		operator_token file ` + s.path("operator.token") + `
		policy proof ` + s.path("policy.yaml") + `
		environment sandbox {
			issuer http://` + s.issuer + `
			audience http://` + s.api + `
			code_lifetime 3h
			access_token_lifetime 3h
			account 1
		}
	}
}
http://:` + port(s.api) + ` {
	bearer_gate proof
	reverse_proxy ` + s.backend.address() + ` {
		stream_close_delay 1h
	}
}
http://:` + port(s.issuer) + ` {
	bearer_issuer
}
`
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the binary and waits until gate and issuer answer.
func (s *server) start() *server {
	s.t.Helper()
	s.output = new(tail)
	s.cmd = exec.Command(s.binary, "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"))
	s.cmd.Env = append(s.cmd.Env, s.environment...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	s.answers(s.issuer, "/.well-known/oauth-authorization-server", 200)
	s.answers(s.api, "/accounts", 401)
	return s
}

// answers waits until a server that starts gives this answer.
func (s *server) answers(address, target string, status int) {
	s.t.Helper()
	c := &connection{network: "tcp", address: address}
	defer c.close()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, err := c.send("GET", target, "")
		if err == nil && got.status == status {
			return
		}
		select {
		case <-s.exited:
			s.t.Fatalf("Caddy ended by itself:\n%s", s.output)
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("http://%s%s: %v %d, want %d\n%s", address, target, err, got.status, status, s.output)
		}
	}
}

// kill ends the process as a crash does.
func (s *server) kill() {
	s.t.Helper()
	select {
	case <-s.exited:
		s.t.Fatalf("Caddy ended before it was killed:\n%s", s.output)
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	<-s.exited
}

// stop ends the process if there is one.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.said.Len() > 64<<10 {
		b.said.Next(32 << 10)
	}
	return b.said.Write(p)
}

func (b *tail) String() string {
	if b == nil {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}
