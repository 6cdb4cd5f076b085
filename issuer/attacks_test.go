package issuer

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// Rows of the list of attacks that no other test is named after. Each has a bank
// of its own.
func TestAttackRows(t *testing.T) {
	grantType := []string{"grant_type", "client_credentials"}
	asserted := func(assertion string, pairs ...string) call {
		return formCall(pathToken, "", append(append(pairs, grantType...),
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion)...)
	}
	for row, attack := range map[string]func(*testing.T, *bank){
		"CODE-07": func(t *testing.T, b *bank) { // after the time in which a transport sends again
			code := b.code()
			got := b.pairOf(b.do(redeemCall(code)))
			b.clock.advance(resendGrace + time.Second)
			b.do(redeemCall(code)).wantError(t, 400, "invalid_grant")
			b.wantVerdict(got.access, token.Revoked)
			b.do(renewCall(got.refresh)).wantError(t, 400, "invalid_grant")
		},
		"REFRESH-02": func(t *testing.T, b *bank) {
			first := b.tokens().refresh
			var mu sync.Mutex
			heads := map[string]int{}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					head := b.pairOf(b.do(renewCall(first))).refresh
					mu.Lock()
					defer mu.Unlock()
					heads[head]++
				})
			}
			all.Wait()
			if len(heads) != 1 {
				t.Errorf("%d families live", len(heads))
			}
		},
		"REFRESH-05": func(t *testing.T, b *bank) {
			less := b.do(renewCall(b.tokens().refresh, "scope", "read:accounts")).ok(t)
			if got := less.field(t, "scope"); got != "read:accounts" {
				t.Errorf("scope %q", got)
			}
			if got := b.do(renewCall(less.field(t, "refresh_token"))).ok(t).field(t, "scope"); got != pageScopes {
				t.Errorf("then %q", got)
			}
			b.do(renewCall(b.tokens().refresh, "scope", "write:loans")).wantError(t, 400, "invalid_scope")
		},
		"REFRESH-07": func(t *testing.T, b *bank) { // there is no DPoP here, and nobody is told that there were
			if got := b.do(call{method: "GET", path: wellKnown}).ok(t).body; strings.Contains(got, "dpop") {
				t.Errorf("%s", got)
			}
		},
		"REFRESH-08": func(t *testing.T, b *bank) {
			if got := b.do(ownCall()).ok(t).body; strings.Contains(got, "refresh_token") {
				t.Errorf("%s", got)
			}
		},
		"CLIENT-AUTH-01": func(t *testing.T, b *bank) {
			b.do(ownCall("client_id", botID, "client_secret", botSecret)).wantError(t, 400, "invalid_request")
		},
		"CLIENT-AUTH-03": func(t *testing.T, b *bank) {
			b.do(ownCall("client_id", otherID)).wantError(t, 400, "invalid_request")
		},
		"CLIENT-AUTH-06": func(t *testing.T, b *bank) {
			b.do(ownCall().by("GET").withQuery("grant_type=client_credentials")).wantError(t, 405, "invalid_request")
		},
		// Assertions are not supported, whatever they say, and not announced.
		"CLIENT-AUTH-09": func(t *testing.T, b *bank) {
			if got := b.do(call{method: "GET", path: wellKnown}).ok(t).body; strings.Contains(got, "private_key_jwt") {
				t.Errorf("%s", got)
			}
			b.do(formCall(pathToken, "", append(grantType, "client_id", botID)...)).wantError(t, 401, "invalid_client")
		},
		"CLIENT-AUTH-11": func(t *testing.T, b *bank) {
			b.do(asserted("eyJhbGciOiJub25lIn0.e30.", "client_id", botID)).wantError(t, 401, "invalid_client")
		},
		"CLIENT-AUTH-13": func(t *testing.T, b *bank) {
			for range 2 {
				b.do(asserted("e30.e30.e30", "client_id", botID)).wantError(t, 401, "invalid_client")
			}
		},
		"CLIENT-AUTH-14": func(t *testing.T, b *bank) { b.do(asserted("e30.e30.e30")).wantError(t, 401, "invalid_client") },
		"CLIENT-AUTH-15": func(t *testing.T, b *bank) {
			b.do(asserted("e30.e30.e30", "client_id", otherID)).wantError(t, 401, "invalid_client")
		},
		"CLIENT-AUTH-18": func(t *testing.T, b *bank) { // that it costs the same time is for the tests of token.Secrets
			want := b.do(formCall(pathToken, formBasic("nobody", "x"), grantType...)).body
			for _, length := range []int{1, len(botSecret) / 2, len(botSecret) - 1} {
				got := b.do(formCall(pathToken, formBasic(botID, botSecret[:length]), grantType...))
				if got.wantError(t, 401, "invalid_client"); got.body != want {
					t.Errorf("%d bytes right: %s", length, got.body)
				}
			}
		},
		"CLIENT-AUTH-19": func(t *testing.T, b *bank) {
			wrong := formCall(pathToken, formBasic(botID, "wrong"), grantType...)
			for range wrongPerPair {
				b.do(wrong).wantError(t, 401, "invalid_client")
			}
			b.do(wrong).wantError(t, 429, "temporarily_unavailable")
			b.do(ownCall().from("198.51.100.7")).ok(t)
		},
		"CLIENT-AUTH-20": func(t *testing.T, b *bank) {
			got := b.do(ownCall()).ok(t)
			for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
				if got.header.Get(name) != want {
					t.Errorf("%s: %q", name, got.header.Get(name))
				}
			}
			if got.field(t, "token_type") != "Bearer" || !strings.Contains(got.body, `"expires_in":1095`) {
				t.Errorf("%s", got.body)
			}
		},
		"REVOKE-INTROSPECT-02": func(t *testing.T, b *bank) {
			for _, garbage := range []string{"garbage", "cb_test_refresh_", "e30.e30.e30"} {
				if got := b.do(revokeCall(garbage)).ok(t); got.body != "" {
					t.Errorf("%q", got.body)
				}
			}
		},
		"REVOKE-INTROSPECT-03": func(t *testing.T, b *bank) {
			got := b.tokens()
			hinted := formCall(pathRevoke, formBasic(botID, botSecret), "token", got.access, "token_type_hint", "refresh_token")
			b.do(hinted).ok(t)
			b.wantVerdict(got.access, token.Revoked)
		},
		"REVOKE-INTROSPECT-04": func(t *testing.T, b *bank) {
			got := b.tokens()
			for _, pairs := range [][]string{{"token", got.access}, {"token", got.access, "client_id", botID}} {
				b.do(formCall(pathRevoke, "", pairs...)).wantError(t, 401, "invalid_client")
			}
			b.wantVerdict(got.access, token.Live)
		},
		"REVOKE-INTROSPECT-08": func(t *testing.T, b *bank) {
			got := b.tokens()
			asked := formCall(pathIntrospect, "Bearer "+got.access, "token", got.access)
			if answer := b.do(asked); answer.status != 400 && answer.status != 401 || strings.Contains(answer.body, "active") {
				t.Errorf("%d %s", answer.status, answer.body)
			}
		},
		"METADATA-01": func(t *testing.T, b *bank) {
			b.options.URL = "https://as.test/t1"
			below, err := New(b.options)
			if err != nil {
				t.Fatal(err)
			}
			got := serve(below, "GET", "/.well-known/oauth-authorization-server/t1").ok(t)
			if got.field(t, "issuer") != "https://as.test/t1" {
				t.Errorf("%s", got.body)
			}
			serve(below, "GET", "/.well-known/oauth-authorization-server").wantError(t, 404, "invalid_request")
		},
		"METADATA-06": func(t *testing.T, b *bank) { // keys are published ten minutes before they sign
			for _, path := range []string{wellKnown, pathJWKS} {
				if got := b.do(call{method: "GET", path: path}).ok(t).header.Get("Cache-Control"); got != "public, max-age=300" {
					t.Errorf("%s: %q", path, got)
				}
			}
		},
		"CORS-06": func(t *testing.T, b *bank) { // without Origin it is no preflight
			for _, path := range []string{pathToken, pathRevoke, pathIntrospect} {
				got := b.do(call{method: http.MethodOptions, path: path})
				if got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s: %d %v", path, got.status, got.header)
				}
			}
		},
	} {
		t.Run(row, func(t *testing.T) {
			attack(t, newBank(t, fromHeader))
		})
	}
}
