package issuer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestRFC6749_ClientCredentialsWithoutFurtherParameters(t *testing.T) {
	b := newBank(t, nil)
	got := b.do(ownCall()).ok(t)
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	access := body["access_token"]
	delete(body, "access_token")
	want := map[string]any{"token_type": "Bearer", "expires_in": 1095.0, "scope": "read:accounts all:remittance all:eft write:loans"}
	if len(body) != len(want) {
		t.Errorf("got %v, want %v and an access token", body, want)
	}
	for name, value := range want {
		if body[name] != value {
			t.Errorf("%s: %v, want %v", name, body[name], value)
		}
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", got.header)
	}
	lease, err := b.authority.Check(access.(string))
	if err != nil {
		t.Fatal(err)
	}
	if lease.Subject != botID || lease.Client != botID || len(lease.Accounts) != 0 {
		t.Errorf("token of %+v", lease.Facts)
	}
	b.wantVerdict(access.(string), token.Live)
	b.wantGrantOf(lease)
}

// wantGrantOf looks the grant up: it can be collected once the token is dead,
// and not before; and the audit trail says who has it.
func (b *bank) wantGrantOf(lease *token.Lease) {
	b.Helper()
	err := b.store.View(b.Context(), func(tx store.Reader) error {
		grant, err := tx.Grant(b.env, lease.Grant)
		if err != nil {
			return err
		}
		if late := grant.Expires.Sub(lease.Expires); late < 0 || late > shareFor+time.Minute {
			b.Errorf("the grant ends %s after its token", late)
		}
		events, err := tx.Audit(b.env, store.AuditFilter{Limit: 1})
		if len(events) != 1 || events[0].Action != "client_credentials.issue" || events[0].Actor != "client:"+lease.Client || events[0].Target != "grant:"+lease.Grant {
			b.Errorf("audit %+v", events)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func TestRFC6749_ClientCredentialsScopes(t *testing.T) {
	b := newBank(t, nil)
	desk, hidden := formBasic("desk", "desk secret"), formBasic("hidden", "hidden secret")
	for name, test := range map[string]struct {
		client, asked, scope, refused string
	}{
		"subset":                      {formBasic(botID, botSecret), "read:eft read:accounts", "read:eft read:accounts", ""},
		"implied":                     {formBasic(botID, botSecret), "write:remittance", "write:remittance", ""},
		"twice":                       {formBasic(botID, botSecret), "all:eft  all:eft", "all:eft", ""},
		"UI-16 more than the maximum": {formBasic(otherID, otherSecret), "read:eft write:loans", "", "'write:loans' is more than is allowed"},
		"UI-16 not known":             {formBasic(botID, botSecret), "read:acounts", "", "did you mean 'read:accounts'"},
		"blank":                       {formBasic(botID, botSecret), " ", "", "empty"},
		"quote":                       {formBasic(botID, botSecret), `"`, "", "characters"},
		"hidden: not offered":         {desk, "", "read:eft", ""},
		"hidden: for who asks":        {desk, "admin:eft", "admin:eft", ""},
		"hidden: not for others":      {formBasic(botID, botSecret), "admin:eft", "", "'admin:eft' is not known"},
		"hidden: nothing else there":  {hidden, "", "", "without asking"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(formCall(pathToken, test.client, "grant_type", "client_credentials", "scope", test.asked))
			if test.refused != "" {
				got.wantError(t, 400, "invalid_scope")
				if !strings.Contains(got.field(t, "error_description"), test.refused) {
					t.Errorf("%s, want %q", got.body, test.refused)
				}
				return
			}
			if scope := got.ok(t).field(t, "scope"); scope != test.scope {
				t.Errorf("scope %q, want %q", scope, test.scope)
			}
		})
	}
}

func TestRFC6749_BothWaysToAuthenticateAtTheTokenEndpoint(t *testing.T) {
	b := newBank(t, nil)
	for name, c := range map[string]call{
		"client_secret_basic":             ownCall(),
		"client_secret_basic as it is":    ownCall().with("Authorization", basic(botID, botSecret)),
		"client_secret_basic, scheme":     ownCall().with("Authorization", strings.Replace(formBasic(botID, botSecret), "Basic", "bAsIc", 1)),
		"client_secret_post":              ownCall("client_id", botID, "client_secret", botSecret).with("Authorization"),
		"client_id beside Basic, as well": ownCall("client_id", botID),
	} {
		t.Run(name, func(t *testing.T) {
			if access := b.do(c).ok(t).field(t, "access_token"); access != "" {
				b.wantVerdict(access, token.Live)
			}
		})
	}
}

func TestThrottleAtTheTokenEndpoint(t *testing.T) {
	b := newBank(t, nil)
	wrong := ownCall("client_id", botID, "client_secret", "wrong").with("Authorization")
	for range wrongPerPair {
		b.do(wrong).wantError(t, 401, "invalid_client")
	}
	got := b.do(ownCall())
	got.wantError(t, 429, "temporarily_unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.do(formCall(pathToken, formBasic(otherID, otherSecret), "grant_type", "client_credentials")).ok(t)
	b.clock.advance(time.Minute)
	b.do(ownCall()).ok(t)
}

func TestThrottleCountsEverySpellingOfAnID(t *testing.T) {
	b := newBank(t, nil)
	for k := range wrongPerPair {
		id := botID // bot-1 with another of its letters encoded
		at := k % len(id)
		id = id[:at] + "%" + hex(id[at]) + id[at+1:]
		b.do(ownCall().with("Authorization", basic(id, "wrong"))).wantError(t, 401, "invalid_client")
	}
	b.do(ownCall()).wantError(t, 429, "temporarily_unavailable")
}

// setMaximum changes what the bot may have, as an operator does.
func (b *bank) setMaximum(scopes ...string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		if err := b.putClient(tx, b.client(botID, botSecret, scopes...)); err != nil {
			return err
		}
		_, err := tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindClientRights, Target: botID, At: b.clock.Now()})
		return err
	})
}

func TestReducedMaximumReducesTheNextToken(t *testing.T) {
	b := newBank(t, nil)
	access := b.do(ownCall()).ok(t).field(t, "access_token")
	b.setMaximum("read:eft")
	b.wantVerdict(access, token.RightsChanged)
	if scope := b.do(ownCall()).ok(t).field(t, "scope"); scope != "read:eft" {
		t.Errorf("scope %q", scope)
	}
	b.do(ownCall("scope", "write:eft")).wantError(t, 400, "invalid_scope")
}

func TestRevocationOfTheClientKillsItsOwnTokens(t *testing.T) {
	b := newBank(t, nil)
	access := b.do(ownCall()).ok(t).field(t, "access_token")
	other := b.do(formCall(pathToken, formBasic(otherID, otherSecret), "grant_type", "client_credentials")).ok(t).field(t, "access_token")
	rev := store.Revocation{Kind: store.KindClient, Target: botID, Reason: "test"}
	if _, err := b.authority.Revoke(t.Context(), rev, store.Event{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.wantVerdict(access, token.Revoked)
	b.wantVerdict(other, token.Live)
	b.wantVerdict(b.do(ownCall()).ok(t).field(t, "access_token"), token.Live)
}

// own gets a token of the bot's own.
func (b *bank) own(pairs ...string) *token.Lease {
	b.Helper()
	lease, err := b.authority.Check(b.do(ownCall(pairs...)).ok(b.TB).field(b.TB, "access_token"))
	if err != nil {
		b.Fatal(err)
	}
	return lease
}

func (b *bank) revoke(kind store.Kind, target string) {
	b.Helper()
	if _, err := b.authority.Revoke(context.Background(), store.Revocation{Kind: kind, Target: target, Reason: "test"}, store.Event{Actor: "test"}); err != nil {
		b.Fatal(err)
	}
}

// The tokens of a day come from one grant, and each lives as long as any other.
func TestOwnTokensOfADayShareAGrant(t *testing.T) {
	b := newBank(t, nil)
	grants := map[string]bool{}
	for range 100 {
		lease := b.own()
		grants[lease.Grant] = true
		if life := lease.Expires.Sub(b.clock.Now()); life != 1095*time.Second {
			t.Fatalf("a token lives for %s", life)
		}
		b.wantGrantOf(lease)
		b.clock.advance(1095 * time.Second)
	}
	// 100 tokens, one after the other, take 30 hours.
	if len(grants) != 2 {
		t.Errorf("they have %d grants, want 2", len(grants))
	}
}

func TestOwnTokensOfOtherScopesHaveAnotherGrant(t *testing.T) {
	b := newBank(t, nil)
	all, less, order := b.own(), b.own("scope", "read:eft read:accounts"), b.own("scope", "read:accounts read:eft")
	if all.Grant == less.Grant || less.Grant == order.Grant {
		t.Errorf("grants %s, %s, %s", all.Grant, less.Grant, order.Grant)
	}
	if again := b.own("scope", "read:eft read:accounts"); again.Grant != less.Grant {
		t.Errorf("the same scopes: grant %s, want %s", again.Grant, less.Grant)
	}
}

// What becomes of the tokens that share a grant, and of the next.
func TestOwnTokensAfterAChange(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bank, *token.Lease)
		before token.Verdict // on another token of the same grant
		shared bool          // the next token has that grant, too
	}{
		"nothing":             {func(*bank, *token.Lease) {}, token.Live, true},
		"token was revoked":   {func(b *bank, l *token.Lease) { b.revoke(store.KindToken, l.ID) }, token.Live, true},
		"grant was revoked":   {func(b *bank, l *token.Lease) { b.revoke(store.KindGrant, l.Grant) }, token.Revoked, false},
		"client was revoked":  {func(b *bank, _ *token.Lease) { b.revoke(store.KindClient, botID) }, token.Revoked, false},
		"account was revoked": {func(b *bank, _ *token.Lease) { b.revoke(store.KindAccount, "TR01") }, token.Revoked, false},
		"account was unbound": {func(b *bank, _ *token.Lease) {
			b.update(func(tx store.Writer) error { return tx.DeleteBinding(b.env, botID, "TR01") })
		}, token.Live, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t, nil)
			b.update(func(tx store.Writer) error {
				return tx.PutBinding(store.Binding{Environment: b.env, Principal: botID, Account: "TR01", Access: store.Full, Source: store.FromConfig})
			})
			first := b.own()
			other := b.do(ownCall()).ok(t).field(t, "access_token")
			test.change(b, first)
			b.wantVerdict(other, test.before)
			next := b.do(ownCall()).ok(t).field(t, "access_token")
			b.wantVerdict(next, token.Live)
			lease, err := b.authority.Check(next)
			if err != nil || (lease.Grant == first.Grant) != test.shared {
				t.Errorf("grant %s after %s, %v", lease.Grant, first.Grant, err)
			}
		})
	}
}

// At the endpoint too: RFC 7009 ends the one token that is named.
func TestRFC7009_OwnTokenDiesAlone(t *testing.T) {
	b := newBank(t, nil)
	dead, alive := b.do(ownCall()).ok(t).field(t, "access_token"), b.do(ownCall()).ok(t).field(t, "access_token")
	b.do(revokeCall(dead)).ok(t)
	b.wantVerdict(dead, token.Revoked)
	b.wantVerdict(alive, token.Live)
}

func TestRFC7009_OwnTokenIsRevoked(t *testing.T) {
	b := newBank(t, nil)
	access := b.do(ownCall()).ok(t).field(t, "access_token")
	b.do(revokeCall(access)).ok(t)
	b.wantVerdict(access, token.Revoked)
}

func TestOwnTokenCarriesTheClientsAccounts(t *testing.T) {
	b := newBank(t, nil)
	b.update(func(tx store.Writer) error {
		return tx.PutBinding(store.Binding{Environment: b.env, Principal: botID, Account: "TR01", Access: store.Full, Source: store.FromConfig})
	})
	lease, err := b.authority.Check(b.do(ownCall()).ok(t).field(t, "access_token"))
	if err != nil || len(lease.Accounts) != 1 || lease.Accounts[0] != "TR01" {
		t.Fatalf("%+v, %v", lease, err)
	}
}

// The principal of a client is no service account and has no secret.
func TestClientIsNoServiceAccount(t *testing.T) {
	b := newBank(t, nil)
	for _, secret := range []string{botSecret, "x"} {
		b.do(codeCall().with("X-Service-Account-ID", botID).with("X-Service-Account-Secret", secret)).wantError(t, 401, "invalid_client")
	}
}

// A client that shares its id with a service account, as older databases allow,
// must not act as that.
func TestClientDoesNotBecomeTheServiceAccountOfTheSameID(t *testing.T) {
	b := newBank(t, nil)
	b.update(func(tx store.Writer) error { return tx.PutClient(b.client(publishedID, "x", "all:eft")) })
	c := formCall(pathToken, basic(publishedID, "x"), "grant_type", "client_credentials")
	b.do(c).wantError(t, 400, "unauthorized_client")
}
