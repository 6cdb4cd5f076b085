package issuer

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// wantInactive wants the answer to be RFC 7662's for dead tokens, to the byte.
func (b *bank) wantInactive(name string, c call) {
	b.Helper()
	if got := b.do(c); got.status != 200 || got.body != `{"active":false}` || got.header.Get("Cache-Control") != "no-store" {
		b.Errorf("%s: %d %s %v", name, got.status, got.body, got.header)
	}
}

func (b *bank) introspected(raw string) map[string]any {
	b.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(b.do(introspectCall(raw)).ok(b).body), &body); err != nil {
		b.Fatal(err)
	}
	return body
}

func TestRFC7662_LiveTokens(t *testing.T) {
	b := newBank(t, nil)
	now := b.clock.Now()
	tokens, own := b.tokens(), b.do(ownCall("scope", "read:eft")).ok(t).field(t, "access_token")
	for name, test := range map[string]struct {
		raw  string
		want map[string]any
	}{
		"access token": {tokens.access, map[string]any{
			"scope": pageScopes, "sub": publishedID, "accounts": []any{"TR01"}, "token_type": "Bearer",
			"aud": "https://api.test", "exp": now.Add(1095 * time.Second).Unix(),
		}},
		"refresh token": {tokens.refresh, map[string]any{
			"scope": pageScopes, "sub": publishedID, "accounts": []any{"TR01"}, "exp": now.Add(2682000 * time.Second).Unix(),
		}},
		"the client's own": {own, map[string]any{
			"scope": "read:eft", "sub": botID, "token_type": "Bearer", "aud": "https://api.test", "exp": now.Add(1095 * time.Second).Unix(),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.introspected(test.raw)
			if id, _ := got["jti"].(string); len(id) < 20 {
				t.Errorf("jti %v", got["jti"])
			}
			delete(got, "jti")
			test.want["active"], test.want["client_id"] = true, botID
			test.want["iss"], test.want["iat"] = b.options.URL, now.Unix()
			for key, value := range test.want {
				if f, ok := got[key].(float64); ok {
					got[key] = int64(f)
				}
				if fmt.Sprint(got[key]) != fmt.Sprint(value) {
					t.Errorf("%s: %v, want %v", key, got[key], value)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRFC7662_DeadUnknownAndForeignTokensLookAlike(t *testing.T) {
	b := newBank(t, nil)
	tokens, other := b.tokens(), newBank(t, nil).tokens()
	secret, _ := b.authority.Keyring().NewOpaque(token.ClassSecret)
	for name, raw := range map[string]string{
		"garbage": "x", "empty JWT": "..", "code": b.code(), "secret": secret,
		"unknown refresh token": other.refresh, "foreign signature": other.access,
	} {
		b.wantInactive(name, introspectCall(raw))
	}
	for _, raw := range []string{tokens.access, tokens.refresh} {
		b.wantInactive("another client's", formCall(pathIntrospect, formBasic(otherID, otherSecret), "token", raw))
	}
	next := b.pairOf(b.do(renewCall(tokens.refresh)))
	b.wantInactive("rotated", introspectCall(tokens.refresh))
	b.do(revokeCall(next.access)).ok(t)
	b.wantInactive("revoked", introspectCall(next.access))
	b.do(revokeCall(next.refresh)).ok(t)
	b.wantInactive("revoked refresh token", introspectCall(next.refresh))
	b.wantInactive("of a revoked grant", introspectCall(tokens.access))

	tokens = b.tokens()
	b.setMaximum("read:eft")
	b.wantInactive("rights changed", introspectCall(tokens.access))
	if got := b.introspected(tokens.refresh); got["scope"] != "read:eft" {
		t.Errorf("refresh token after the maximum was reduced: %v", got)
	}
	b.clock.advance(1095 * time.Second)
	b.wantInactive("expired", introspectCall(tokens.access))
	b.clock.advance(2682000 * time.Second)
	b.wantInactive("expired refresh token", introspectCall(tokens.refresh))
}

func TestRFC7662_RefreshTokenOfADisabledServiceAccount(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	b.update(func(tx store.Writer) error {
		p := b.principal(publishedID, publishedSecret, store.Service, "all:eft")
		p.Status = store.Disabled
		return tx.PutPrincipal(p)
	})
	b.wantInactive("disabled", introspectCall(tokens.refresh))
}

func TestRFC7662_HintIsNoMoreThanAHint(t *testing.T) {
	b := newBank(t, nil)
	tokens := b.tokens()
	for _, hint := range []string{"access_token", "refresh_token", "saml2_assertion"} {
		for _, raw := range []string{tokens.access, tokens.refresh} {
			c := formCall(pathIntrospect, "", "token", raw, "token_type_hint", hint, "client_id", botID, "client_secret", botSecret)
			if got := b.do(c).ok(t); got.body == `{"active":false}` {
				t.Errorf("hint %s: %s", hint, got.body)
			}
		}
	}
}
