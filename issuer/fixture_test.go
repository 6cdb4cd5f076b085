package issuer

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite/sqlitetest"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// The pair that the bank's page publishes for its sandbox, and two clients.
const (
	publishedID     = "12a42d02-0845-46f8-b6e2-202e1e792364"
	publishedSecret = "AQvfpNrjQAiOcQQxKdwGoC860yVdvE3D2iRGsjZ2qwoeYlZ5po"

	botID     = "bot-1"
	botSecret = "s3cr:et of+bot%31" // a colon, a blank, a plus and a percent sign

	otherID     = "bot-2"
	otherSecret = "another secret"

	pageScopes = "read:accounts all:remittance all:eft"
)

const testPolicy = `
version: 1
scopes:
  read:accounts:   {title: See accounts, risk: read}
  read:remittance: {title: See remittances, risk: read}
  write:remittance: {title: Send remittances, risk: withdraw}
  all:remittance:  {title: All of remittances, risk: withdraw, implies: [read:remittance, write:remittance]}
  read:eft:        {title: See EFT payments, risk: read}
  write:eft:       {title: Send EFT payments, risk: withdraw}
  all:eft:         {title: All of EFT, risk: withdraw, implies: [read:eft, write:eft]}
  write:loans:     {title: Take loans, risk: withdraw}
  admin:eft:       {title: EFT desk, risk: admin, hidden: true}
routes:
  - id: accounts
    match: {methods: [GET], path: /v1/accounts}
    require: {scopes: [read:accounts]}
  - id: eft
    match: {methods: [POST], path: /v1/eft}
    require: {any_of: [[write:eft], [admin:eft]]}
  - id: eft-list
    match: {methods: [GET], path: /v1/eft}
    require: {scopes: [read:eft]}
  - id: remittance
    match: {methods: [GET], path: /v1/remittances}
    require: {scopes: [read:remittance]}
  - id: remit
    match: {methods: [POST], path: /v1/remittances}
    require: {scopes: [write:remittance]}
  - id: loans
    match: {methods: [POST], path: /v1/loans}
    require: {scopes: [write:loans]}
`

// clock is the time of a test, which passes when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bank is a whole server: SQLite on disk, keys, issuer, a port.
type bank struct {
	testing.TB
	folder    string
	database  string
	env       store.Environment
	clock     *clock
	algorithm string   // that access tokens are signed with
	trading   []string // the most that trading tokens carry; none: there are no such tokens
	store     *sqlite.Store
	authority *token.Authority
	policy    *policy.Policy
	options   Options
	issuer    *Issuer
	notifier  *notify.Notifier
	server    *httptest.Server
	logger    *zap.Logger
	clientIP  func(*http.Request) string
	wrap      func(store.Store) store.Store // what everybody gets instead of the store
}

// newBank opens a bank; adjust, if not nil, comes before the issuer is made.
func newBank(t testing.TB, adjust func(*bank)) *bank {
	t.Helper()
	b := &bank{
		TB: t, folder: t.TempDir(), database: sqlitetest.Path(t), env: store.Sandbox,
		clock: &clock{now: time.Now().Truncate(time.Second)}, algorithm: token.ES256,
	}
	var err error
	if b.policy, err = policy.Load("bank.yaml", []byte(testPolicy)); err != nil {
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(b)
	}
	root, err := token.CreateRootKey(filepath.Join(b.folder, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.open(root)
	b.populate()
	t.Cleanup(func() { b.close() })
	return b
}

func (b *bank) open(root *token.RootKey) {
	b.Helper()
	b.server = httptest.NewUnstartedServer(nil)
	issuerURL := "http://" + b.server.Listener.Addr().String()
	b.authority = token.NewAuthority(b.env, b.clock.Now)
	currentPolicy := func() *policy.Policy { return b.policy }
	err := b.authority.Configure(token.Settings{
		Issuer: issuerURL, Audience: "https://api.test", AccessLifetime: 1095 * time.Second, Algorithm: b.algorithm,
		CacheBytes: 1 << 20, Policy: currentPolicy,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.store, err = sqlite.Open(context.Background(), sqlite.Options{
		Path: b.database, Committed: b.authority.Apply,
	})
	if err != nil {
		b.Fatal(err)
	}
	var seen store.Store = b.store
	if b.wrap != nil {
		seen = b.wrap(seen)
	}
	if err := b.authority.Open(context.Background(), seen, root); err != nil {
		b.Fatal(err)
	}
	b.notifier = notify.New(seen, b.clock.Now, zap.NewNop)
	b.notifier.Configure(b.env, &notify.Settings{
		Rules: notify.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Roots: hookRoots(),
		Secret: b.authority.Keyring().WebhookSecret,
	})
	b.options = Options{
		Notifier: b.notifier,
		URL:      issuerURL, Authority: b.authority, Store: seen,
		Secrets: token.NewSecrets(b.authority.Keyring()), Policy: currentPolicy,
		CodeLifetime: time.Minute, RefreshLifetime: 2682000 * time.Second, TradingScopes: b.trading,
		ClientIP: b.clientIP, RequestID: func(*http.Request) string { return "request-1" },
		Now: b.clock.Now, Log: b.logger,
	}
	if b.issuer, err = New(b.options); err != nil {
		b.Fatal(err)
	}
	b.server.Config.Handler = b.issuer
	b.server.Start()
}

func (b *bank) close() {
	b.server.Close()
	b.authority.Close()
	if err := b.store.Close(); err != nil {
		b.Error(err)
	}
}

// restart is a new process on the old files.
func (b *bank) restart() {
	b.Helper()
	b.close()
	root, err := token.LoadRootKey(filepath.Join(b.folder, "root.key"))
	if err != nil {
		b.Fatal(err)
	}
	b.open(root)
}

func (b *bank) update(change func(store.Writer) error) {
	b.Helper()
	if err := b.store.Update(context.Background(), change); err != nil {
		b.Fatal(err)
	}
}

func (b *bank) client(id, secret string, scopes ...string) store.Client {
	c := store.Client{
		Environment: b.env, ID: id, Name: id, MaxScopes: scopes,
		Status: store.Active, Source: store.FromConfig, Created: b.clock.Now(),
	}
	if secret != "" {
		c.SecretHash = b.authority.Keyring().HashSecret(secret)
	}
	return c
}

// putClient puts a client and the principal that stands for it, as whoever
// configures the issuer does.
func (b *bank) putClient(tx store.Writer, c store.Client) error {
	return errors.Join(tx.PutClient(c), tx.PutPrincipal(store.Principal{
		Environment: c.Environment, ID: c.ID, Kind: store.ClientPrincipal, Name: c.Name,
		MaxScopes: c.MaxScopes, Status: c.Status, Source: c.Source, Created: c.Created,
	}))
}

func (b *bank) principal(id, secret string, kind store.PrincipalKind, scopes ...string) store.Principal {
	return store.Principal{
		Environment: b.env, ID: id, Kind: kind, Name: id, MaxScopes: scopes,
		SecretHash: b.authority.Keyring().HashSecret(secret),
		Status:     store.Active, Source: store.FromConfig, Created: b.clock.Now(),
	}
}

func (b *bank) populate() {
	b.Helper()
	disabledClient := b.client("off", "off secret", "all:eft")
	disabledClient.Status = store.Disabled
	disabledPrincipal := b.principal("off", "off secret", store.Service, "all:eft")
	disabledPrincipal.Status = store.Disabled
	b.update(func(tx store.Writer) error {
		return errors.Join(
			b.putClient(tx, b.client(botID, botSecret, "read:accounts", "all:remittance", "all:eft", "write:loans")),
			b.putClient(tx, b.client(otherID, otherSecret, "read:accounts", "all:eft")),
			b.putClient(tx, b.client("secretless", "", "all:eft")),
			tx.PutClient(disabledClient),
			tx.PutPrincipal(b.principal(publishedID, publishedSecret, store.Service, "read:accounts", "all:remittance", "all:eft")),
			tx.PutPrincipal(b.principal("person", "person secret", store.User, "all:eft")),
			tx.PutPrincipal(disabledPrincipal),
			b.putClient(tx, b.client("desk", "desk secret", "read:eft", "admin:eft")),
			b.putClient(tx, b.client("hidden", "hidden secret", "admin:eft")),
			tx.PutAccount(store.Account{Environment: b.env, ID: "TR01", Kind: store.Bank, Name: "main", Status: store.Active, Source: store.FromConfig, Created: b.clock.Now()}),
			tx.PutBinding(store.Binding{Environment: b.env, Principal: publishedID, Account: "TR01", Access: store.Full, Source: store.FromConfig}),
		)
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) field(t testing.TB, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	s, _ := fields[name].(string)
	return s
}

// wantError checks the form of an RFC 6749 §5.2 error, too.
func (a *answer) wantError(t testing.TB, status int, code string) {
	t.Helper()
	if a.status != status || a.field(t, "error") != code {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
	description := a.field(t, "error_description")
	if description == "" || strings.ContainsFunc(description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
		t.Errorf("error_description %q is empty or has characters that RFC 6749 §5.2 does not allow", description)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if challenge := a.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Basic ") != (status == http.StatusUnauthorized) {
		t.Errorf("%d with challenge %q", status, challenge)
	}
}

func (a *answer) ok(t testing.TB) *answer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", a.status, a.body)
	}
	return a
}

// call is a request that can be bent before it is sent.
type call struct {
	method string
	path   string
	header http.Header
	body   string
}

func (c call) with(name string, values ...string) call {
	c.header = c.header.Clone()
	delete(c.header, http.CanonicalHeaderKey(name))
	for _, value := range values {
		c.header.Add(name, value)
	}
	return c
}

func (c call) by(method string) call       { c.method = method; return c }
func (c call) withBody(body string) call   { c.body = body; return c }
func (c call) withQuery(query string) call { c.path += "?" + query; return c }

func codeCall() call {
	h := make(http.Header)
	h.Set("X-Service-Account-ID", publishedID)
	h.Set("X-Service-Account-Secret", publishedSecret)
	h.Set("X-IBM-client-id", botID)
	h.Set("X-IBM-client-secret", botSecret)
	h.Set("scope", pageScopes)
	return call{method: "GET", path: pathS4Code, header: h}
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func formCall(path, authorization string, pairs ...string) call {
	values := make(url.Values)
	for k := 0; k < len(pairs); k += 2 {
		values.Set(pairs[k], pairs[k+1])
	}
	h := make(http.Header)
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("Accept", "application/json")
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	return call{method: "POST", path: path, header: h, body: values.Encode()}
}

func redeemCall(code string) call {
	return formCall(pathS4Token, basic(botID, botSecret), "grant_type", "authorization_code", "code", code)
}

func refreshCall(refresh string) call {
	return formCall(pathS4Token, basic(botID, botSecret), "grant_type", "refresh_token", "refresh_token", refresh)
}

// ownCall asks for a token of the bot's own.
func ownCall(pairs ...string) call {
	return formCall(pathToken, formBasic(botID, botSecret), append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

func renewCall(refresh string, pairs ...string) call {
	return formCall(pathToken, formBasic(botID, botSecret), append([]string{"grant_type", "refresh_token", "refresh_token", refresh}, pairs...)...)
}

func introspectCall(raw string) call {
	return formCall(pathIntrospect, formBasic(botID, botSecret), "token", raw)
}

func selfCall(access string) call {
	return call{method: "GET", path: pathSelf, header: http.Header{"Authorization": {"Bearer " + access}}}
}

func revokeCall(raw string) call {
	return formCall(pathRevoke, formBasic(botID, botSecret), "token", raw)
}

// formBasic encodes as RFC 6749 §2.3.1 wants it.
func formBasic(id, secret string) string { return basic(url.QueryEscape(id), url.QueryEscape(secret)) }

func (b *bank) do(c call) *answer {
	b.Helper()
	req, err := http.NewRequest(c.method, b.server.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		b.Fatal(err)
	}
	if c.header != nil {
		req.Header = c.header
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// wire is a connection on which bytes are sent as they are.
type wire struct {
	testing.TB
	*net.TCPConn
}

func (b *bank) dial() wire {
	b.Helper()
	conn, err := net.Dial("tcp", b.server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return wire{b, conn.(*net.TCPConn)}
}

func (w wire) send(request string) {
	w.Helper()
	if _, err := io.WriteString(w.TCPConn, request); err != nil {
		w.Fatal(err)
	}
}

func (w wire) read() *answer {
	w.Helper()
	res, err := http.ReadResponse(bufio.NewReader(w.TCPConn), nil)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// raw sends one request as it is.
func (b *bank) raw(request string) *answer {
	b.Helper()
	conn := b.dial()
	defer conn.Close()
	conn.send(request)
	return conn.read()
}

func (b *bank) code() string {
	b.Helper()
	return b.do(codeCall()).ok(b).field(b, "code")
}

// pair is what a token call gives.
type pair struct{ access, refresh string }

func (b *bank) pairOf(a *answer) pair {
	b.Helper()
	a.ok(b)
	return pair{access: a.field(b, "access_token"), refresh: a.field(b, "refresh_token")}
}

func (b *bank) tokens() pair {
	b.Helper()
	return b.pairOf(b.do(redeemCall(b.code())))
}

// judge asks what a gate would ask.
func (b *bank) judge(access string) token.Verdict {
	b.Helper()
	lease, err := b.authority.Check(access)
	if err != nil {
		b.Fatalf("check access token: %v", err)
	}
	return b.authority.Judge(lease, b.clock.Now())
}

func (b *bank) wantVerdict(access string, want token.Verdict) {
	b.Helper()
	if got := b.judge(access); got != want {
		b.Errorf("access token is %v, want %v", got, want)
	}
}
