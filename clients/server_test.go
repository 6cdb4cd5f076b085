//go:build clients

package clients

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
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

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// workshop is the folder for what is built.
var workshop string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if workshop, err = os.MkdirTemp("", "bearer-clients"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(workshop)
		return m.Run()
	}())
}

// caddy is the real binary, built once as `make build` does it.
var caddy = sync.OnceValue(func() string { return build("../cmd/caddy") })

func build(pkg string) string {
	out := filepath.Join(workshop, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", tags, "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build %s: %v\n%s", pkg, err, said))
	}
	return out
}

const policyFile = `version: 1
scopes:
  read:accounts: {title: See accounts, risk: read}
  trade:orders:  {title: Place orders, risk: trade}
routes:
  - {id: accounts, match: {methods: [GET], path: "/accounts"}, require: {scopes: [read:accounts]}}
  - {id: orders, match: {methods: [GET], path: "/orders"}, require: {scopes: [trade:orders]}}
`

// server is a process of the real binary with a folder and ports of its own. It
// speaks HTTPS, with certificates of Caddy's own authority.
type server struct {
	t           testing.TB
	dir         string
	api, issuer string // ports
	backend     *backend
	lifetime    time.Duration // of access tokens

	cmd    *exec.Cmd
	exited chan struct{}
	output bytes.Buffer // to be read once the process has ended
	admin  *http.Client
	client *http.Client // trusts the authority
}

// newServer prepares the folder; start runs the binary.
func newServer(t testing.TB, lifetime time.Duration) *server {
	t.Helper()
	// Socket paths are limited to 108 bytes: t.TempDir may be longer.
	dir, err := os.MkdirTemp("", "bearer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{
		t: t, dir: dir, backend: newBackend(t), lifetime: lifetime,
		api: freeport.Find(t), issuer: freeport.Find(t),
	}
	s.admin = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path("admin.sock"))
		},
	}}
	s.write("policy.yaml", policyFile)
	s.write("Caddyfile", s.caddyfile())
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("Caddy's output:\n%s", &s.output)
		}
	})
	return s
}

func (s *server) caddyfile() string {
	return `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	local_certs
	default_sni localhost
	skip_install_trust
	auto_https disable_redirects
	log {
		level WARN
	}
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		operator_token file ` + s.path("operator.token") + `
		policy clients ` + s.path("policy.yaml") + `
		environment production {
			issuer ` + s.issuerURL() + `
			audience ` + s.apiURL() + `
			access_token_lifetime ` + s.lifetime.String() + `
			account 1
			client ` + tourist.ID + ` {
				secret_hash ` + touristHash + `
				redirect_uri ` + redirectURI + `
				scopes read:accounts trade:orders
			}
			client ` + nomad + ` {
				public
				redirect_uri ` + redirectURI + `
				scopes read:accounts trade:orders
			}
		}
	}
}
` + s.apiURL() + ` {
	log {
		output file ` + s.path("api.log") + `
	}
	bearer_gate clients
	reverse_proxy ` + s.backend.address() + `
}
` + s.issuerURL() + ` {
	log {
		output file ` + s.path("issuer.log") + `
	}
	bearer_issuer
}
`
}

func (s *server) apiURL() string { return "https://localhost:" + s.api }

func (s *server) issuerURL() string { return "https://localhost:" + s.issuer }

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// authority is the certificate that all programs are told to trust.
func (s *server) authority() string {
	return s.path("data/caddy/pki/authorities/local/root.crt")
}

// start runs the binary and waits until gate and issuer answer.
func (s *server) start() *server {
	s.t.Helper()
	s.cmd = exec.Command(caddy(), "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"))
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
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
	s.eventually("Caddy serves", s.serves)
	return s
}

// serves reports whether gate and issuer answer, with a certificate of the
// authority, which is made at the first start.
func (s *server) serves() bool {
	select {
	case <-s.exited:
		s.t.Fatalf("Caddy ended by itself:\n%s", &s.output)
	default:
	}
	certificate, err := os.ReadFile(s.authority())
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	s.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	return s.status(s.issuerURL()+"/.well-known/oauth-authorization-server") == http.StatusOK &&
		s.status(s.apiURL()+"/") == http.StatusForbidden // no route
}

func (s *server) status(target string) int {
	answer, err := s.client.Get(target)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// stop ends the process, if there is one, as an operator does.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
}

func (s *server) eventually(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// command calls the admin API, below the environment.
func (s *server) command(method, target, body string, into any) {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://admin/bearer/environments/production"+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.admin.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	s.read(answer, into)
}

// read decodes an answer that must be a good one.
func (s *server) read(answer *http.Response, into any) {
	s.t.Helper()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		s.t.Fatalf("%s: %d %s %v", answer.Request.URL.Path, answer.StatusCode, content, err)
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			s.t.Fatalf("%s: %v in %s", answer.Request.URL.Path, err, content)
		}
	}
}

// party is a client or a service account.
type party struct{ ID, Secret string }

// tourist is a client whose secret each library spells in its own way: some
// encode it as RFC 6749 §2.3.1 has it, some do not. It was hashed by `caddy
// bearer hash-secret`.
var tourist = party{"tourist", "p+q%41 :/&=?#~"}

const touristHash = "$argon2id$v=19$m=19456,t=2,p=1$DnjuSh04Rpq6cfGMmVmWdQ$KdEokFMOfRMCefxEkoYnpUFYZ6er8vcI+Okok9Dku60"

// nomad is a client without a secret.
const nomad = "nomad"

// redirectURI is where apps want the answer of a person. Nobody listens there:
// the address says all.
const redirectURI = "https://bot.example/callback"

// register makes a client that may do all.
func (s *server) register(id string) (client party) {
	s.t.Helper()
	s.command("POST", "/clients", `{"id":"`+id+`","scopes":["read:accounts","trade:orders"]}`, &client)
	return client
}

// addAlice makes the person who is asked for access.
func (s *server) addAlice() {
	s.t.Helper()
	s.command("POST", "/users", `{"id":"`+alice+`","scopes":["read:accounts"]}`, nil)
	s.command("PUT", "/users/"+alice+"/password", `{"password":"`+alicePassword+`"}`, nil)
	s.command("PUT", "/bindings/"+alice+"/1", `{}`, nil)
}

// program prepares a program that is told where everything is, and which
// certificate to trust, in the way of its language.
func (s *server) program(client party, command []string) *exec.Cmd {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(),
		"ISSUER="+s.issuerURL(), "API="+s.apiURL(), "CLIENT_ID="+client.ID, "CLIENT_SECRET="+client.Secret,
		"NODE_EXTRA_CA_CERTS="+s.authority(), "REQUESTS_CA_BUNDLE="+s.authority(),
		"SSL_CERT_FILE="+s.authority(), "CURL_CA_BUNDLE="+s.authority(),
		"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore="+s.path("trust.p12")+" -Djavax.net.ssl.trustStorePassword=changeit",
		"PYTHONDONTWRITEBYTECODE=1", "HOME="+s.dir,
	)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// trustStore writes the certificate as Java wants it.
func (s *server) trustStore() {
	s.t.Helper()
	said, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "caddy", "-file", s.authority(),
		"-keystore", s.path("trust.p12"), "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput()
	if err != nil {
		s.t.Fatalf("keytool: %v\n%s", err, said)
	}
}
