package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// asCaddy makes the test binary be Caddy: server tests run the real program in
// a process of its own, with its own folder, ports and admin socket.
const asCaddy = "BEARER_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		mountDisks()
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// Published credentials of the bank's page and of the quickstart.
const (
	serviceID     = "12a42d02-0845-46f8-b6e2-202e1e792364"
	serviceSecret = "AQvfpNrjQAiOcQQxKdwGoC860yVdvE3D2iRGsjZ2qwoeYlZ5po"
	clientID      = "demo-client"
	clientSecret  = "demo-secret"
)

// patience bounds every wait for something that must happen. Several servers are
// tested at a time, and the machine may have more to do.
const patience = time.Minute

// server is a Caddy process under test.
type server struct {
	t       testing.TB
	dir     string
	api     string // base URL of the gated site
	issuer  string // base URL of the issuer
	backend *backend
	config  string // the Caddyfile's text
	cmd     *exec.Cmd
	exited  chan struct{}
	output  *syncBuffer
	env     []string // more of its environment
	disks   []disk   // that the process sees and nobody else
}

// newServer prepares a folder with the quickstart's clients; start runs it.
func newServer(t testing.TB) *server {
	t.Helper()
	// Socket paths are limited to 108 bytes: t.TempDir may be longer.
	dir, err := os.MkdirTemp("", "bearer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{
		t: t, dir: dir, backend: newBackend(t),
		api: "http://127.0.0.1:" + freeport.Find(t), issuer: "http://127.0.0.1:" + freeport.Find(t),
	}
	s.write("policy.yaml", testPolicy)
	s.config = s.caddyfile(siteOptions{})
	return s
}

// siteOptions are what tests change in the configuration.
type siteOptions struct {
	global      string // more global options
	bearer      string // more lines of the bearer block
	environment string // more lines of the environment
	noClient    bool   // leave the client undeclared
	gate        string // the block of bearer_gate
	site        string // more directives of the gated site
	issuerSite  string // more directives of the issuer's site
	apiAddress  string // instead of the plain address of the gated site
}

func (s *server) caddyfile(o siteOptions) string {
	client := ""
	if !o.noClient {
		client = "client " + clientID + " {\n secret_hash " + clientHash() + "\n scopes read:accounts write:eft read:eft all:eft all:remittance read:market trade:orders\n}\n"
	}
	if o.apiAddress == "" {
		o.apiAddress = "http://:" + port(s.api)
	}
	return `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	log {
		level DEBUG
	}
	` + o.global + `
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		revocation_journal file ` + s.path("revocations.journal") + `
		operator_token file ` + s.path("operator.token") + `
		policy test ` + s.path("policy.yaml") + `
		` + o.bearer + `
		environment sandbox {
			issuer ` + s.issuer + `
			audience ` + s.api + `
			account 1
			account 2
			service_account ` + serviceID + ` {
				secret_hash ` + serviceHash() + `
				scopes read:accounts read:eft write:eft all:eft all:remittance read:market trade:orders
				accounts 1 2
			}
			` + client + o.environment + `
		}
	}
}
` + o.apiAddress + ` {
	log
	` + o.site + `
	bearer_gate test {
		` + o.gate + `
	}
	reverse_proxy ` + s.backend.address() + ` {
		stream_close_delay 1h
	}
}
http://:` + port(s.issuer) + ` {
	log
	` + o.issuerSite + `
	bearer_issuer
	respond 404
}
`
}

func port(url string) string { return url[strings.LastIndex(url, ":")+1:] }

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
	cmd.Env = append(os.Environ(), asCaddy+"=1",
		"HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"),
		"CADDY_ADMIN=unix/"+s.path("admin.sock"), "GORACE=halt_on_error=1 atexit_sleep_ms=50") // and not a second for each command
	cmd.Env = append(cmd.Env, s.env...)
	cmd.Dir = s.dir
	return cmd
}

// run runs a command to its end and returns what it printed.
func (s *server) run(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// start runs Caddy and waits until gate and issuer answer.
func (s *server) start() *server {
	s.t.Helper()
	s.launch()
	s.eventually("the server is ready", func() bool {
		select {
		case <-s.exited:
			s.t.Fatalf("Caddy ended early:\n%s", s.output)
		default:
		}
		return s.status(s.api+"/health") == 200 && s.status(s.issuer+"/.well-known/oauth-authorization-server") == 200
	})
	return s
}

// launch starts the process and looks after its end.
func (s *server) launch() {
	s.t.Helper()
	s.write("Caddyfile", s.config)
	s.output = new(syncBuffer)
	s.cmd = s.command("run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.attach(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited, cmd := make(chan struct{}), s.cmd
	s.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if s.t.Failed() {
			s.t.Logf("Caddy's output:\n%s", s.output)
		}
		if strings.Contains(s.output.String(), "DATA RACE") {
			s.t.Error("the race detector found something; see Caddy's output")
		}
	})
}

// startAndFail runs Caddy with a configuration that it must refuse, and
// returns its complaint.
func (s *server) startAndFail() string {
	s.t.Helper()
	s.launch()
	s.await("Caddy gives up", s.exited)
	if s.cmd.ProcessState.Success() {
		s.t.Fatalf("Caddy ended well:\n%s", s.output)
	}
	return s.output.String()
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// restart kills the process without warning and starts it again.
func (s *server) restart() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.await("the process ends", s.exited)
	s.start()
}

// reload loads another configuration; it returns the complaint, if any.
func (s *server) reload(config string) string {
	s.t.Helper()
	s.write("Caddyfile", config)
	_, complaint, code := s.run("", "reload", "--config", s.path("Caddyfile"), "--adapter", "caddyfile", "--force")
	s.eventually("the old servers listen no more", s.listensOnce)
	// The old servers close the connections that are kept alive, and a POST that
	// is just being sent on one is not sent again.
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		return ""
	}
	return complaint
}

// listensOnce reports whether no address has two listeners. For a moment after a
// reload it has, of which Caddy closes the old one: a connection that waits there
// to be accepted is lost.
func (s *server) listensOnce() bool {
	const localAddress, state, listening = 1, 3, "0A"
	ports := map[string]bool{}
	for _, url := range []string{s.api, s.issuer} {
		var number int
		if _, err := fmt.Sscan(port(url), &number); err != nil {
			s.t.Fatalf("%s: %v", url, err)
		}
		ports[fmt.Sprintf("%04X", number)] = true
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // not on this system
		}
		seen := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) <= state || fields[state] != listening {
				continue
			}
			address := fields[localAddress]
			if ports[address[strings.LastIndexByte(address, ':')+1:]] && seen[address] {
				return false
			}
			seen[address] = true
		}
	}
	return true
}

func (s *server) await(what string, done <-chan struct{}) {
	s.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		s.t.Fatalf("%s: not within %s", what, patience)
	}
}

// eventually polls for an effect that arrives over the network.
func (s *server) eventually(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s\n%s", what, patience, s.output)
		}
		time.Sleep(20 * time.Millisecond) // between two looks, not for correctness
	}
}

func (s *server) status(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// tokens is the answer of S4's token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

// obtain gets a token by the bank's two calls.
func (s *server) obtain(scopes string) tokens {
	s.t.Helper()
	request := s.request("GET", s.issuer+"/api/v1/s2s-oauth2/code", nil)
	request.Header.Set("X-Service-Account-ID", serviceID)
	request.Header.Set("X-Service-Account-Secret", serviceSecret)
	request.Header.Set("X-IBM-client-id", clientID)
	request.Header.Set("X-IBM-client-secret", clientSecret)
	request.Header.Set("scope", scopes)
	var code struct{ Code string }
	s.answer(request, 200, &code)

	request = s.form("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+code.Code)
	var got tokens
	s.answer(request, 200, &got)
	return got
}

// form is a POST by the demo client.
func (s *server) form(path, body string) *http.Request {
	request := s.request("POST", s.issuer+path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(clientID, clientSecret)
	return request
}

func (s *server) request(method, url string, body io.Reader) *http.Request {
	s.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return request
}

// answer sends a request, checks the status and decodes the body.
func (s *server) answer(request *http.Request, status int, into any) *http.Response {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != status {
		s.t.Fatalf("%s %s: %s, want %d\n%s", request.Method, request.URL.Path, response.Status, status, body)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			s.t.Fatalf("%s %s: %v in %s", request.Method, request.URL.Path, err, body)
		}
	}
	return response
}

// call sends a request with a bearer token to the gated API.
func (s *server) call(method, path, token string) *http.Request {
	s.t.Helper()
	request := s.request(method, s.api+path, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

// revoke ends a token by RFC 7009.
func (s *server) revoke(token string) {
	s.t.Helper()
	s.answer(s.form("/oauth2/revoke", "token="+token), 200, nil)
}

// backend is the gated API: it remembers what reached it.
type backend struct {
	server *httptest.Server
	mu     sync.Mutex
	seen   []*http.Request
}

func newBackend(t testing.TB) *backend {
	b := new(backend)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/stream", serveMarket)
	mux.HandleFunc("GET /api/v1/events", serveEvents)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "target": r.RequestURI, "headers": r.Header})
	})
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, r.Clone(context.Background()))
		b.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) address() string { return strings.TrimPrefix(b.server.URL, "http://") }

// hits counts the requests for a path that came through.
func (b *backend) hits(path string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.seen {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

// syncBuffer collects the output of a process.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
