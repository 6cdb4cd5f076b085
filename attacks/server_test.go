package attacks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"golang.org/x/crypto/argon2"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// asCaddy makes the test binary be Caddy: the server is a process of its own.
const asCaddy = "BEARER_ATTACKS_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait for something that must happen.
const patience = time.Minute

// The corpus's names of the hosts. Two environments run in one process: that of
// the corpus, which signs with ES256, and one that signs with RS256.
const (
	gateURL      = "https://gw.test"
	issuerURL    = "https://as.test"
	rsaGateURL   = "https://rsa.gw.test"
	rsaIssuerURL = "https://rsa.as.test/t1"
)

// Credentials of the clients that the Caddyfile declares.
const (
	machineID     = "machine" // acts for itself, and may have every scope
	machineSecret = "Yq3-machine-secret-of-the-corpus-0001"
	appID         = "app" // of people, with the redirect URI https://app.test/cb
	appSecret     = "Yq3-app-secret-of-the-corpus-0002"
	spaID         = "spa"  // public, with loopback redirect URIs
	deskID        = "desk" // a service account with the account 1
	deskSecret    = "Yq3-desk-secret-of-the-corpus-0003"
)

// policyFile is that of the corpus's line META-0, which says more methods only
// where rows ask for them.
const policyFile = `version: 1
cors: {origins: ["https://app.test"], headers: [authorization]}
scopes:
  accounts:read: {title: See accounts, risk: read}
  orders:write:  {title: Place orders, risk: trade}
  quotes:read:   {title: See quotes, risk: read}
  admin:         {title: Everything, risk: admin}
routes:
  - {id: public, match: {methods: [GET, POST], path: "/public/{rest...}"}, public: true}
  - {id: accounts, match: {methods: [GET], path: "/v1/accounts"}, require: {scopes: [accounts:read]}}
  - {id: account, match: {methods: [GET], path: "/v1/accounts/{rest...}"}, require: {scopes: [accounts:read]}}
  - {id: orders, match: {methods: [POST], path: "/v1/orders"}, require: {scopes: [orders:write]}}
  - id: admin
    match: {methods: [GET, POST, PUT, PATCH, DELETE, OPTIONS], path: "/v1/admin/{rest...}"}
    require: {scopes: [admin]}
  - {id: quotes, match: {methods: [GET], path: "/ws/quotes"}, require: {scopes: [quotes:read]}}
  - id: quotes-of-browsers
    match: {methods: [GET], path: "/ws/browser"}
    require: {scopes: [quotes:read]}
    credentials: [header, subprotocol]
`

// server is a Caddy process with gates, issuers, and one backend behind all.
type server struct {
	dir     string
	ports   map[string]string // by the host and port that a URL names
	backend *backend
	log     *logBuffer
	cmd     *exec.Cmd
	exited  chan struct{}
	http    *http.Client // knows the hosts of the corpus; follows no redirect

	level, accessLog, cacheSize string // lines of the Caddyfile

	es256       *ecdsa.PrivateKey
	rsa         *rsa.PrivateKey
	es256ID     string // kid
	rsaID       string
	rsaPublic   []byte          // the JWK Set of the RS256 environment, as served
	roots       *x509.CertPool  // of the TLS listeners
	forbidden   map[string]bool // pieces of secrets, which no log may hold
	forbiddenMu sync.Mutex
}

// startServer runs the server until the test is over.
func startServer(t testing.TB) *server {
	t.Helper()
	return newServer(t).start(t)
}

// startQuietServer runs one that writes no line for a request, with the smallest
// cache: for what is measured.
func startQuietServer(t testing.TB) *server {
	t.Helper()
	s := newServer(t)
	s.level, s.accessLog, s.cacheSize = "INFO", "", "cache_size 1MiB"
	return s.start(t)
}

func (s *server) start(t testing.TB) *server {
	t.Helper()
	s.write(t, "Caddyfile", s.caddyfile(t))
	s.launch(t)
	s.eventually(t, "the server is ready", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("Caddy ended early:\n%s", s.log)
		default:
		}
		response, err := s.http.Get("http://gw.test/public/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	s.es256ID, _ = s.publishedKey(t, issuerURL)
	s.rsaID, s.rsaPublic = s.publishedKey(t, rsaIssuerURL)
	return s
}

// newServer makes keys, certificate, policy and backend in a folder of its own.
func newServer(t testing.TB) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "bearer") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{dir: dir, backend: newBackend(t), log: new(logBuffer), forbidden: map[string]bool{}, ports: map[string]string{},
		level: "DEBUG", accessLog: "log"}
	for _, host := range []string{"gw.test:80", "gw.test:443", "rsa.gw.test:80", "as.test:80", "as.test:443", "rsa.as.test:443"} {
		s.ports[host] = freeport.Find(t)
	}
	s.http = s.client()
	s.makeKeys(t)
	s.write(t, "policy.yaml", policyFile)
	s.forbid(machineSecret)
	s.forbid(appSecret)
	s.forbid(deskSecret)
	return s
}

func (s *server) makeKeys(t testing.TB) {
	t.Helper()
	var err error
	if s.es256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if s.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	s.writeKey(t, "es256.pem", s.es256)
	s.writeKey(t, "rsa.pem", s.rsa)
	hosts := []string{"gw.test", "rsa.gw.test", "as.test", "rsa.as.test", "localhost"}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.write(t, "cert.pem", string(certificate))
	s.writeKey(t, "cert.key", key)
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(certificate)
}

func (s *server) writeKey(t testing.TB, name string, key any) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func (s *server) caddyfile(t testing.TB) string {
	t.Helper()
	gate := func(environment string) string {
		return ` {
	` + s.accessLog + `
	bearer_gate attacks {
		environment ` + environment + `
	}
	reverse_proxy ` + s.backend.address() + ` {
		stream_close_delay 1h
	}
`
	}
	issuer := func(environment string) string {
		return " {\n\t" + s.accessLog + "\n\tbearer_issuer {\n\t\tenvironment " + environment + "\n\t}\n\trespond 404\n"
	}
	secure := "\ttls " + s.path("cert.pem") + " " + s.path("cert.key") + "\n}\n"
	parties := `
			account 1
			service_account ` + deskID + ` {
				secret_hash ` + hashOf(deskSecret) + `
				scopes accounts:read orders:write
				accounts 1
			}
			client ` + machineID + ` {
				secret_hash ` + hashOf(machineSecret) + `
				scopes accounts:read orders:write quotes:read admin
			}
			client ` + appID + ` {
				secret_hash ` + hashOf(appSecret) + `
				redirect_uri https://app.test/cb
				scopes accounts:read orders:write
			}
			client ` + spaID + ` {
				public
				redirect_uri http://127.0.0.1/cb http://[::1]/cb
				scopes accounts:read
			}
`
	return `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	auto_https disable_redirects
	log {
		level ` + s.level + `
	}
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		revocation_journal file ` + s.path("revocations.journal") + `
		operator_token file ` + s.path("operator.token") + `
		` + s.cacheSize + `
		policy attacks ` + s.path("policy.yaml") + `
		environment production {
			issuer ` + issuerURL + `
			audience ` + gateURL + `
			signing_key file ` + s.path("es256.pem") + parties + `
		}
		environment sandbox {
			issuer ` + rsaIssuerURL + `
			audience ` + rsaGateURL + `
			signing_algorithm RS256
			signing_key file ` + s.path("rsa.pem") + parties + `
		}
	}
}
` +
		"http://:" + s.ports["gw.test:80"] + gate("production") + "}\n" +
		"https://:" + s.ports["gw.test:443"] + gate("production") + secure +
		"http://:" + s.ports["rsa.gw.test:80"] + gate("sandbox") + "}\n" +
		"http://:" + s.ports["as.test:80"] + issuer("production") + "}\n" +
		"https://:" + s.ports["as.test:443"] + issuer("production") + secure +
		"https://:" + s.ports["rsa.as.test:443"] + issuer("sandbox") + secure
}

// hashOf is a hash of the least cost that a configuration may have.
func hashOf(secret string) string {
	const memory, passes, lanes = 8, 1, 1 // memory in KiB
	salt := make([]byte, 16)
	rand.Read(salt)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(secret), salt, passes, memory, lanes, 32)))
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// launch starts the process and looks after its end.
func (s *server) launch(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(os.Args[0], "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Env = append(os.Environ(), asCaddy+"=1",
		"HOME="+s.dir, "XDG_DATA_HOME="+s.path("data"), "XDG_CONFIG_HOME="+s.path("config"), "GORACE=halt_on_error=1 atexit_sleep_ms=50")
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		if t.Failed() {
			t.Logf("the end of Caddy's output:\n%s", s.log.tail(20_000))
		}
	})
}

// eventually polls for an effect that arrives over the network.
func (s *server) eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s\n%s", what, patience, s.log.tail(20_000))
		}
		time.Sleep(2 * time.Millisecond) // between two looks, not for correctness
	}
}

// publishedKey returns the kid of the one key that an issuer publishes, and the
// text of its JWK Set.
func (s *server) publishedKey(t testing.TB, issuer string) (id string, text []byte) {
	t.Helper()
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		}
	}
	text = s.fetch(t, issuer+"/oauth2/jwks")
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	return set.Keys[0].ID, text
}

// forbid makes a secret known that no log may hold. It is told by its pieces of
// one word, but for the header of a signed token, which many have.
func (s *server) forbid(secret string) {
	pieces := words(secret)
	if strings.Count(secret, ".") >= 2 && len(pieces) > 1 {
		pieces = pieces[1:]
	}
	s.forbiddenMu.Lock()
	defer s.forbiddenMu.Unlock()
	for _, piece := range pieces {
		if len(piece) >= 20 {
			s.forbidden[piece] = true
		}
	}
}

// words are what stands between characters that no token has.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// checkLog looks through the log from an offset on.
func (s *server) checkLog(t testing.TB, from int) {
	t.Helper()
	text := s.log.from(from)
	for _, trouble := range []string{"panic", "goroutine ", "DATA RACE", `"level":"error"`} {
		if at := strings.Index(text, trouble); at >= 0 {
			t.Errorf("the log has %q: …%s…", trouble, text[max(0, at-200):min(len(text), at+1000)])
		}
	}
	s.forbiddenMu.Lock()
	defer s.forbiddenMu.Unlock()
	for _, word := range words(text) {
		if s.forbidden[word] {
			at := strings.Index(text, word)
			t.Fatalf("the log has a secret: …%s…", text[max(0, at-500):min(len(text), at+len(word)+100)])
		}
	}
}

// logBuffer collects the output of the process.
type logBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p...)
	return len(p), nil
}

func (b *logBuffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.buf)
}

func (b *logBuffer) from(at int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf[at:])
}

func (b *logBuffer) String() string { return b.from(0) }

func (b *logBuffer) tail(n int) string { return b.from(max(0, b.Len()-n)) }

// contains reports whether a text stands behind an offset.
func (b *logBuffer) contains(text string, from int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.buf[from:], []byte(text))
}
