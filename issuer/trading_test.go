package issuer

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestS2_2_CreatedByADeveloperForABoundAccount(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	made := alice.newShared("T1")
	if row := b.sharedRow(made.id); row.Creator != "alice" || row.Class != store.SharedRefresh || row.Environment != b.env {
		t.Errorf("%+v", row)
	}
	events := b.events("token.create")
	if len(events) != 1 || events[0].Actor != "user:alice" || events[0].Target != "token:"+made.id || events[0].Address == "" {
		t.Errorf("audit trail: %+v", events)
	}
	for _, test := range []struct{ user, account, why string }{
		{"carol", "T1", "it is somebody else's"},
		{"alice", "T3", "it is somebody else's"},
		{"dave", "T1", "he has it in part"},
		{"dave", "TR01", "it is a bank account"},
		{"alice", "T9", "there is no such account"},
	} {
		b.trader(test.user).create(test.account).wantTold(t, 403, "open in full")
	}
	for _, account := range []string{"T3", "TR01", "T9"} {
		b.trader("alice").get(pathTradingTokens+"?account="+account).wantTold(t, 403, "open in full")
	}
	b.trader("dave").get(pathTradingTokens+"?account=T1").wantTold(t, 403, "open in full")
	if rows := b.events("token.create"); len(rows) != 1 {
		t.Errorf("something was created: %+v", rows)
	}
}

func TestS2_2_NobodyGetsMoreByATokenThanHeMayDoHimself(t *testing.T) {
	b := newDesk(t, nil)
	b.update(func(tx store.Writer) error {
		for id, scopes := range map[string][]string{"bob": {"read:accounts", "read:eft"}, "carol": {"all:remittance"}} {
			p := b.principal(id, "x", store.User, scopes...)
			if err := tx.PutPrincipal(p); err != nil {
				return err
			}
		}
		return nil
	})
	small := b.trader("bob").newShared("T1")
	if got := b.do(tradingCall(small.raw)).ok(t).field(t, "scope"); got != "read:accounts read:eft" {
		t.Errorf("bob's token carries %q", got)
	}
	b.trader("carol").create("T3").wantTold(t, 403, "nothing yourself")

	large := b.trader("alice").newShared("T1")
	b.trader("bob").show(large.id).wantTold(t, 403, "more than you may do")
	if got := b.trader("bob").revokeToken(large.id); got.status != 303 {
		t.Errorf("but he may revoke it: %d %s", got.status, got.body)
	}
}

func TestS2_3_RefreshTokenAloneMintsShortLivedAccessTokens(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	got := b.do(tradingCall(made.raw)).ok(t)
	if strings.Contains(got.body, `"refresh_token"`) || got.field(t, "token_type") != "Bearer" || got.field(t, "scope") != "read:accounts all:eft" ||
		!strings.Contains(got.body, `"expires_in":1095`) || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", got.body, got.header)
	}
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("CORS: %s", name)
		}
	}
	lease, err := b.authority.Check(got.field(t, "access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if lease.Subject != "T1" || lease.Client != store.TradingClient || !slices.Equal(lease.Accounts, []string{"T1"}) {
		t.Errorf("%+v", lease.Facts)
	}
	self := b.do(selfCall(got.field(t, "access_token"))).ok(t)
	if self.field(t, "subject") != "T1" || self.field(t, "client") != "trading-account" {
		t.Errorf("%s", self.body)
	}
	narrow := b.do(tradingCall(made.raw, "scope", "read:eft", "client_id", "trading-account", "resource", "https://api.test")).ok(t)
	if narrow.field(t, "scope") != "read:eft" {
		t.Errorf("narrowed: %s", narrow.body)
	}
	if events := b.events("token.present"); len(events) != 2 || events[0].Actor != "account:T1" || events[0].Address == "" {
		t.Errorf("audit trail: %+v", events)
	}
}

func TestS2_4_OneCalendarYearAndNoAccessTokenOutlivesIt(t *testing.T) {
	for _, test := range [][2]string{
		{"2027-03-01T12:00:00Z", "2028-03-01T12:00:00Z"},
		{"2027-02-28T23:59:59Z", "2028-02-28T23:59:59Z"},
		{"2028-02-28T00:00:00Z", "2029-02-28T00:00:00Z"},
		{"2028-02-29T10:00:00Z", "2029-02-28T10:00:00Z"},
		{"2027-12-31T23:30:00-02:00", "2029-01-01T01:30:00Z"},
	} {
		from, _ := time.Parse(time.RFC3339, test[0])
		if got := aYearFrom(from).Format(time.RFC3339); got != test[1] {
			t.Errorf("a year from %s is %s, want %s", test[0], got, test[1])
		}
	}

	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	row := b.sharedRow(made.id)
	if want := aYearFrom(row.Created); !row.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", row.Expires, want)
	}
	b.clock.advance(300 * 24 * time.Hour)
	b.mint(made.raw) // not sliding
	if later := b.sharedRow(made.id); !later.Expires.Equal(row.Expires) {
		t.Errorf("by its use it expires %s", later.Expires)
	}
	b.clock.advance(row.Expires.Sub(b.clock.Now()) - 10*time.Second)
	last := b.do(tradingCall(made.raw)).ok(t)
	if !strings.Contains(last.body, `"expires_in":10,`) && !strings.Contains(last.body, `"expires_in":9,`) {
		t.Errorf("%s", last.body)
	}
	lease, err := b.authority.Check(last.field(t, "access_token"))
	if err != nil || lease.Expires.After(row.Expires) {
		t.Errorf("the access token expires %s, the refresh token %s (%v)", lease.Expires, row.Expires, err)
	}
	b.clock.advance(9500 * time.Millisecond)
	b.do(tradingCall(made.raw)).wantError(t, 400, "invalid_grant") // nothing is as short as that
	b.clock.advance(time.Second)
	b.do(tradingCall(made.raw)).wantError(t, 400, "invalid_grant")
	alice := b.trader("alice")
	alice.show(made.id).wantTold(t, 410, "expired")
	if page := alice.get(pathTradingTokens + "?account=T1").ok(t); !strings.Contains(page.body, "<td>Revoked</td>") || strings.Contains(page.body, "Revoke token</button></td>") {
		t.Errorf("%s", page.body)
	}
	if got := b.sharedRow(made.id).Status; got != token.SharedExpired {
		t.Errorf("status %s", got)
	}
}

func TestS2_5_RFC7009RefusesTheRefreshTokenAndEndsItsAccessTokens(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	access, bystander := b.mint(made.raw), b.mint(made.raw)
	asHolder := func(raw string, more ...string) call {
		return formCall(pathRevoke, "", append([]string{"token", raw, "client_id", "trading-account"}, more...)...)
	}
	for name, c := range map[string]call{
		"by another client":           revokeCall(made.raw),
		"by a holder":                 asHolder(made.raw),
		"by a holder, with a hint":    asHolder(made.raw, "token_type_hint", "refresh_token"),
		"after its access token even": asHolder(made.raw, "token_type_hint", "access_token"),
	} {
		t.Run(name, func(t *testing.T) { b.do(c).wantError(t, 400, "unsupported_token_type") })
	}
	b.mint(made.raw)
	b.do(formCall(pathRevoke, "", "token", access)).wantError(t, 401, "invalid_client")
	b.do(revokeCall(access)).wantError(t, 400, "invalid_grant") // of another client
	b.do(asHolder(access, "client_secret", "x")).wantError(t, 401, "invalid_client")
	b.do(asHolder(access).with("Authorization", basic("trading-account", "x"))).wantError(t, 401, "invalid_client")
	b.wantVerdict(access, token.Live)

	b.do(asHolder(access)).ok(t)
	b.wantVerdict(access, token.Revoked)
	b.wantVerdict(bystander, token.Live)
	b.mint(made.raw)
	b.do(asHolder("x")).ok(t) // what is no token is dead already
	b.do(formCall(pathRevoke, "", "client_id", "trading-account")).wantError(t, 400, "invalid_request")

	// Whose token it is is still asked.
	tokens := b.tokens()
	for _, raw := range []string{tokens.access, tokens.refresh} {
		b.do(asHolder(raw)).wantError(t, 400, "invalid_grant")
	}
	b.wantVerdict(tokens.access, token.Live)
	for _, raw := range []string{made.raw, bystander} {
		if got := b.do(introspectCall(raw)).ok(t); got.body != `{"active":false}` {
			t.Errorf("introspection tells another client %s", got.body)
		}
	}
	b.do(formCall(pathIntrospect, "", "token", bystander, "client_id", "trading-account")).wantError(t, 401, "invalid_client")
}

func TestS2_9_LateBindingSeesOlderTokens(t *testing.T) {
	b := newDesk(t, nil)
	first, second := b.trader("alice").newShared("T1"), b.trader("bob").newShared("T1")
	carol := b.trader("carol")
	carol.get(pathTradingTokens+"?account=T1").wantTold(t, 403, "open in full")
	b.bind("carol", "T1", store.Full)
	for _, user := range []string{"alice", "bob", "carol"} {
		if got := b.trader(user).listed("T1"); !slices.Equal(got, []string{second.id, first.id}) {
			t.Errorf("%s sees %v, want %v", user, got, []string{second.id, first.id})
		}
	}
	if got := sharedValue.FindString(carol.show(first.id).ok(t).body); got != first.raw {
		t.Errorf("carol is shown %q", got)
	}
	if got := carol.revokeToken(second.id); got.status != 303 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	b.do(tradingCall(second.raw)).wantError(t, 400, "invalid_grant")
	if got := b.trader("bob").listed("T1"); !slices.Equal(got, []string{first.id}) {
		t.Errorf("left: %v", got)
	}
	b.bind("carol", "T1", store.Partial, "read:accounts")
	carol.get(pathTradingTokens+"?account=T1").wantTold(t, 403, "open in full")
}

func TestS2_10_ShowOpensTheSealedCopyLater(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	alice.create("T1")
	id := alice.listed("T1")[0]
	if page := alice.get(pathTradingTokens + "?account=T1").ok(t); sharedValue.MatchString(page.body) {
		t.Error("the list shows the value")
	}
	row := b.sharedRow(id)
	b.clock.advance(40 * 24 * time.Hour)
	bob := b.trader("bob")
	page := bob.show(id).ok(t)
	raw := sharedValue.FindString(page.body)
	b.mint(raw)
	if page.header.Get("Cache-Control") != "no-store" || !strings.Contains(page.body, "sandbox") || strings.Contains(string(row.Sealed), raw) {
		t.Errorf("%v", page.header)
	}
	events := b.events("token.show")
	if len(events) != 1 || events[0].Actor != "user:bob" || events[0].Target != "token:"+id {
		t.Errorf("audit trail: %+v", events)
	}
	bob.show(id).ok(t)
	if events := b.events("token.show"); len(events) != 2 {
		t.Errorf("shown twice, audited %d times", len(events))
	}

	// The copy belongs to this token alone, and is gone with it.
	other := row.Token
	other.ID = "another"
	if _, err := b.authority.Keyring().OpenShared(&other); err == nil {
		t.Error("the copy opens under another id")
	}
	b.trader("alice").revokeToken(id)
	if left := b.sharedRow(id); left.Sealed != nil || left.Status != token.SharedRevoked {
		t.Errorf("after the revocation: %+v", left)
	}
	b.trader("bob").show(id).wantTold(t, 410, "revoked")
}

func TestS2_11_S2_12_RevocationEndsAccessTokensForGood(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	made, other := alice.newShared("T1"), alice.newShared("T1")
	access := []string{b.mint(made.raw), b.mint(made.raw)}
	spared := b.mint(other.raw)
	if got := alice.revokeToken(made.id); got.status != 303 || got.header.Get("Location") != pathTradingTokens+"?account=T1" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	for _, raw := range access {
		b.wantVerdict(raw, token.Revoked)
	}
	b.wantVerdict(spared, token.Live)
	b.do(tradingCall(made.raw)).wantError(t, 400, "invalid_grant")
	if got := alice.revokeToken(made.id); got.status != 303 {
		t.Errorf("again: %d", got.status)
	}
	if events := b.events("token.revoke"); len(events) != 1 || events[0].Actor != "user:alice" || events[0].Target != "token:"+made.id {
		t.Errorf("audit trail: %+v", events)
	}
	page := alice.get(pathTradingTokens + "?account=T1").ok(t).body
	if strings.Count(page, "Revoke token</button>") != 1 || strings.Count(page, "<td>Revoked</td>") != 1 {
		t.Errorf("%s", page)
	}
	for _, word := range []string{"uspend", "nable", "estore"} {
		if strings.Contains(page, word) {
			t.Errorf("the page has a way back: %s", word)
		}
	}
}

func TestS2_13_NoTokenForASingleMarket(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	for _, name := range []string{"market", "markets", "symbol", "contract", "instrument"} {
		b.do(tradingCall(made.raw, name, "ES")).wantError(t, 400, "invalid_request")
		b.do(tradingCall(made.raw).withQuery(name+"=ES")).wantError(t, 400, "invalid_request")
	}
	b.do(tradingCall(made.raw, "unknown", "x")).ok(t)
}

// Fifty programs use one token at once, for as long as they like.
func TestS2_15_SharedTokensDoNotRotate(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	minted := make(chan string, 50)
	for range cap(minted) {
		go func() {
			got := b.do(tradingCall(made.raw))
			minted <- got.field(b, "access_token")
		}()
	}
	seen := map[string]bool{}
	for range cap(minted) {
		access := <-minted
		if access == "" || seen[access] {
			t.Fatalf("got %q", access)
		}
		seen[access] = true
		b.wantVerdict(access, token.Live)
	}
	b.clock.advance(200 * 24 * time.Hour)
	b.mint(made.raw)
	if row := b.sharedRow(made.id); !row.Head() || row.Retries != 0 {
		t.Errorf("%+v", row)
	}
}

func TestTradingIsOffWithoutTheOption(t *testing.T) {
	b := newBank(t, nil)
	for _, path := range []string{pathTradingToken, pathTradingTokens, pathTradingShow, pathTradingRevoke} {
		for _, method := range []string{"GET", "POST"} {
			if got := b.do(call{method: method, path: path}); got.status != 404 {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
		}
	}
	b.do(formCall(pathRevoke, "", "token", "x", "client_id", "trading-account")).wantError(t, 401, "invalid_client")
}

// The way through the sign-in page, as a browser goes it.
func TestS2_3_PasswordIsAskedForAgain(t *testing.T) {
	b := newDesk(t, nil)
	hash, err := token.HashPassword(alicePassword)
	if err != nil {
		t.Fatal(err)
	}
	b.update(func(tx store.Writer) error {
		p := b.principal("alice", "", store.User, "read:accounts", "all:eft")
		p.SecretHash = hash
		return tx.PutPrincipal(p)
	})
	v := b.signedIn("alice", alicePassword)
	page := pathTradingTokens + "?account=T1"
	v.post(page, "csrf", v.csrf(), "account", "T1").wantRedirect(t, page)
	id := liveRow.FindStringSubmatch(v.get(page).body)[1]

	b.clock.advance(stepUpLife + time.Second)
	show := pathTradingShow + "?account=T1"
	asked := v.post(show, "csrf", v.csrf(), "token", id)
	asked.wantSignIn(t, show, true)
	if form := v.get(asked.header.Get("Location")).ok(t); !strings.Contains(form.body, `type="password"`) {
		t.Errorf("no password is asked for: %s", form.body)
	}
	v.post(show, "csrf", v.csrf(), "token", id).wantSignIn(t, show, true)
	wrong := v.post(pathLogin, "user", "alice", "password", "wrong", "next", show, "confirm", "1", "csrf", v.csrf())
	if wrong.status == 303 {
		t.Fatalf("a wrong password leads to %v", wrong.header)
	}
	v.post(show, "csrf", v.csrf(), "token", id).wantSignIn(t, show, true)
	v.post(pathLogin, "user", "alice", "password", alicePassword, "next", show, "confirm", "1", "csrf", v.csrf()).wantRedirect(t, show)
	v.get(show).wantRedirect(t, page)
	if got := v.post(show, "csrf", v.csrf(), "token", id).ok(t); !sharedValue.MatchString(got.body) {
		t.Errorf("%s", got.body)
	}
}

func TestS2_10_SealedCopyIsDestroyedAtExpiry(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	b.clock.advance(366 * 24 * time.Hour)
	if _, err := b.store.Collect(context.Background(), store.Collect{Environment: b.env, Now: b.clock.Now(), Keep: 48 * time.Hour, Limit: 100}); err != nil {
		t.Fatal(err)
	}
	if row := b.sharedRow(made.id); row.Sealed != nil || row.Status != token.SharedExpired {
		t.Errorf("%+v", row)
	}
	b.trader("alice").show(made.id).wantTold(t, 410, "expired")
}
