package issuer

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestSelfTellsWhatATokenIsGoodFor(t *testing.T) {
	b := newBank(t, nil)
	expires := b.clock.Now().Add(1095 * time.Second)
	tokens, own := b.tokens(), b.do(ownCall("scope", "read:eft")).ok(t).field(t, "access_token")
	b.clock.advance(95 * time.Second)
	for access, want := range map[string]string{
		tokens.access: `"subject":"` + publishedID + `","scopes":["read:accounts","all:remittance","all:eft"],"accounts":["TR01"]`,
		own:           `"subject":"bot-1","scopes":["read:eft"],"accounts":[]`,
	} {
		got := b.do(selfCall(access)).ok(t)
		want = fmt.Sprintf(`{"environment":"sandbox","client":"bot-1",%s,"expires":"%s","expires_in":1000}`, want, expires.UTC().Format(time.RFC3339))
		if got.body != want || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %s\nwant %s", got.body, want)
		}
	}
}

func TestRFC6750_ChallengesAtSelf(t *testing.T) {
	b := newBank(t, nil)
	tokens, revoked := b.tokens(), b.tokens()
	b.do(revokeCall(revoked.access)).ok(t)
	good := selfCall(tokens.access)
	const bare = `Bearer realm="oauth2"`
	const invalid = bare + `, error="invalid_token", error_description="the token is not valid"`
	for name, test := range map[string]struct {
		call      call
		status    int
		challenge string
	}{
		"no credentials":  {good.with("Authorization"), 401, bare},
		"empty":           {good.with("Authorization", ""), 401, bare},
		"another scheme":  {good.with("Authorization", basic(botID, botSecret)), 401, bare},
		"longer word":     {good.with("Authorization", "Bearerx "+tokens.access), 401, bare},
		"garbage":         {selfCall("x"), 401, invalid},
		"refresh token":   {selfCall(tokens.refresh), 401, invalid},
		"revoked":         {selfCall(revoked.access), 401, invalid},
		"cut":             {selfCall(tokens.access[:len(tokens.access)-2]), 401, invalid},
		"two blanks":      {selfCall(" " + tokens.access), 400, ""},
		"no token":        {good.with("Authorization", "Bearer"), 400, ""},
		"two headers":     {good.with("Authorization", "Bearer "+tokens.access, "Bearer "+tokens.access), 400, ""},
		"in the query":    {good.with("Authorization").withQuery("access_token=" + tokens.access), 400, ""},
		"POST":            {good.by("POST"), 405, ""},
		"scheme in lower": {good.with("Authorization", "bearer "+tokens.access), 200, ""},
		"HEAD":            {good.by("HEAD"), 200, ""},
	} {
		got := b.do(test.call)
		if got.status != test.status || got.header.Get("WWW-Authenticate") != test.challenge || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q, want %d %q", name, got.status, got.header.Get("WWW-Authenticate"), test.status, test.challenge)
		}
		if strings.Contains(got.body, "revoked") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	b.clock.advance(1095 * time.Second)
	if got := b.do(good); got.status != http.StatusUnauthorized {
		t.Errorf("expired: %d", got.status)
	}
}

// The gate takes personal tokens, but this endpoint is for those of the issuer.
func TestSelfOfAPersonalToken(t *testing.T) {
	b := newBank(t, nil)
	raw, hash := b.authority.Keyring().NewOpaque(store.Personal)
	_, err := b.store.Issue(t.Context(), store.Issue{
		Grant: store.Grant{Environment: b.env, ID: token.NewID(), Principal: publishedID, Client: botID, Scopes: []string{"all:eft"}, Created: b.clock.Now()},
		Tokens: []store.Token{{
			Environment: b.env, ID: token.NewID(), Hash: hash, Class: store.Personal,
			KeyID: b.authority.Keyring().KeyID(), Created: b.clock.Now(),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.wantVerdict(raw, token.Live)
	if got := b.do(selfCall(raw)); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
	b.wantInactive("personal", introspectCall(raw))
}

func TestSelfOfTheOtherEnvironment(t *testing.T) {
	b := newBank(t, nil)
	production := newBank(t, func(b *bank) { b.env = store.Production }).tokens().access
	if got := b.do(selfCall(production)); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
}
