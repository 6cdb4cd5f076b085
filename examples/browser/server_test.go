package browser

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// asCaddy makes the test binary be Caddy: the server is a process of its own.
const asCaddy = "BEARER_BROWSER_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	code := m.Run()
	for _, end := range atExit {
		end()
	}
	if err := finishPictures(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// server is a Caddy that issues tokens for a sandbox, with the user alice.
type server struct {
	t      *testing.T
	dir    string
	issuer string // URL
	output bytes.Buffer
	cmd    *exec.Cmd
	exited chan struct{}
}

const (
	aliceID       = "alice"
	alicePassword = "correct horse battery staple"
)

const testPolicy = `
version: 1
scopes:
  read:accounts: {title: See your accounts, risk: read}
  read:market:   {title: See the market, risk: read}
  trade:orders:  {title: Place and cancel orders, risk: trade, implies: [read:accounts]}
  write:eft:     {title: Send money, risk: withdraw, implies: [read:accounts]}
routes:
  - id: accounts
    match: {methods: [GET], path: /v1/accounts}
    require: {scopes: [read:accounts]}
  - id: market
    match: {methods: [GET], path: /v1/market}
    require: {scopes: [read:market]}
  - id: orders
    match: {methods: [POST], path: /v1/orders}
    require: {scopes: [trade:orders]}
  - id: eft
    match: {methods: [POST], path: /v1/eft}
    require: {scopes: [write:eft]}
`

// start runs a server whose environment has these lines more.
func start(t *testing.T, environment string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "bearer") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir, issuer: "http://127.0.0.1:" + freeport.Find(t)}
	s.write("policy.yaml", testPolicy)
	s.write("Caddyfile", s.caddyfile(environment))
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("Caddy's output:\n%s", &s.output)
		}
	})
	s.launch()
	s.command("", "account", "add", "1234567", "--kind", "trading", "--name", "House account")
	s.command("", "user", "add", aliceID, "--name", "Alice Doe", "--scopes", "read:accounts read:market trade:orders write:eft")
	s.command("", "bind", aliceID, "1234567")
	s.command(alicePassword, "user", "password", aliceID)
	return s
}

func (s *server) caddyfile(environment string) string {
	return `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		revocation_journal file ` + s.path("revocations.journal") + `
		operator_token file ` + s.path("operator.token") + `
		policy demo ` + s.path("policy.yaml") + `
		environment sandbox {
			issuer ` + s.issuer + `
			audience https://api.test
			` + environment + `
		}
	}
}
` + strings.Replace(s.issuer, "127.0.0.1", "", 1) + ` {
	bearer_issuer
	respond "Nothing of the issuer's."
}
`
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) caddy(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"),
		"CADDY_ADMIN=unix/"+s.path("admin.sock"), "GORACE=atexit_sleep_ms=50")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// command runs `caddy bearer` and returns what it printed.
func (s *server) command(stdin string, args ...string) string {
	s.t.Helper()
	cmd := s.caddy(append([]string{"bearer"}, args...)...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &complaint
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("caddy bearer %s: %v\n%s", strings.Join(args, " "), err, &complaint)
	}
	return string(out)
}

// launch starts the server and waits until it answers.
func (s *server) launch() {
	s.t.Helper()
	s.cmd = s.caddy("run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // between two looks, not for correctness
		if answer, err := http.Get(s.issuer + "/login"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-s.exited:
			s.t.Fatal("Caddy ended early")
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("Caddy does not answer within %s", patience)
		}
	}
}

// stop ends the server, as a crash does. It can be launched again.
func (s *server) stop() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}
