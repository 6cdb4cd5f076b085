package issuer

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// A grant of the bank's flow is renewed at the standard endpoint, too.
func TestRFC6749_RefreshAnswer(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	got := b.do(renewCall(first.refresh)).ok(t)
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	if len(body) != 5 || body["token_type"] != "Bearer" || body["expires_in"] != 1095.0 || body["scope"] != pageScopes {
		t.Errorf("%s", got.body)
	}
	second := b.pairOf(got)
	b.wantVerdict(second.access, token.Live)
	// And back: it is one engine.
	third := b.pairOf(b.do(refreshCall(second.refresh)))
	b.pairOf(b.do(renewCall(third.refresh)))
}

func TestRFC6749_RefreshScopeIsAtMostTheGrants(t *testing.T) {
	b := newBank(t, nil)
	got := b.do(renewCall(b.tokens().refresh, "scope", "read:eft read:accounts")).ok(t)
	if scope := got.field(t, "scope"); scope != "read:eft read:accounts" {
		t.Errorf("narrowed: scope %q", scope)
	}
	got = b.do(renewCall(b.pairOf(got).refresh)).ok(t)
	if scope := got.field(t, "scope"); scope != pageScopes {
		t.Errorf("then without scope: %q", scope)
	}
	refresh := b.pairOf(got).refresh
	b.do(renewCall(refresh, "scope", "write:loans")).wantError(t, 400, "invalid_scope") // the client may, the grant does not
	b.do(renewCall(refresh, "scope", "no:such")).wantError(t, 400, "invalid_scope")

	b.setMaximum("read:accounts", "read:eft")
	if scope := b.do(renewCall(refresh)).ok(t).field(t, "scope"); scope != "read:accounts read:eft" {
		t.Errorf("after the maximum was reduced: scope %q", scope)
	}
}

func TestRFC6749_RefreshRetryAndReuse(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	second := b.pairOf(b.do(renewCall(first.refresh)))
	again := b.pairOf(b.do(renewCall(first.refresh)))
	if again.refresh != second.refresh {
		t.Error("the retry got another refresh token")
	}
	b.pairOf(b.do(renewCall(second.refresh)))
	b.clock.advance(time.Minute)
	b.do(renewCall(first.refresh)).wantError(t, 400, "invalid_grant")
	b.wantVerdict(second.access, token.Revoked)
}

func TestRFC6749_RefreshTokenOfAnotherClient(t *testing.T) {
	b := newBank(t, nil)
	refresh := b.tokens().refresh
	c := formCall(pathToken, formBasic(otherID, otherSecret), "grant_type", "refresh_token", "refresh_token", refresh)
	b.do(c).wantError(t, 400, "invalid_grant")
	b.do(renewCall(refresh)).ok(t)
}
