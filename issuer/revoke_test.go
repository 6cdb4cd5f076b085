package issuer

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestRFC7009_AccessTokenDiesAlone(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	b.wantVerdict(tokens.access, token.Live)
	got := b.do(revokeCall(tokens.access)).ok(t)
	if got.body != "" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("body %q, header %v", got.body, got.header)
	}
	b.wantVerdict(tokens.access, token.Revoked)
	b.do(refreshCall(tokens.refresh)).ok(t)
	b.do(revokeCall(tokens.access)).ok(t) // again
}

func TestRFC7009_RefreshTokenTakesAccessTokensAlong(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	second := b.pairOf(b.do(refreshCall(first.refresh)))
	bystander := b.tokens()
	b.do(revokeCall(second.refresh)).ok(t)
	b.wantVerdict(first.access, token.Revoked)
	b.wantVerdict(second.access, token.Revoked)
	b.wantVerdict(bystander.access, token.Live)
	b.do(refreshCall(second.refresh)).wantError(t, 400, "invalid_grant")
	b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
	b.do(revokeCall(second.refresh)).ok(t)
}

func TestRFC7009_RotatedRefreshTokenEndsItsFamily(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	second := b.pairOf(b.do(refreshCall(first.refresh)))
	b.do(revokeCall(first.refresh)).ok(t)
	b.wantVerdict(second.access, token.Revoked)
}

func TestRFC7009_ForeignTokenIsRefusedAndUntouched(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	for _, raw := range []string{tokens.access, tokens.refresh} {
		c := formCall(pathRevoke, formBasic(otherID, otherSecret), "token", raw)
		b.do(c).wantError(t, 400, "invalid_grant")
	}
	b.wantVerdict(tokens.access, token.Live)
	b.do(refreshCall(tokens.refresh)).ok(t)
}

func TestRFC7009_WhatIsNoTokenIsAnsweredWith200(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	foreign := newBank(t, nil).tokens()
	for name, raw := range map[string]string{
		"garbage":               "x",
		"empty JWT":             "..",
		"cut":                   tokens.access[:len(tokens.access)-4],
		"unknown refresh token": foreign.refresh,
		"foreign signature":     foreign.access,
		"code":                  b.code(),
		"long":                  strings.Repeat("x", 60000),
	} {
		t.Run(name, func(t *testing.T) { b.do(revokeCall(raw)).ok(t) })
	}
	b.clock.advance(1096 * time.Second)
	t.Run("expired", func(t *testing.T) { b.do(revokeCall(tokens.access)).ok(t) })
}

func TestRFC7009_HintIsNoMoreThanAHint(t *testing.T) {
	b := newBank(t, nil)
	for _, hint := range []string{"access_token", "refresh_token", "saml2_assertion", ""} {
		tokens := b.tokens()
		b.do(formCall(pathRevoke, formBasic(botID, botSecret), "token", tokens.refresh, "token_type_hint", hint)).ok(t)
		b.wantVerdict(tokens.access, token.Revoked)

		tokens = b.tokens()
		b.do(formCall(pathRevoke, formBasic(botID, botSecret), "token", tokens.access, "token_type_hint", hint)).ok(t)
		b.wantVerdict(tokens.access, token.Revoked)
	}
}

func TestRFC7009_BothWaysToAuthenticate(t *testing.T) {
	b := newBank(t, nil)
	t.Run("client_secret_basic, form-encoded as in the RFC and as programs for the bank send it", func(t *testing.T) {
		for _, header := range []string{formBasic(botID, botSecret), basic(botID, botSecret)} {
			access := b.tokens().access
			b.do(formCall(pathRevoke, header, "token", access)).ok(t)
			b.wantVerdict(access, token.Revoked)
		}
		b.do(formCall(pathRevoke, basic(botID, botSecret+"x"), "token", "x")).wantError(t, 401, "invalid_client")
		b.do(formCall(pathRevoke, basic(botID, "100%"), "token", "x")).wantError(t, 401, "invalid_client")
	})
	t.Run("client_secret_post", func(t *testing.T) {
		access := b.tokens().access
		b.do(formCall(pathRevoke, "", "token", access, "client_id", botID, "client_secret", botSecret)).ok(t)
		b.wantVerdict(access, token.Revoked)
		b.do(formCall(pathRevoke, "", "token", "x", "client_id", botID, "client_secret", "wrong")).wantError(t, 401, "invalid_client")
	})
}

func TestRFC7009_SurvivesARestart(t *testing.T) {
	b := newBank(t, nil)
	tokens, byGrant := b.tokens(), b.tokens()
	b.do(revokeCall(tokens.access)).ok(t)
	b.do(revokeCall(byGrant.refresh)).ok(t)

	// The new process gets another port, so the old issuer's tokens would be
	// refused for their iss: keep the name.
	name := b.options.URL
	b.restart()
	if err := b.authority.Configure(token.Settings{
		Issuer: name, Audience: "https://api.test", AccessLifetime: 1095 * time.Second, Algorithm: token.ES256,
		CacheBytes: 1 << 20, Policy: b.options.Policy,
	}); err != nil {
		t.Fatal(err)
	}
	b.wantVerdict(tokens.access, token.Revoked)
	b.wantVerdict(byGrant.access, token.Revoked)
	b.do(refreshCall(byGrant.refresh)).wantError(t, 400, "invalid_grant")
	b.do(refreshCall(tokens.refresh)).ok(t)
}

// Who asks for a revocation and goes away wants it all the same.
func TestRFC7009_CallerGoesAway(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	c := revokeCall(tokens.refresh)
	ctx, cancel := context.WithCancel(context.Background())
	req := httptest.NewRequestWithContext(ctx, c.method, c.path, strings.NewReader(c.body))
	req.Header = c.header
	cancel()
	b.issuer.ServeHTTP(httptest.NewRecorder(), req)
	b.wantVerdict(tokens.access, token.Revoked)
}
