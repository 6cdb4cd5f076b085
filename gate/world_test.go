package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite/sqlitetest"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const testPolicy = `
version: 1
scopes:
  read:accounts: {title: See accounts, risk: read}
  read:market:   {title: See market data, risk: read}
  trade:orders:  {title: Place orders, risk: trade}
  admin:desk:    {title: Desk operations, risk: admin, hidden: true}
routes:
  - {id: list, match: {methods: [GET], path: /accounts}, require: {scopes: [read:accounts]}}
  - id: order
    match: {methods: [POST], path: "/accounts/{account}/orders"}
    require: {any_of: [[trade:orders], [admin:desk]], bind: {account: token.account}}
  - {id: either, match: {methods: [GET], path: /either}, require: {any_of: [[read:accounts, trade:orders], [admin:desk], [trade:orders, read:market]]}}
  - {id: desk, match: {methods: [GET], path: /desk}, require: {scopes: [admin:desk]}}
  - {id: upload, match: {methods: [POST], path: /upload}, require: {scopes: [read:accounts]}}
  - {id: files, match: {methods: [GET], path: "/files/{rest...}"}, require: {scopes: [read:accounts]}}
  - {id: sse, match: {methods: [GET], path: /sse}, require: {scopes: [read:market]}}
  - {id: ws, match: {methods: [GET], path: /ws}, require: {scopes: [read:market]}, credentials: [header, subprotocol]}
  - {id: subprotocol-only, match: {methods: [GET], path: /subprotocol-only}, require: {scopes: [read:market]}, credentials: [subprotocol]}
  - {id: header-only, match: {methods: [GET], path: /header-only}, require: {scopes: [read:market]}}
  - {id: health, match: {methods: [GET], path: /health}, public: true}
`

var everyScope = []string{"read:accounts", "read:market", "trade:orders"}

// world is a gate on a real authority and database.
type world struct {
	*Gate
	store  store.Store
	offset atomic.Int64 // of the clock, in nanoseconds
	rules  atomic.Pointer[policy.Policy]
	broken atomic.Pointer[error] // the look-ups of the store fail with it

	settings   token.Settings
	afterFound func() // runs between a look-up in the store and its use
}

// lookups is a store whose look-ups can be made to fail.
type lookups struct {
	store.Store
	w *world
}

func (l lookups) TokenByHash(ctx context.Context, env store.Environment, hash store.Hash) (store.Token, store.Standing, error) {
	if err := l.w.broken.Load(); err != nil {
		return store.Token{}, store.Standing{}, *err
	}
	row, standing, err := l.Store.TokenByHash(ctx, env, hash)
	if l.w.afterFound != nil {
		l.w.afterFound()
	}
	return row, standing, err
}

func loadPolicy(t testing.TB, src string) *policy.Policy {
	t.Helper()
	p, err := policy.Load("test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func openWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{}
	w.rules.Store(loadPolicy(t, testPolicy))
	now := func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }
	if _, benchmark := t.(*testing.B); benchmark {
		now = nil // what a server has
	}
	a := token.NewAuthority(store.Sandbox, now)
	dir := t.TempDir()
	ctx := context.Background()
	st, err := sqlite.Open(ctx, sqlite.Options{Path: sqlitetest.Path(t), Committed: a.Apply})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	w.store = st
	root, err := token.BindRootKey(ctx, st, filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	vocabulary := w.rules.Load()
	w.settings = token.Settings{
		Issuer: "https://as.test", Audience: "https://gw.test", AccessLifetime: time.Hour, Algorithm: token.ES256, CacheBytes: 1 << 20,
		Policy: func() *policy.Policy { return vocabulary },
	}
	if err := a.Configure(w.settings); err != nil {
		t.Fatal(err)
	}
	if err := a.Open(ctx, lookups{st, w}, root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	all := append([]string{"admin:desk"}, everyScope...)
	w.update(t, func(tx store.Writer) error {
		return errors.Join(
			tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: all, Status: store.Active}),
			tx.PutClient(store.Client{Environment: store.Sandbox, ID: "bot", MaxScopes: all, Status: store.Active}),
			tx.PutAccount(store.Account{Environment: store.Sandbox, ID: "42", Kind: store.Trading, Status: store.Active}),
			tx.PutAccount(store.Account{Environment: store.Sandbox, ID: "43", Kind: store.Trading, Status: store.Active}),
			tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "alice", Account: "42", Access: store.Full}),
			tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "alice", Account: "43", Access: store.Full}),
		)
	})
	o := Options{
		Authority: a, Policy: w.rules.Load, Now: now, Problems: "https://as.test/problems/",
		RequestID: func(*http.Request) string { return "req-1" },
	}
	if change != nil {
		change(&o)
	}
	if w.Gate, err = New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) update(t testing.TB, change func(store.Writer) error) {
	t.Helper()
	if err := w.store.Update(context.Background(), change); err != nil {
		t.Fatal(err)
	}
}

func (w *world) issue(t testing.TB, scopes []string, tokens ...store.Token) store.Standing {
	t.Helper()
	standing, err := w.store.Issue(context.Background(), store.Issue{
		Grant: store.Grant{
			Environment: store.Sandbox, ID: token.NewID(), Principal: "alice", Client: "bot",
			Scopes: scopes, Accounts: []string{"42", "43"}, Created: w.now(),
		},
		Tokens: tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	return standing
}

// mint returns a signed token with the scopes, every one by default.
func (w *world) mint(t testing.TB, scopes ...string) string {
	t.Helper()
	if scopes == nil {
		scopes = everyScope
	}
	standing := w.issue(t, scopes)
	minted, err := w.authority.Mint(&standing, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return minted.Raw
}

// personal returns an opaque token.
func (w *world) personal(t testing.TB, scopes ...string) string {
	t.Helper()
	raw, hash := w.authority.Keyring().NewOpaque(store.Personal)
	w.issue(t, scopes, store.Token{
		Environment: store.Sandbox, ID: token.NewID(), Hash: hash,
		Class: store.Personal, Created: w.now(),
	})
	return raw
}

func (w *world) revoke(t testing.TB, raw string) {
	t.Helper()
	lease, err := w.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	w.kill(t, store.KindGrant, lease.Grant)
}

func (w *world) kill(t testing.TB, kind store.Kind, target string) {
	t.Helper()
	if _, err := w.authority.Revoke(context.Background(), store.Revocation{Kind: kind, Target: target, Reason: "test"}, store.Event{}); err != nil {
		t.Fatal(err)
	}
}

// handlerFunc makes a Handler of a function.
type handlerFunc func(http.ResponseWriter, *http.Request) error

func (f handlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

// plainly makes a Handler of one that cannot fail.
func plainly(h http.Handler) Handler {
	return handlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	})
}

var nothing = handlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// gated is the gate before next, as an HTTP handler.
func (w *world) gated(next Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		err := w.ServeHTTP(rw, r, next)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			refusal.Respond(rw, r)
		case err != nil:
			http.Error(rw, err.Error(), http.StatusBadGateway)
		}
	})
}

func (w *world) serve(t testing.TB, next Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(w.gated(next))
	t.Cleanup(server.Close)
	return server
}

// raw sends bytes as they are and returns the answers' first.
func raw(t testing.TB, server *httptest.Server, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %q: %v", request, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// get builds the bytes of a GET.
func get(target string, header ...string) string {
	return request("GET", target, header...)
}

func request(method, target string, header ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: gw.test\r\n", method, target)
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// echo answers with the headers that it was sent, one line each.
var echo = handlerFunc(func(w http.ResponseWriter, r *http.Request) error {
	return r.Header.Write(w)
})

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for what happens on the network.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("not within 5 s: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}
