package issuer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// hookRoots knows the certificate that all receivers of httptest have.
var hookRoots = sync.OnceValue(func() *x509.CertPool {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
})

// told is a user with an address for notifications, which nobody listens at.
func (b *bank) told(user string) *browser {
	b.Helper()
	v := b.sessionOf(user)
	b.do(v.form(pathNotifications, "url", "https://127.0.0.1:1/in", "kind.issued", "on")).success(b)
	return v
}

var (
	webhookSecret = regexp.MustCompile(`<code class="secret" id="secret"[^>]*>(whsec_[^<]+)</code>`)
	checkedKinds  = regexp.MustCompile(`name="kind\.([a-z]+)" value="on" checked`)
)

func (b *bank) webhookOf(user string) (h store.Webhook, found bool) {
	b.Helper()
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		h, err = tx.Webhook(b.env, user)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		b.Fatal(err)
	}
	return h, err == nil
}

func TestNotificationsPage(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	page := b.do(alice.get(pathNotifications)).wantSays(t, 200, `aria-current="page">Notifications`, "Tell me when")
	if n := len(checkedKinds.FindAllString(page.body, -1)); n != 3 || strings.Contains(page.body, "/test") || strings.Contains(page.body, "/remove") {
		t.Errorf("%d kinds are ticked:\n%s", n, page.body)
	}

	page = b.do(alice.form(pathNotifications, "url", "  https://hooks.test/in?key=hidden ", "kind.issued", "on", "kind.revoked", "on")).wantSays(t, 201, "never shown again")
	secret := webhookSecret.FindStringSubmatch(page.body)
	h, found := b.webhookOf("alice")
	if secret == nil || !found || h.URL != "https://hooks.test/in?key=hidden" || fmt.Sprint(h.Kinds) != "[issued revoked]" || h.Off != "" {
		t.Fatalf("%v %+v\n%s", secret, h, page.body)
	}
	event := b.lastEvent("webhook.set")
	if event.Actor != "user:alice" || event.Target != "webhook:alice" || event.Reason != "host hooks.test" {
		t.Errorf("the audit trail has %+v", event)
	}
	if h.After == 0 || h.After >= event.Sequence {
		t.Errorf("news from %d on; it was set at %d", h.After, event.Sequence)
	}

	page = b.do(alice.get(pathNotifications)).wantSays(t, 200, "https://hooks.test/in?key=hidden", "Nothing was sent yet")
	if strings.Contains(page.body, "whsec_") || strings.Contains(page.body, string(h.Sealed)) {
		t.Error("the secret is shown again")
	}
	if page := b.do(bob.get(pathNotifications)); strings.Contains(page.body, "hooks.test") {
		t.Error("somebody else sees it")
	}

	// Another address or other kinds leave the secret as it is.
	b.do(alice.form(pathNotifications, "url", "https://hooks.test/other", "kind.expiring", "on")).wantRedirect(t, pathNotifications)
	other, _ := b.webhookOf("alice")
	if string(other.Sealed) != string(h.Sealed) || other.URL != "https://hooks.test/other" || fmt.Sprint(other.Kinds) != "[expiring]" || other.After != h.After {
		t.Errorf("%+v", other)
	}
	page = b.do(alice.form(pathNotifications+"/secret")).wantSays(t, 200, "never shown again")
	next := webhookSecret.FindStringSubmatch(page.body)
	rotated, _ := b.webhookOf("alice")
	if next == nil || next[1] == secret[1] || string(rotated.Sealed) == string(h.Sealed) {
		t.Errorf("%v", next)
	}
	b.lastEvent("webhook.rotate_secret")

	b.do(alice.form(pathNotifications+"/remove")).wantRedirect(t, pathNotifications)
	if _, found := b.webhookOf("alice"); found {
		t.Error("it is there still")
	}
	if event := b.lastEvent("webhook.remove"); event.Target != "webhook:alice" {
		t.Errorf("the audit trail has %+v", event)
	}
	for _, path := range []string{"/secret", "/test", "/remove"} {
		b.do(alice.form(pathNotifications+path)).wantSays(t, 404, "you have set no address")
		b.do(alice.get(pathNotifications+path)).wantRedirect(t, pathNotifications)
	}
}

func TestNotificationsFormProblems(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for _, c := range []struct{ url, kind, says string }{
		{"http://hooks.test/in", "issued", "Give an address like"},
		{"https://", "issued", "Give an address like"},
		{"javascript:alert(1)", "issued", "Give an address like"},
		{"https://user:password@hooks.test/", "issued", "Leave name and password out"},
		{"https://10.0.0.1/", "issued", "inside a private network"},
		{"https://[::ffff:169.254.169.254]/latest/meta-data", "issued", "inside a private network"},
		{"https://hooks.test/" + strings.Repeat("x", 2048), "issued", "The address is too long"},
		{"https://hooks.test/", "nothing", "Tick what you want"},
	} {
		page := b.do(alice.form(pathNotifications, "url", c.url, "kind."+c.kind, "on")).wantSays(t, 422, c.says)
		if _, found := b.webhookOf("alice"); found {
			t.Fatalf("%.60s was taken", c.url)
		}
		if c.kind == "issued" && fmt.Sprint(checkedKinds.FindAllStringSubmatch(page.body, -1)) != `[[name="kind.issued" value="on" checked issued]]` {
			t.Errorf("what was ticked is lost: %v", checkedKinds.FindAllString(page.body, -1))
		}
	}
	b.do(alice.form(pathNotifications, "url", "https://hooks.test/")).wantSays(t, 422, "Tick what you want")
}

// Attacks of other sites and of other people.
func TestNotificationsCSRF(t *testing.T) {
	b := userBank(t)
	alice, bob := b.told("alice"), b.sessionOf("bob")
	before, _ := b.webhookOf("alice")
	for _, path := range []string{"", "/secret", "/test", "/remove"} {
		form := alice.form(pathNotifications+path, "url", "https://evil.test/", "kind.issued", "on")
		b.do(form.with("Sec-Fetch-Site", "cross-site")).wantSays(t, 403, "another site")
		forged := formCall(pathNotifications+path, "", "csrf", bob.csrf, "url", "https://evil.test/", "kind.issued", "on").
			with("Cookie", alice.cookie).with("Sec-Fetch-Site", "same-origin")
		if got := b.do(forged); got.status < 400 {
			t.Errorf("%s with another session's value: %d", path, got.status)
		}
		b.do(formCall(pathNotifications+path, "", "url", "https://evil.test/").with("Sec-Fetch-Site", "same-origin")).wantRedirect(t, signInFirst(pathNotifications+path))
	}
	if after, found := b.webhookOf("alice"); !found || after.URL != before.URL || string(after.Sealed) != string(before.Sealed) {
		t.Errorf("%+v", after)
	}
}

func TestTestMessageByThePage(t *testing.T) {
	b := userBank(t)
	status := 200
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, "what the receiver says")
	}))
	defer receiver.Close()
	alice := b.sessionOf("alice")
	b.do(alice.form(pathNotifications, "url", receiver.URL, "kind.issued", "on")).success(t)
	for code, says := range map[int]string{200: "The test message was delivered", 500: "not delivered: the receiver answered with 500", 302: "sends us elsewhere (302)"} {
		status = code
		b.do(alice.form(pathNotifications+"/test")).wantRedirect(t, pathNotifications)
		page := b.do(alice.get(pathNotifications)).wantSays(t, 200, says, "Test message")
		if strings.Contains(page.body, "what the receiver says") {
			t.Error("the page shows what the receiver answered")
		}
	}
	b.clock.advance(2 * testShown)
	if page := b.do(alice.get(pathNotifications)); strings.Contains(page.body, `role="alert"`) || strings.Contains(page.body, "The test message") {
		t.Error("a test from before is told first")
	}
	receiver.Close()
	b.do(alice.form(pathNotifications+"/test")).wantRedirect(t, pathNotifications)
	b.do(alice.get(pathNotifications)).wantSays(t, 200, "not delivered: no connection")
	for range 6 {
		b.do(alice.form(pathNotifications + "/test"))
	}
	b.do(alice.form(pathNotifications+"/test")).wantSays(t, 429, "try again in an hour")
}

// What the page says of a webhook that doesn't work, and that saving switches it on.
func TestNotificationsThatDoNotWork(t *testing.T) {
	b := userBank(t)
	alice := b.told("alice")
	set := func(change func(*store.Webhook), deliveries ...store.Delivery) {
		b.update(func(tx store.Writer) error {
			h, err := tx.Webhook(b.env, "alice")
			change(&h)
			err = errors.Join(err, tx.PutWebhook(h))
			for _, d := range deliveries {
				err = errors.Join(err, tx.PutDelivery(d))
			}
			return err
		})
	}
	at := b.clock.Now()
	outcomes := []notify.Outcome{
		"", notify.Delivered, notify.Status, notify.Redirected, notify.Timeout, notify.Unknown, notify.Forbidden, notify.Unreachable,
		notify.Untrusted, notify.Old, notify.SwitchedOff, "restored",
	}
	types := []string{notify.TypeIssued, notify.TypeRevoked, notify.TypeExpiring, notify.TypeTest, notify.TypeLimited}
	for k, outcome := range outcomes {
		d := store.Delivery{
			Environment: b.env, ID: fmt.Sprint(k), Principal: "alice", Type: types[k%len(types)], Created: at, Last: at.Add(-time.Hour),
			Outcome: string(outcome), Attempts: min(k, 1), Status: 418,
		}
		set(func(h *store.Webhook) { h.Failures, h.Failing, h.LeftOut = 3, at, 7 }, d)
	}
	page := b.do(alice.get(pathNotifications)).wantSays(t, 200, "The last 3 attempts failed", "7 messages more", "answered with 418", "will be tried again", "given up after a day")
	if rows := strings.Count(page.body, `<td data-label="Result">`); rows != len(outcomes) {
		t.Errorf("%d deliveries", rows)
	}
	for _, off := range []store.WebhookOff{store.WebhookFailing, store.WebhookGone, store.WebhookRestored} {
		set(func(h *store.Webhook) { h.Off = off })
		b.do(alice.get(pathNotifications)).wantSays(t, 200, "Switched off:", "Save and switch on")
	}
	b.do(alice.form(pathNotifications, "url", "https://127.0.0.1:1/in", "kind.issued", "on")).wantRedirect(t, pathNotifications)
	if h, _ := b.webhookOf("alice"); h.Off != "" || h.Failures != 0 || !h.Failing.IsZero() || h.After < b.lastEvent("webhook.set").Sequence-1 {
		t.Errorf("%+v", h)
	}
}
