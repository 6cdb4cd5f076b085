package caddymodule

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var disconnectLink = regexp.MustCompile(`href="(/settings/apps/[^"]+/disconnect)"`)

// disconnect finds the one app that is connected, reads what would stop, and ends it.
func (b *browser) disconnect(says ...string) {
	b.t.Helper()
	links := disconnectLink.FindAllStringSubmatch(b.page("/settings/apps", 200), -1)
	if len(links) != 1 {
		b.t.Fatalf("%d apps are connected", len(links))
	}
	asks := b.page(links[0][1], 200)
	for _, text := range says {
		if !strings.Contains(asks, text) {
			b.t.Errorf("the page does not say %q:\n%s", text, asks)
		}
	}
	b.fill(links[0][1], links[0][1], 303)
	if left := b.page("/settings/apps", 200); disconnectLink.MatchString(left) {
		b.t.Errorf("it is still listed:\n%s", left)
	}
}

// What an app of the access code exchange may do is ended on the portal: when the
// page answers, the token is dead and its streams are cut.
func TestS5_5_DelinkOnThePortalCutsStreams(t *testing.T) {
	s := newServer(t).start()
	alice := s.browserOf("alice", "read:accounts read:market", "1", "2")
	app := s.app("budget", "--name", "Budget & Co", "--scopes", "read:accounts read:market")
	_, token := alice.access(app)
	stream := s.openWebSocket(token)
	stream.alive(t)
	if page := alice.page("/settings/apps", 200); !strings.Contains(page, "Budget &amp; Co") || !strings.Contains(page, ">1 live stream<") {
		t.Errorf("the page of connected apps:\n%s", page)
	}
	alice.disconnect("<strong>1 live stream</strong> that is open now is cut")
	s.wantCut(stream)
	if _, code := s.refused(s.call("GET", "/api/v1/accounts", token), 401); code != "invalid_token" {
		t.Errorf("a disconnected token: %s", code)
	}
	s.restart()
	s.refused(s.call("GET", "/api/v1/accounts", token), 401)
	alice = &browser{s, alice.client}
	if page := alice.page("/settings/activity?kind=apps", 200); !strings.Contains(page, "You</bdi> disconnected the app <strong><bdi>Budget &amp; Co</bdi></strong>") {
		t.Errorf("the activity:\n%s", page)
	}
	s.noSecrets(token)
}

// The same for an OAuth client: its access token, its refresh token, its event
// stream.
func TestS1_9_DisconnectAnOAuthAppCutsStreams(t *testing.T) {
	s := startWithApps(t)
	alice := s.browserOf("alice", "read:accounts read:market", "1")
	w := &surfer{s, alice.client}
	_, back := w.consent(deskID, deskURI, "read:accounts read:market", "account:1", "on")
	got := s.redeemCode(deskID, "", deskURI, back.Get("code"))
	socket, events := s.openWebSocket(got.Access), s.openEvents("event stream", http.DefaultClient, s.api, got.Access)
	socket.alive(t)
	events.alive(t)
	alice.disconnect("<strong>2 live streams</strong> that are open now are cut")
	s.wantCut(socket)
	if took, err := events.end(); took > time.Second {
		t.Errorf("the event stream ended after %s: %v", took, err)
	}
	s.refused(s.call("GET", "/api/v1/accounts", got.Access), 401)
	s.answer(s.exchange(deskID, "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}), 400, nil)
	s.noSecrets(got.Access, got.Refresh)
}

// What operators do to what is a user's, the user sees: by whom, but not from where
// nor why.
func TestActivityTellsWhatOperatorsDid(t *testing.T) {
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{environment: "trading_tokens read:market\n"})
	s.start()
	s.ok("", "bearer", "account", "add", "T1", "--kind", "trading")
	alice, bob := s.browserOf("alice", "read:accounts read:market", "1", "T1"), s.browserOf("bob", "read:market", "T1")
	alice.fill("/trading/tokens?account=T1", "/trading/tokens", 303, "account", "T1")
	var issued personalToken
	s.decode(s.ok("", "bearer", "token", "issue", "--principal", "alice", "--label", "bot 1", "--scopes", "read:market", "--json"), &issued)
	s.ok("", "bearer", "token", "revoke", "--id", issued.ID, "--reason", "a secret suspicion")
	s.ok("", "bearer", "bind", "alice", "2")
	s.ok("", "bearer", "unbind", "alice", "2", "--reason", "a secret suspicion")
	s.ok("", "bearer", "user", "set", "alice", "--scopes", "read:market")
	s.ok("", "bearer", "account", "disable", "T1", "--reason", "a secret suspicion")
	seen := alice.page("/settings/activity", 200)
	for _, want := range []string{
		"An operator</bdi> issued the token <strong><bdi>bot 1</bdi></strong>",
		"An operator</bdi> revoked the token <strong><bdi>bot 1</bdi></strong>",
		"An operator</bdi> opened account <strong><bdi>2</bdi></strong> to you",
		"An operator</bdi> took account <strong><bdi>2</bdi></strong> from you",
		"An operator</bdi> set another password for you", "An operator</bdi> made you a user",
		"An operator</bdi> disabled account <strong><bdi>T1</bdi></strong>",
		"You</bdi> created a token of trading account <strong><bdi>T1</bdi></strong>",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("alice does not see %q", want)
		}
	}
	if t.Failed() {
		t.Log(seen)
	}
	if strings.Contains(seen, "suspicion") {
		t.Error("alice sees what operators noted for themselves")
	}
	other := bob.page("/settings/activity", 200)
	for want, there := range map[string]bool{
		"alice Doe</bdi> created a token of trading account <strong><bdi>T1</bdi></strong>": true,
		"disabled account <strong><bdi>T1</bdi></strong>":                                   true,
		"bot 1": false, "account <strong><bdi>2</bdi>": false,
	} {
		if strings.Contains(other, want) != there {
			t.Errorf("bob sees %q: %v", want, !there)
		}
	}
	// The trail names whom it concerns, and stays sound.
	var listed struct{ Events []auditEvent }
	s.decode(s.ok("", "bearer", "audit", "list", "--action", "token.revoke", "--json"), &listed)
	if len(listed.Events) != 1 || listed.Events[0].Subject != "user:alice" {
		t.Errorf("audit list: %+v", listed)
	}
	if export := s.ok("", "bearer", "audit", "export"); !strings.Contains(export, `"subject":"account:T1"`) {
		t.Error("the export has no subjects")
	}
	s.eventually("the trail is sealed", func() bool {
		report := s.ok("", "bearer", "audit", "verify")
		return strings.Contains(report, "sound") && strings.Contains(report, ", 0 not sealed")
	})
}
