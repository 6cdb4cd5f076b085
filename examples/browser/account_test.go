package browser

import "testing"

// The pages on which people look after what acts for them.
func TestPagesOfAUser(t *testing.T) {
	s := start(t, "trading_tokens read:accounts read:market trade:orders")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/login?next=/applications") // through the sign-in page
			if status := b.signIn(aliceID, alicePassword); status != 200 || b.url() != s.issuer+"/applications" {
				t.Fatalf("status %d at %s", status, b.url())
			}
			b.wantText("h1", "OAuth2 applications")
			b.check("applications", l)
			b.fill("#name", "Trading terminal "+l.String())
			b.fill("#uris", "https://terminal.example.com/callback")
			if status := b.submit("main form.stack:last-of-type .actions button"); status != 422 {
				t.Errorf("an application without scopes: status %d", status)
			}
			b.check("applications-wrong", l)

			b.visit(s.issuer + "/static-tokens")
			b.fill("#label", "market recorder")
			if status := b.submit("main form.stack .actions button"); status != 201 {
				t.Errorf("a new token: status %d", status)
			}
			b.wantText("main", "never shown again")
			b.check("static-token", l)
			b.visit(s.issuer + "/static-tokens")
			b.wantText("table", "market recorder")
			b.check("static-tokens", l)

			b.visit(s.issuer + "/trading/tokens?account=1234567")
			if status := b.submit("main form.actions button"); status != 200 {
				t.Errorf("a new token of the account: status %d", status)
			}
			b.wantText("table", "Revoke token")
			b.check("trading-tokens", l)
			if status := b.submit("td > button:not([formaction])"); status != 200 {
				t.Errorf("the token's value: status %d", status)
			}
			b.wantText("main .secret", "cb_test_trading_")
			b.check("trading-token", l)

			b.visit(s.issuer + "/")
			b.wantText("main", "API Access Tokens")
			b.check("home", l)
		})
	}
}
