package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite/sqlitetest"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const env = store.Sandbox

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// town is a real database with people, whose clock passes when it is told to.
type town struct {
	testing.TB
	*Notifier
	store    *sqlite.Store
	path     string
	keyring  *token.Keyring
	receiver *receiverServer

	mu  sync.Mutex
	now time.Time
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{TB: t, path: sqlitetest.Path(t), now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	root, err := token.CreateRootKey(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w.keyring = token.NewKeyring(root, env)
	w.receiver = newReceiver(t)
	w.open()
	t.Cleanup(w.close)
	w.update(func(tx store.Writer) error {
		errs := []error{
			tx.PutClient(store.Client{Environment: env, ID: store.PersonalClient, Status: store.Active, Source: store.BuiltIn}),
			tx.PutClient(store.Client{Environment: env, ID: store.TradingClient, Status: store.Active, Source: store.BuiltIn}),
			tx.PutClient(store.Client{Environment: env, ID: "app", Name: "The app", Status: store.Active, Source: store.FromCommand}),
			tx.PutAccount(store.Account{Environment: env, ID: "T1", Kind: store.Trading, Status: store.Active, Source: store.FromCommand}),
			tx.PutPrincipal(store.Principal{Environment: env, ID: "T1", Kind: store.AccountPrincipal, Status: store.Active, Source: store.BuiltIn}),
		}
		for _, user := range []string{"alice", "bob", "carol"} {
			access := store.Full
			if user == "carol" {
				access = store.Partial
			}
			errs = append(errs,
				tx.PutPrincipal(store.Principal{Environment: env, ID: user, Kind: store.User, Status: store.Active, Source: store.FromCommand}),
				tx.PutBinding(store.Binding{Environment: env, Principal: user, Account: "T1", Access: access, Source: store.FromCommand}))
		}
		return errors.Join(errs...)
	})
	return w
}

// open opens the database with a notifier that knows nothing yet.
func (w *town) open() {
	w.Helper()
	st, err := sqlite.Open(w.Context(), sqlite.Options{Path: w.path, Committed: func([]store.Revocation) {}})
	if err != nil {
		w.Fatal(err)
	}
	w.store = st
	w.Notifier = New(st, w.clock, zap.NewNop)
	w.jitter = func(d time.Duration) time.Duration { return d }
	w.configure(Rules{Allow: []netip.Prefix{loopback}}, nil)
}

func (w *town) configure(rules Rules, lookup func(context.Context, string) ([]netip.Addr, error)) {
	w.Configure(env, &Settings{Rules: rules, Roots: w.receiver.roots, Secret: w.keyring.WebhookSecret, Lookup: lookup})
}

func (w *town) close() {
	w.flights.Wait()
	if err := w.store.Close(); err != nil {
		w.Error(err)
	}
}

func (w *town) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass and makes a round with all that it begins.
func (w *town) pass(d time.Duration) {
	w.Helper()
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.round()
}

func (w *town) round() {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	if err := w.write(ctx); err != nil {
		w.Fatal(err)
	}
	if err := w.deliver(ctx); err != nil {
		w.Fatal(err)
	}
	w.flights.Wait()
}

func (w *town) update(change func(store.Writer) error) {
	w.Helper()
	if err := w.store.Update(w.Context(), change); err != nil {
		w.Fatal(err)
	}
}

// hook gives a user a webhook and returns its secret.
func (w *town) hook(user string, kinds ...Kind) (secret string) {
	return w.hookAt(user, w.receiver.server.URL+"/"+user, kinds...)
}

func (w *town) hookAt(user, url string, kinds ...Kind) (secret string) {
	w.Helper()
	if kinds == nil {
		kinds = Kinds
	}
	h := store.Webhook{Environment: env, Principal: user, URL: url, Created: w.clock()}
	for _, kind := range kinds {
		h.Kinds = append(h.Kinds, string(kind))
	}
	secret = w.keyring.NewWebhookSecret(&h)
	w.update(func(tx store.Writer) error {
		rows, err := tx.Audit(env, store.AuditFilter{Limit: 1})
		if len(rows) > 0 {
			h.After = rows[0].Sequence
		}
		return errors.Join(err, tx.PutWebhook(h))
	})
	return secret
}

func (w *town) webhook(user string) (h store.Webhook) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx store.Reader) (err error) {
		h, err = tx.Webhook(env, user)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return h
}

// deliveries are those of a user, newest first.
func (w *town) deliveries(user string) (all []store.Delivery) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx store.Reader) (err error) {
		all, err = tx.Deliveries(env, user, 1000)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// issue makes a personal token of a user.
func (w *town) issue(user, label string, life time.Duration) (id string) {
	w.Helper()
	return w.issueFor(user, store.PersonalClient, store.Token{Class: store.Personal, Label: label}, life,
		store.Event{Actor: "operator:admin", Action: "personal_token.issue"})
}

// share makes a trading token of T1.
func (w *town) share(by string, life time.Duration) (id string) {
	w.Helper()
	return w.issueFor("T1", store.TradingClient, store.Token{Class: store.SharedRefresh, Creator: by}, life,
		store.Event{Actor: "user:" + by, Action: "token.create"})
}

func (w *town) issueFor(principal, client string, t store.Token, life time.Duration, e store.Event) (id string) {
	w.Helper()
	raw, hash := w.keyring.NewOpaque(t.Class)
	t.Environment, t.ID, t.Hash, t.KeyID, t.Created = env, token.NewID(), hash, token.KeyIDOf(raw), w.clock()
	if life > 0 {
		t.Expires = t.Created.Add(life)
	}
	e.Target = "token:" + t.ID
	_, err := w.store.Issue(w.Context(), store.Issue{
		Grant: store.Grant{
			Environment: env, ID: "g" + t.ID, Principal: principal, Client: client, Scopes: []string{"trade:orders"},
			Accounts: []string{"T1"}, Created: t.Created, Expires: t.Expires,
		},
		Tokens: []store.Token{t}, Event: e,
	})
	if err != nil {
		w.Fatal(err)
	}
	return t.ID
}

// revoke ends something, as somebody, and leaves a row of an action.
func (w *town) revoke(kind store.Kind, target string, e store.Event) {
	w.Helper()
	e.Environment = env
	_, err := w.store.Revoke(w.Context(), store.Revocation{
		Environment: env, Kind: kind, Target: target, At: w.clock(), Expires: w.clock().Add(time.Hour), Reason: e.Reason,
	}, e)
	if err != nil {
		w.Fatal(err)
	}
}

// receiverServer takes messages, with a certificate of its own authority.
type receiverServer struct {
	server *httptest.Server
	roots  *x509.CertPool

	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
	got    []received
}

// received is a request as it came.
type received struct {
	path   string
	header http.Header
	body   string
	Message
}

func newReceiver(t testing.TB) *receiverServer {
	r := &receiverServer{roots: x509.NewCertPool()}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		one := received{path: request.URL.Path, header: request.Header, body: string(body)}
		_ = json.Unmarshal(body, &one.Message)
		r.mu.Lock()
		r.got = append(r.got, one)
		answer := r.answer
		r.mu.Unlock()
		if answer != nil {
			answer(w, request)
		}
	}))
	t.Cleanup(r.server.Close)
	r.roots.AddCert(r.server.Certificate())
	return r
}

// answers has the receiver answer with a status from now on.
func (r *receiverServer) answers(status int) {
	r.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func (r *receiverServer) does(answer func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// take returns what came since it was asked last.
func (r *receiverServer) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}
