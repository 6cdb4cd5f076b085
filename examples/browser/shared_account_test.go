package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// gated is a server that has a gated API, too: whose market is a WebSocket.
type gated struct {
	*server
	api string
}

// startGated is start with the API.
func startGated(t *testing.T, environment string) *gated {
	t.Helper()
	dir, err := os.MkdirTemp("", "bearer")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	market := httptest.NewServer(http.HandlerFunc(serveMarket))
	t.Cleanup(market.Close)
	s := &gated{
		server: &server{t: t, dir: dir, issuer: "http://127.0.0.1:" + freeport.Find(t)},
		api:    "http://127.0.0.1:" + freeport.Find(t),
	}
	s.write("policy.yaml", testPolicy)
	s.write("Caddyfile", s.caddyfile(environment)+strings.Replace(s.api, "127.0.0.1", "", 1)+` {
	bearer_gate demo
	reverse_proxy `+strings.TrimPrefix(market.URL, "http://")+`
}
`)
	s.launch()
	s.command("", "account", "add", "1234567", "--kind", "trading", "--name", "House account")
	return s
}

// addUser adds somebody who has the account in full.
func (s *server) addUser(id, name, password string) {
	s.t.Helper()
	s.command("", "user", "add", id, "--name", name, "--scopes", "read:accounts read:market trade:orders write:eft")
	s.command("", "bind", id, "1234567")
	s.command(password, "user", "password", id)
}

// serveMarket sends until it is cut.
func serveMarket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := conn.CloseRead(r.Context())
	for tick := 0; conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"tick":%d}`, tick)) == nil; tick++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// bot is a program with a live subscription to the market.
type bot struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *gated) bot(token string) *bot {
	s.t.Helper()
	conn, _, err := websocket.Dial(context.Background(), strings.Replace(s.api, "http", "ws", 1)+"/v1/market",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	b := &bot{s.t, conn}
	b.reads()
	return b
}

// reads fails unless the bot is told of the market.
func (b *bot) reads() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := b.conn.Read(ctx)
	must(b.t, err)
}

// wantCut reads until the bot is cut, which must be so already.
func (b *bot) wantCut() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := b.conn.Read(ctx); err != nil {
			if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				b.t.Errorf("the bot's stream ended so: %v", err)
			}
			return
		}
	}
}

// press presses what says so, and returns the status of the page that comes.
func (b *tab) press(text string) int64 {
	b.t.Helper()
	if !eval[bool](b, `(() => {
		const e = [...document.querySelectorAll('main button, main a')].find(e => e.checkVisibility() && e.innerText.trim() === `+strconv.Quote(text)+`);
		if (e) e.id = 'pressed';
		return !!e;
	})()`) {
		b.t.Fatalf("nothing to press says %q", text)
	}
	return b.submit("#pressed")
}

// holds is what an expression finds in the source of the page or in its fields.
func (b *tab) holds(expression *regexp.Regexp) string {
	b.t.Helper()
	return expression.FindString(eval[string](b, `[document.documentElement.outerHTML, ...[...document.querySelectorAll('input')].map(e => e.value)].join(' ')`))
}

var tradingValue = regexp.MustCompile(`cb_test_trading_\w{40}`)

// Two developers of one trading account, each at a browser of their own. What the one
// revokes ends for the other at once, with the bot that lives by it; and both see who
// did it.
func TestS2_9_S2_11_TwoDevelopersOfOneAccount(t *testing.T) {
	s := startGated(t, "trading_tokens read:accounts read:market trade:orders")
	s.addUser(aliceID, "Alice Doe", alicePassword)
	s.addUser("bob", "Bob Roe", alicePassword)
	alice, bob := open(t, look{}), open(t, look{phone: true, dark: true})
	const tokens = "/trading/tokens?account=1234567"
	for user, b := range map[string]*tab{aliceID: alice, "bob": bob} {
		b.visit(s.issuer + "/login?next=" + url.QueryEscape(tokens))
		if status := b.signIn(user, alicePassword); status != 200 || b.url() != s.issuer+tokens {
			t.Fatalf("%s: status %d at %s", user, status, b.url())
		}
	}
	alice.press("Create Token")
	alice.press("Show")
	refresh := alice.holds(tradingValue)
	if refresh == "" {
		t.Fatal("no token is shown")
	}
	one, other := s.bot(s.tradingAccess(refresh)), s.bot(s.tradingAccess(refresh))

	bob.visit(s.issuer + tokens) // a token that somebody else made
	if status := bob.press("Revoke token"); status != 200 {
		t.Fatalf("revoke: status %d", status)
	}
	bob.press("Revoke token") // on the page that asks once more
	one.wantCut()
	other.wantCut()
	if response := s.tradingCall(refresh); response.StatusCode != 400 {
		t.Errorf("the revoked token: %s", response.Status)
	}
	alice.visit(s.issuer + tokens)
	alice.wantText("table", "Revoked")

	for _, see := range []struct {
		b               *tab
		look            look
		name, says, not string
	}{
		{alice, look{}, "alice", "Bob Roe revoked a token of trading account 1234567", "Bob Roe signed in"},
		{bob, look{phone: true, dark: true}, "bob", "You revoked a token of trading account 1234567", "Alice Doe signed in"},
	} {
		see.b.visit(s.issuer + "/settings/activity")
		see.b.wantText("main", see.says)
		if text := ask(see.b, chromedp.Text(chromedp.CSS("main"))); strings.Contains(text, see.not) {
			t.Errorf("%s sees %q", see.name, see.not)
		}
		see.b.check("shared-account-"+see.name, see.look)
	}
	bob.wantText("main", "Alice Doe created a token of trading account 1234567")
}

// tradingCall renews with a trading token.
func (s *gated) tradingCall(refresh string) *http.Response {
	s.t.Helper()
	response, err := http.PostForm(s.issuer+"/trading/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	must(s.t, err)
	s.t.Cleanup(func() { response.Body.Close() })
	return response
}

func (s *gated) tradingAccess(refresh string) string {
	s.t.Helper()
	var got struct {
		Access string `json:"access_token"`
	}
	must(s.t, json.NewDecoder(s.tradingCall(refresh).Body).Decode(&got))
	return got.Access
}
