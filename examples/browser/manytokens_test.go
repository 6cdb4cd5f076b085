package browser

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// moreTradingTokens records n tokens more of the account that has one, all with one
// grant to save time. No server runs meanwhile.
func (s *server) moreTradingTokens(n int) {
	s.t.Helper()
	s.stop()
	st, err := sqlite.Open(context.Background(), sqlite.Options{Path: s.path("bearer.db"), Committed: func([]store.Revocation) {}})
	must(s.t, err)
	root, err := token.LoadRootKey(s.path("root.key"))
	must(s.t, err)
	keyring := token.NewKeyring(root, store.Sandbox)
	now := time.Now()
	tokens := make([]store.Token, n)
	for i := range tokens {
		tokens[i] = keyring.NewShared(token.NewID())
		tokens[i].Creator, tokens[i].Created, tokens[i].Expires = aliceID, now, now.AddDate(1, 0, 0)
	}
	_, err = st.Issue(context.Background(), store.Issue{Tokens: tokens, Grant: store.Grant{
		Environment: store.Sandbox, ID: token.NewID(), Principal: "1234567", Client: store.TradingClient, Scopes: []string{"read:accounts"},
		Accounts: []string{"1234567"}, Created: now, Expires: now.AddDate(1, 0, 0),
	}})
	must(s.t, err)
	must(s.t, st.Close())
	s.launch()
}

// All tokens of an account stand on one page, however many there are: it loads, its
// end is a key away, and the last token can be revoked.
func TestS2_8_TenThousandTokensInABrowser(t *testing.T) {
	const all = 10_000
	s := start(t, "trading_tokens read:accounts read:market trade:orders")
	b := open(t, look{})
	b.visit(s.issuer + "/trading/tokens?account=1234567")
	b.signIn(aliceID, alicePassword)
	b.submit("main form.actions button") // the oldest, so the last
	s.moreTradingTokens(all - 1)
	if status := b.visit(s.issuer + "/trading/tokens?account=1234567"); status != 200 {
		t.Fatalf("status %d", status)
	}
	const rows = `document.querySelectorAll("main tbody tr").length`
	if got := eval[int](b, rows); got != all {
		t.Fatalf("%d rows", got)
	}
	for deadline := time.Now().Add(2 * patience); !eval[bool](b, `document.querySelector("main tbody tr:last-child").getBoundingClientRect().bottom <= innerHeight`); {
		if time.Now().After(deadline) {
			t.Fatal("the last row does not come into sight")
		}
		b.keys(kb.End) // again, if the browser was still laying out rows
	}
	b.submit("main tbody tr:last-child button[formaction]") // which asks once more
	if status := b.press("Revoke token"); status != 200 {
		t.Fatalf("revoke: status %d", status)
	}
	b.wantText("main tbody tr:last-child td:last-child", "Revoked")
	if got := eval[int](b, rows); got != all {
		t.Errorf("%d rows then", got)
	}
	if live := eval[int](b, `document.querySelectorAll("main tbody button[formaction]").length`); live != all-1 {
		t.Errorf("%d are live then", live)
	}
}
