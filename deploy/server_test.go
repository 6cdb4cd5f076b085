package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"golang.org/x/crypto/argon2"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// asCaddy makes the test binary be Caddy: the server is a process of its own.
const asCaddy = "BEARER_DEPLOY_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait for something that must happen.
const patience = 3 * time.Minute

// The client of the server, which may read and watch.
const (
	clientID     = "bot"
	clientSecret = "Zk2-bot-of-the-dashboard-0001"
)

const policyFile = `version: 1
scopes:
  read:accounts: {title: See accounts, risk: read}
  read:market:   {title: See the market, risk: read}
routes:
  - {id: accounts, match: {methods: [GET], path: "/accounts"}, require: {scopes: [read:accounts]}}
  - {id: events, match: {methods: [GET], path: "/events"}, require: {scopes: [read:market]}}
`

// server is a Caddy that is watched.
type server struct {
	t                    *testing.T
	dir                  string
	api, issuer, metrics string // ports
}

// startServer runs Caddy as docs/monitoring.md says, until the test is over.
func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "bearer") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir, api: freeport.Find(t), issuer: freeport.Find(t), metrics: freeport.Find(t)}
	s.write("policy.yaml", policyFile)
	s.write("Caddyfile", s.caddyfile(startAPI(t)))
	s.run(s.command("run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile"))
	s.eventually("Caddy is ready", func() error {
		_, _, err := s.call(s.issuer, "/.well-known/oauth-authorization-server", "")
		return err
	})
	return s
}

func (s *server) caddyfile(api string) string {
	return fmt.Sprintf(`{
	admin unix/%[1]s/admin.sock|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	log {
		level ERROR
	}
	metrics
	bearer {
		store sqlite %[1]s/bearer.db
		root_key file %[1]s/root.key
		revocation_journal file %[1]s/revocations.journal
		operator_token file %[1]s/operator.token
		policy test %[1]s/policy.yaml
		environment sandbox {
			issuer http://127.0.0.1:%[2]s
			audience http://127.0.0.1:%[3]s
			client %[5]s {
				secret_hash %[6]s
				scopes read:accounts read:market
			}
		}
	}
}
http://:%[2]s {
	bearer_issuer
}
http://:%[3]s {
	bearer_gate
	reverse_proxy %[7]s {
		stream_close_delay 1h
	}
}
http://:%[4]s {
	metrics
}
`, s.dir, s.issuer, s.api, s.metrics, clientID, hashOf(clientSecret), api)
}

// hashOf is a hash of the least cost that a configuration may have.
func hashOf(secret string) string {
	const memory, passes, lanes = 8, 1, 1
	salt := make([]byte, 16)
	rand.Read(salt)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(secret), salt, passes, memory, lanes, 32)))
}

// startAPI is what stands behind the gate; its events never end by themselves.
func startAPI(t *testing.T) (address string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			fmt.Fprint(w, "{}")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 0\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(api.Close)
	return strings.TrimPrefix(api.URL, "http://")
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command is Caddy with these arguments, at home in the server's folder.
func (s *server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"),
		"CADDY_ADMIN=unix/"+s.path("admin.sock"))
	return cmd
}

// run runs a program until the test is over.
func (s *server) run(cmd *exec.Cmd) {
	s.t.Helper()
	var output bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", cmd.Path, &output)
		}
	})
}

// eventually tries something until it succeeds.
func (s *server) eventually(what string, try func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		time.Sleep(100 * time.Millisecond) // between two tries, not for correctness
	}
}

// call sends a GET with a token, if there is one, and returns the answer.
func (s *server) call(port, path, token string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return s.send(request)
}

// form is a POST by the client to the issuer.
func (s *server) form(path, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://127.0.0.1:"+s.issuer+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(clientID, clientSecret)
	return s.send(request)
}

func (*server) send(request *http.Request) (status int, body []byte, err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// work is what a bot does, well and badly: it gets a token, calls, watches, and is
// revoked while it watches.
func (s *server) work() error {
	_, answer, err := s.form("/oauth2/token", "grant_type=client_credentials")
	if err != nil {
		return err
	}
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Token == "" {
		return fmt.Errorf("no token: %s", answer)
	}
	for _, c := range []struct {
		path, token string
		status      int
	}{{"/accounts", got.Token, 200}, {"/accounts", got.Token, 200}, {"/accounts", "", 401}, {"/accounts", "nonsense", 401}, {"/nowhere", got.Token, 403}} {
		status, body, err := s.call(s.api, c.path, c.token)
		if err != nil {
			return err
		}
		if status != c.status {
			return fmt.Errorf("%s: %d, want %d: %s", c.path, status, c.status, body)
		}
	}
	return s.watchUntilRevoked(got.Token)
}

func (s *server) watchUntilRevoked(token string) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:"+s.api+"/events", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK {
		return fmt.Errorf("events: %s", stream.Status)
	}
	status, body, err := s.form("/oauth2/revoke", "token="+token)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("revoke: %d: %s", status, body)
	}
	_, _ = io.Copy(io.Discard, stream.Body) // until it is cut
	return nil
}
