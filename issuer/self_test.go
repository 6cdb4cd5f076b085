package issuer

import (
	"fmt"
	"net/http"
	"net/netip"
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

// personal issues a personal token of the published service account.
func (b *bank) personal(limits store.Token, scopes ...string) (raw, id string) {
	b.Helper()
	raw, hash := b.authority.Keyring().NewOpaque(store.Personal)
	limits.ID, limits.Hash, limits.Class, limits.Created = token.NewID(), hash, store.Personal, b.clock.Now()
	limits.KeyID = b.authority.Keyring().KeyID()
	err := b.store.Update(b.Context(), func(tx store.Writer) error {
		return tx.PutClient(store.Client{Environment: b.env, ID: store.PersonalClient, Status: store.Active, Source: store.BuiltIn})
	})
	if err == nil {
		_, err = b.store.Issue(b.Context(), store.Issue{
			Grant: store.Grant{
				Environment: b.env, ID: token.NewID(), Principal: publishedID, Client: store.PersonalClient,
				Scopes: scopes, Accounts: []string{"TR01"}, Created: b.clock.Now(), Expires: limits.Expires,
			},
			Tokens: []store.Token{limits},
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	return raw, limits.ID
}

func TestSelfOfAPersonalToken(t *testing.T) {
	b := newBank(t, nil)
	plain, _ := b.personal(store.Token{Label: "cron"}, "all:eft")
	const whose = `{"environment":"sandbox","client":"personal-token","subject":"` + publishedID + `","label":"cron","scopes":["all:eft"],"accounts":["TR01"]`
	if got := b.do(selfCall(plain)).ok(t); got.body != whose+"}" {
		t.Errorf("permanent: %s", got.body)
	}
	limits := store.Token{
		Label: "cron", Expires: b.clock.Now().Add(time.Hour), Rate: store.Rate{Requests: 1, Per: time.Minute},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.0/8")},
	}
	limited, id := b.personal(limits, "all:eft")
	want := fmt.Sprintf(`%s,"expires":"%s","expires_in":3600,"networks":["192.0.2.0/24","127.0.0.0/8"],"rate":{"requests":1,"seconds":60}}`,
		whose, limits.Expires.UTC().Format(time.RFC3339))
	for range 3 { // the rate is for the API
		if got := b.do(selfCall(limited).from("192.0.2.7")).ok(t); got.body != want {
			t.Errorf("limited: %s\nwant %s", got.body, want)
		}
	}
	for _, raw := range []string{plain, limited} {
		b.wantInactive("personal", introspectCall(raw))
	}
	if _, err := b.authority.Revoke(t.Context(), store.Revocation{Kind: store.KindToken, Target: id, Reason: "test"}, store.Event{}); err != nil {
		t.Fatal(err)
	}
	if got := b.do(selfCall(limited).from("192.0.2.7")); got.status != http.StatusUnauthorized {
		t.Errorf("revoked: %d %s", got.status, got.body)
	}
}

// A personal token is its owner's and no client's.
func TestClientsCannotRevokePersonalTokens(t *testing.T) {
	b := newBank(t, nil)
	raw, _ := b.personal(store.Token{Label: "cron"}, "all:eft")
	b.do(revokeCall(raw)).wantError(t, 400, "invalid_grant")
	b.wantVerdict(raw, token.Live)
}

// Who stole a token is told nothing of it where it may not be used.
func TestSelfOutsideTheAllowList(t *testing.T) {
	b := newBank(t, nil)
	raw, _ := b.personal(store.Token{Label: "cron", Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, "all:eft")
	stolen := selfCall(raw).with("X-Forwarded-For", "198.51.100.7")
	got := b.do(stolen)
	if got.status != http.StatusForbidden || got.body != `{"error":"address_not_allowed","error_description":"the token may not be used from this address"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Rights that were taken away, facts that are old: the store is asked again.
func TestSelfOfAPersonalTokenTellsPresentRights(t *testing.T) {
	b := newBank(t, nil)
	raw, _ := b.personal(store.Token{Label: "cron"}, "all:eft")
	b.do(selfCall(raw)).ok(t)
	err := b.store.Update(t.Context(), func(tx store.Writer) error {
		p, err := tx.Principal(b.env, publishedID)
		if err != nil {
			return err
		}
		p.MaxScopes = []string{"read:eft"}
		if err := tx.PutPrincipal(p); err != nil {
			return err
		}
		_, err = tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindRights, Target: publishedID, At: b.clock.Now()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.do(selfCall(raw)).ok(t); !strings.Contains(got.body, `"scopes":["read:eft"]`) {
		t.Errorf("%s", got.body)
	}
	b.clock.advance(time.Hour)
	b.do(selfCall(raw)).ok(t)
}

func TestSelfOfTheOtherEnvironment(t *testing.T) {
	b := newBank(t, nil)
	production := newBank(t, func(b *bank) { b.env = store.Production }).tokens().access
	if got := b.do(selfCall(production)); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
}
