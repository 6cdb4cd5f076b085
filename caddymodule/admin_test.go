package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// adminWorld is a live app with the admin API before it, on a socket that only
// its owner can open. Everything but Caddy's own admin server is real.
type adminWorld struct {
	t       *testing.T
	app     *App
	handler http.Handler
	socket  *http.Client
	logged  *observer.ObservedLogs
}

// newAdminWorld starts an app with a sandbox in which the configuration declares
// account 1, a service account that owns it and a client.
func newAdminWorld(t *testing.T, change ...func(*App)) *adminWorld {
	t.Helper()
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(testPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.DebugLevel)
	all := []string{"read:accounts", "read:eft", "write:eft", "read:market", "trade:orders"}
	app := &App{
		Store:             &Store{Path: filepath.Join(dir, "bearer.db")},
		RootKeyFile:       filepath.Join(dir, "root.key"),
		OperatorTokenFile: filepath.Join(dir, "operator.token"),

		RevocationJournalFile: filepath.Join(dir, "revocations.journal"),

		Policies: map[string]string{"test": filepath.Join(dir, "policy.yaml")},
		Environments: map[store.Environment]*Environment{store.Sandbox: {
			Issuer: "https://auth.test", Audience: "https://api.test",
			Accounts:        []*Account{{ID: "1"}},
			ServiceAccounts: []*ServiceAccount{{ID: serviceID, SecretHash: serviceHash(), Scopes: all, Accounts: []string{"1"}}},
			Clients:         []*Client{{ID: clientID, SecretHash: clientHash(), Scopes: all}},
		}},
		log: zap.New(core),
	}
	for _, f := range change {
		f(app)
	}
	app.fillDefaults()
	must(t, app.readPolicies())
	must(t, app.provisionEnvironments())
	runtime, err := borrowRuntime(app.Store)
	must(t, err)
	app.runtime = runtime
	t.Cleanup(func() { must(t, app.Cleanup()) })
	must(t, app.Start())
	t.Cleanup(func() { must(t, app.Stop()) })
	w := &adminWorld{t: t, app: app, logged: logged, handler: adminHandler(new(AdminAPI))}
	w.socket = w.listenUnix(filepath.Join(dir, "admin.sock"), 0o600)
	return w
}

// shortDir is a folder for sockets, whose paths are limited to 108 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bearer")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// adminHandler does with routes what Caddy's admin server does.
func adminHandler(router caddy.AdminRouter) http.Handler {
	mux := http.NewServeMux()
	for _, route := range router.Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			refusal, ok := errors.AsType[caddy.APIError](err)
			if !ok {
				refusal = caddy.APIError{HTTPStatus: 500, Message: err.Error()}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(refusal.HTTPStatus)
			_ = json.NewEncoder(w).Encode(refusal)
		})
	}
	return mux
}

// serve runs the admin API on a listener whose configured address is addr.
func (w *adminWorld) serve(listener net.Listener, addr string) {
	server := &http.Server{Handler: w.handler, Addr: addr, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	w.t.Cleanup(func() { server.Close() })
}

func (w *adminWorld) listenUnix(path string, mode os.FileMode) *http.Client {
	w.t.Helper()
	listener, err := net.Listen("unix", path)
	must(w.t, err)
	must(w.t, os.Chmod(path, mode))
	w.serve(listener, "unix/"+path)
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
}

func (w *adminWorld) listenTCP(host string) (base string) {
	w.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must(w.t, err)
	port := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	w.serve(listener, net.JoinHostPort(host, port))
	return "http://127.0.0.1:" + port
}

// operatorToken returns the token of a role.
func (w *adminWorld) operatorToken(r role) string {
	w.t.Helper()
	tokens, err := readOperatorFile(w.app.OperatorTokenFile)
	must(w.t, err)
	return tokens[slices.IndexFunc(tokens, func(o operatorToken) bool { return o.role == r })].token
}

// adminAnswer is what the admin API said.
type adminAnswer struct {
	status int
	header http.Header
	body   string
}

func (a adminAnswer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (a adminAnswer) record(t *testing.T) record {
	t.Helper()
	var r record
	a.decode(t, &r)
	return r
}

func do(t *testing.T, client *http.Client, request *http.Request) adminAnswer {
	t.Helper()
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s may be cached", request.Method, request.URL.Path)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s answers %q", request.Method, request.URL.Path, got)
	}
	return adminAnswer{response.StatusCode, response.Header, string(body)}
}

// try performs an operation in the sandbox over the owner's socket.
func (w *adminWorld) try(method, path, body string) adminAnswer {
	w.t.Helper()
	request := newAdminRequest(w.t, method, "http://localhost/bearer/environments/sandbox"+path, body)
	return do(w.t, w.socket, request)
}

// ok is try for what must succeed.
func (w *adminWorld) ok(method, path, body string) adminAnswer {
	w.t.Helper()
	answer := w.try(method, path, body)
	if answer.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.status, answer.body)
	}
	return answer
}

func newAdminRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func (w *adminWorld) authority() *token.Authority {
	return w.app.runtime.worlds[store.Sandbox].authority
}

// issued is a grant with the tokens that came from it.
type issued struct {
	grant   string
	access  string
	refresh string
	lease   *token.Lease // of access
}

// issue makes a grant as the issuer would.
func (w *adminWorld) issue(client, principal string, accounts ...string) issued {
	w.t.Helper()
	return w.issueScopes([]string{"read:eft", "read:market"}, client, principal, accounts...)
}

func (w *adminWorld) issueScopes(scopes []string, client, principal string, accounts ...string) issued {
	w.t.Helper()
	a := w.authority()
	now := time.Now()
	refresh, hash := a.Keyring().NewOpaque(store.Refresh)
	standing, err := w.app.runtime.store.Issue(w.t.Context(), store.Issue{
		Grant: store.Grant{
			Environment: store.Sandbox, ID: token.NewID(), Principal: principal, Client: client,
			Scopes: scopes, Accounts: accounts, Created: now, Expires: now.Add(time.Hour),
		},
		Tokens: []store.Token{{
			Environment: store.Sandbox, ID: token.NewID(), Hash: hash, Class: store.Refresh,
			KeyID: a.Keyring().KeyID(), Nonce: token.NewNonce(), Created: now, Expires: now.Add(time.Hour),
		}},
		Event: store.Event{Actor: "client:" + client},
	})
	must(w.t, err)
	minted, err := a.Mint(&standing, time.Time{})
	must(w.t, err)
	lease, err := a.Check(minted.Raw)
	must(w.t, err)
	made := issued{standing.Grant.ID, minted.Raw, refresh, lease}
	if verdict := w.verdict(made); verdict != token.Live {
		w.t.Fatalf("a new token is %s", verdict)
	}
	return made
}

func (w *adminWorld) verdict(i issued) token.Verdict {
	return w.authority().Judge(i.lease, time.Now())
}
