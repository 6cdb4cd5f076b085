package browser

import "testing"

// What the developers of a trading account share.
func TestS2_5_S2_6_S2_7_AccessTokensInABrowser(t *testing.T) {
	s := start(t, "trading_tokens read:accounts read:market trade:orders")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/trading/tokens")
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/trading/tokens" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.check("trading-accounts", l)
			b.submit("main ul a")
			b.check("trading-none", l)
			if status := b.submit("main form.actions button"); status != 200 {
				t.Errorf("a new token of the account: status %d", status)
			}
			b.wantText("main", "live token")
			b.wantText("table", "Revoke token")
			b.check("trading-tokens", l)
			if status := b.submit("td > button:not([formaction])"); status != 200 {
				t.Errorf("the token's value: status %d", status)
			}
			b.wantText("main .secret", "cb_test_trading_")
			b.check("trading-token", l)
			b.submit("main p.actions a")
			if status := b.submit("td > button[formaction]"); status != 200 {
				t.Errorf("the question: status %d", status)
			}
			b.wantText("main", "created by alice")
			b.check("trading-revoke", l)
			if status := b.submit("main form button"); status != 200 {
				t.Errorf("revoke: status %d", status)
			}
			b.wantText("tbody tr:first-child", "Revoked")
			b.check("trading-revoked", l)

			b.visit(s.issuer + "/")
			b.wantText("main", "API Access Tokens")
			b.check("home", l)
		})
	}
}
