package browser

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// hookReceiver takes notifications on loopback, and has its authority in a file.
func hookReceiver(t *testing.T) (receiver *httptest.Server, status *atomic.Int32, authority string) {
	t.Helper()
	status = new(atomic.Int32)
	receiver = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(receiver.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return receiver, status, authority
}

// The page on which people say where they are told what happens to their tokens.
func TestPageNotifications(t *testing.T) {
	receiver, status, authority := hookReceiver(t)
	s := start(t, "webhooks {\n allow 127.0.0.1\n ca "+authority+"\n}\n")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			status.Store(200)
			b := open(t, l)
			b.visit(s.issuer + "/login?next=/settings/notifications") // through the sign-in page
			if code := b.signIn(aliceID, alicePassword); code != 200 || b.url() != s.issuer+"/settings/notifications" {
				t.Fatalf("status %d at %s", code, b.url())
			}
			b.wantText("h1", "Notifications")
			b.wantText(".tabs [aria-current]", "Notifications")
			b.check("notifications-new", l)
			b.fill("#url", "https://10.0.0.1/in")
			if code := b.submit("main form.stack button"); code != 422 {
				t.Errorf("an address inside: status %d", code)
			}
			b.wantText("#url-problem", "inside a private network")
			b.check("notifications-wrong", l)
			b.fill("#url", receiver.URL+"/in")
			if code := b.submit("main form.stack button"); code != 201 {
				t.Errorf("set: status %d", code)
			}
			b.wantText("#secret", "whsec_")
			b.check("notifications-secret", l)

			test := "button[form=test]"
			if code := b.submit(test); code != 200 || b.url() != s.issuer+"/settings/notifications" {
				t.Errorf("a test message: status %d at %s", code, b.url())
			}
			b.wantText("main .notice", "was delivered")
			b.wantText("table", "Test message")
			b.check("notifications-test", l)
			status.Store(500)
			b.submit(test)
			b.wantText("main .notice", "the receiver answered with 500")
			s.command("", "token", "issue", "--principal", aliceID, "--label", "bot", "--scopes", "read:market")
			for eval[int](b, `document.querySelectorAll(".status.warn").length`) == 0 {
				b.visit(s.issuer + "/settings/notifications") // until the first attempt was made
			}
			b.wantText("table", "A token was made")
			ask(b, chromedp.Click(chromedp.CSS("main summary")))
			b.check("notifications-failing", l)

			if code := b.submit("form[action$='/remove'] button"); code != 200 {
				t.Errorf("remove: status %d", code)
			}
			if value := eval[string](b, `document.querySelector("#url").value`); value != "" {
				t.Errorf("%s is there still", value)
			}
		})
	}
}
