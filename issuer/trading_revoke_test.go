package issuer

import (
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// What a revocation ends is said before, and nothing ends until that was confirmed.
func TestS2_7_RevokingIsConfirmed(t *testing.T) {
	b := newDesk(t, nil)
	alice, bob := b.trader("alice"), b.trader("bob")
	made := alice.newShared("T1")
	access := b.mint(made.raw)
	row := b.sharedRow(made.id)
	question := bob.do(bob.form(pathTradingRevoke+"?account=T1", "token", made.id)).wantPage(t, 200, "Revoke this token?")
	for _, says := range []string{
		"Trading account <bdi>T1</bdi>: created by <bdi>alice</bdi> on <bdi>" + row.Created.Format("2006-01-02 15:04"),
		"Every access token that was made from it ends at once.", "No live stream is open with it now.",
	} {
		if !strings.Contains(question.body, says) {
			t.Errorf("the page does not say %q:\n%s", says, question.body)
		}
	}
	if sharedValue.MatchString(question.body) {
		t.Error("the question shows the value")
	}
	b.wantVerdict(access, token.Live)
	if events := b.events("token.revoke"); len(events) != 0 {
		t.Errorf("audit trail: %+v", events)
	}
	fields := question.fields(t, "/trading/tokens/revoke?account=T1")
	for _, attack := range []struct {
		name   string
		call   call
		status int
	}{
		{"question about somebody else's account", b.trader("carol").form(pathTradingRevoke, "token", made.id), 404},
		{"answer for somebody else's account", b.trader("carol").form(pathTradingRevoke, "token", made.id, "confirmed", "yes"), 404},
		{"who has the account in part", b.trader("dave").form(pathTradingRevoke, "token", made.id, "confirmed", "yes"), 404},
		{"CSRF", bob.form(pathTradingRevoke, "token", made.id, "confirmed", "yes", "csrf", alice.csrf), 403},
		{"CSRF by another site", bob.form(pathTradingRevoke, "token", made.id, "confirmed", "yes").with("Sec-Fetch-Site", "cross-site"), 403},
		{"confirmed in the query", bob.form(pathTradingRevoke+"?account=T1&confirmed=yes", "token", made.id), 200},
	} {
		if got := b.do(attack.call); got.status != attack.status {
			t.Errorf("%s: %d %s", attack.name, got.status, got.body)
		}
		b.wantVerdict(access, token.Live)
	}
	var pairs []string
	for name, value := range fields {
		pairs = append(pairs, name, value)
	}
	bob.do(formCall(pathTradingRevoke+"?account=T1", "", pairs...).with("Cookie", bob.cookie)).wantRedirect(t, pathTradingTokens+"?account=T1")
	b.wantVerdict(access, token.Revoked)
	if events := b.events("token.revoke"); len(events) != 1 || events[0].Actor != "user:bob" || events[0].Target != "token:"+made.id {
		t.Errorf("audit trail: %+v", events)
	}
}
