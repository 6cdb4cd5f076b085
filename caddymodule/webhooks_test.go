package caddymodule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// hookServer receives notifications on loopback, with a certificate of its own
// authority.
type hookServer struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	got    []hookMessage
}

type hookMessage struct {
	notify.Message
	header http.Header
	body   string
}

func newHookServer(t testing.TB) *hookServer {
	h := &hookServer{status: 200}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := hookMessage{header: r.Header, body: string(body)}
		_ = json.Unmarshal(body, &m.Message)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, m)
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

// authority writes the receiver's authority to a file.
func (h *hookServer) authority(t testing.TB, path string) string {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *hookServer) answers(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// take returns what came since it was asked last.
func (h *hookServer) take() []hookMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	return got
}

// verify fails unless the message is signed with the secret.
func (m *hookMessage) verify(t *testing.T, secret string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	must(t, err)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", m.header.Get("webhook-id"), m.header.Get("webhook-timestamp"), m.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); m.header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", m.header.Get("webhook-signature"), want)
	}
}

var hookSecret = regexp.MustCompile(`whsec_[^<]+`)

// told is the message that comes about something, and the only one.
func (s *server) told(h *hookServer, what string) hookMessage {
	s.t.Helper()
	var got []hookMessage
	s.eventually("the message: "+what, func() bool {
		got = append(got, h.take()...)
		return len(got) > 0
	})
	if len(got) != 1 {
		s.t.Fatalf("%s: %d messages: %+v", what, len(got), got)
	}
	return got[0]
}

// Alice asks to be told. What happens then, by command, by another developer, around
// a reload and around kill -9, she is told of.
func TestWebhooksOfARealServer(t *testing.T) {
	s, h := newServer(t), newHookServer(t)
	s.config = s.caddyfile(siteOptions{environment: "trading_tokens read:market\naccount T1 {\n kind trading\n}\nwebhooks {\n allow 127.0.0.1\n ca " +
		h.authority(t, s.path("ca.pem")) + "\n}\n"})
	s.start()
	for _, user := range []string{"alice", "bob"} {
		s.ok("", "bearer", "user", "add", user, "--scopes", "read:market")
		s.ok("", "bearer", "bind", user, "T1")
	}
	bob := s.signedIn("bob", store.Sandbox)[store.Sandbox]
	alice := s.signedIn("alice", store.Sandbox)[store.Sandbox]
	status, page := s.page(s.issuer, alice, "/settings/notifications", "url", h.URL+"/in", "kind.issued", "on", "kind.revoked", "on")
	secret := html.UnescapeString(hookSecret.FindString(page))
	if status != 201 || secret == "" {
		t.Fatalf("set: %d %s", status, page)
	}

	issue := func(label string) {
		t.Helper()
		s.ok("", "bearer", "token", "issue", "--principal", "alice", "--label", label, "--scopes", "read:market")
	}
	issue("recorder")
	m := s.told(h, "a token was issued by command")
	m.verify(t, secret)
	if m.Type != notify.TypeIssued || m.Data.Name != "recorder" || m.Data.User != "alice" || m.Data.By.Kind != "operator" {
		t.Errorf("%s", m.body)
	}

	// Another developer revokes what they share.
	id, raw := s.newTrading(s.issuer, bob, "T1")
	if m = s.told(h, "a trading token was made"); m.Data.Token != id || m.Data.By.ID != "bob" {
		t.Errorf("%s", m.body)
	}
	if status, body := s.page(s.issuer, bob, "/trading/tokens/revoke", "token", id, "confirmed", "yes"); status != 303 {
		t.Fatalf("revoke: %d %s", status, body)
	}
	m = s.told(h, "another developer revoked it")
	m.verify(t, secret)
	if m.Type != notify.TypeRevoked || m.Data.Token != id || *m.Data.By != (notify.Actor{Kind: "user", ID: "bob"}) {
		t.Errorf("%s", m.body)
	}
	if strings.Contains(m.body, raw) {
		t.Error("the message holds the token")
	}

	if complaint := s.reload(s.config); complaint != "" {
		t.Fatal(complaint)
	}
	issue("after a reload")
	m = s.told(h, "after a reload")
	m.verify(t, secret)

	// The root key is rotated; the secret follows it.
	s.ok("", "bearer", "key", "rotate-root")
	issue("after a rotation")
	m = s.told(h, "after a rotation of the root key")
	m.verify(t, secret)

	// The receiver is down, and the process is killed before it is back.
	h.answers(503)
	issue("killed")
	s.told(h, "an attempt that fails")
	before := s.output.String()
	s.signal(syscall.SIGKILL)
	s.await("the process ends", s.exited)
	h.take()
	h.answers(200)
	s.start()
	m = s.told(h, "after kill -9")
	m.verify(t, secret)
	if m.Data.Name != "killed" {
		t.Errorf("%s", m.body)
	}
	if status, page = s.page(s.issuer, alice, "/settings/notifications"); status != 200 || strings.Count(page, `<td data-label="Result">`) != 6 {
		t.Errorf("%d %s", status, page)
	}
	for _, secret := range []string{secret, strings.TrimPrefix(secret, "whsec_"), h.URL + "/in"} {
		if strings.Contains(before+s.output.String(), secret) {
			t.Errorf("%s stands in a log", secret)
		}
	}
}

// A configuration without the block lets nothing lead inside, whatever a user types
// and wherever a name leads.
func TestWebhooksLeadNowhereInside(t *testing.T) {
	s, h := newServer(t), newHookServer(t)
	s.start()
	s.ok("", "bearer", "user", "add", "alice", "--scopes", "read:market")
	alice := s.browser()
	s.ok("a long enough password\n", "bearer", "user", "password", "alice")
	if status := s.signIn(alice, "alice", "a long enough password"); status != 303 {
		t.Fatalf("sign in: %d", status)
	}
	post := func(path, url string) string {
		t.Helper()
		body := func(r *http.Response, err error) string {
			must(t, err)
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			must(t, err)
			return string(text)
		}
		page := body(alice.Do(s.request("GET", s.issuer+"/settings/notifications", nil)))
		request := s.request("POST", s.issuer+"/settings/notifications"+path, strings.NewReader("kind.issued=on&csrf="+firstMatch(formField, page)+"&url="+url))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
		return body(alice.Do(request))
	}
	if page := post("", h.URL); !strings.Contains(page, "inside a private network") {
		t.Errorf("%s", page)
	}
	_, number, _ := strings.Cut(strings.TrimPrefix(h.URL, "https://"), ":")
	if page := post("", "https://localhost:"+number+"/"); !strings.Contains(page, "whsec_") {
		t.Errorf("a name: %s", page)
	}
	post("/test", "")
	if page := post("", "nonsense"); !strings.Contains(page, "not delivered: the host is inside a private network") {
		t.Errorf("%s", page)
	}
	if got := h.take(); len(got) != 0 {
		t.Errorf("it was reached: %+v", got)
	}
}

func TestWebhooksBlockThatIsRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	must(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	for name, test := range map[string]struct {
		block Webhooks
		says  string
	}{
		"a network":          {Webhooks{Allow: []string{"10.0.0.0/8"}}, ""},
		"no network":         {Webhooks{Allow: []string{"private"}}, `network "private"`},
		"one that is twice":  {Webhooks{Allow: []string{"10.0.0.1", "10.0.0.1/32"}}, "stands twice"},
		"no such file":       {Webhooks{CAFile: "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
		"no certificate":     {Webhooks{CAFile: empty}, "holds no certificate"},
		"bits behind length": {Webhooks{Allow: []string{"10.0.0.1/8"}}, "did you mean 10.0.0.0/8"},
	} {
		err := (&Environment{Webhooks: &test.block}).provisionWebhooks()
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testMessage is how a test message to a receiver on loopback goes with the block
// webhooks of an environment. AUTHORITY stands for the file with the receiver's.
func testMessage(t *testing.T, lines string) (outcome string) {
	t.Run(strings.ReplaceAll(lines, "\n", " "), func(t *testing.T) {
		h := newHookServer(t)
		lines := strings.ReplaceAll(lines, "AUTHORITY", h.authority(t, filepath.Join(t.TempDir(), "ca.pem")))
		w := newAdminWorld(t, func(app *App) {
			d := caddyfile.NewTestDispenser("sandbox {\n" + lines + "\n}")
			d.Next()
			must(t, readBlock(d, "sandbox", app.Environments[store.Sandbox].options()))
		})
		w.ok("POST", "/users", `{"id":"alice"}`)
		rt := w.app.runtime
		hook := store.Webhook{Environment: store.Sandbox, Principal: "alice", URL: h.URL}
		rt.worlds[store.Sandbox].authority.Keyring().NewWebhookSecret(&hook)
		must(t, rt.store.Update(t.Context(), func(tx store.Writer) error { return tx.PutWebhook(hook) }))
		sent, err := rt.notifier.Try(t.Context(), store.Sandbox, "alice")
		must(t, err)
		outcome = sent.Outcome
	})
	return outcome
}

var webhookProofs = []proof{
	{
		keys: []string{
			"json bearer.environments.*.webhooks", "json bearer.environments.*.webhooks.allow",
			"Caddyfile bearer environment webhooks", "Caddyfile bearer environment webhooks allow",
		},
		outcome: "outcome of a test message to a receiver on loopback",
		apart: func(t *testing.T) (string, string) {
			return testMessage(t, ""), testMessage(t, "webhooks {\nallow 127.0.0.0/8\n}")
		},
		first: "forbidden", second: "untrusted",
	},
	{
		keys:    []string{"json bearer.environments.*.webhooks.ca_file", "Caddyfile bearer environment webhooks ca"},
		outcome: "outcome of a test message to a receiver with a certificate of a private authority",
		apart: func(t *testing.T) (string, string) {
			return testMessage(t, "webhooks {\nallow 127.0.0.0/8\n}"), testMessage(t, "webhooks {\nallow 127.0.0.0/8\nca AUTHORITY\n}")
		},
		first: "untrusted", second: "delivered",
	},
}
