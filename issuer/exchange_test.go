package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	appKey     = "budget"
	appSecret  = "the budget app's secret"
	appAddress = "https://app.test/cb"
	goodState  = "fv8XnJmQ3kP0cE7uYz1sWA"
)

// appBank is a bank with an app of the access code exchange and the user alice.
func appBank(t testing.TB) *bank {
	t.Helper()
	b := newBank(t, nil)
	b.user("alice", []string{"read:accounts", "all:eft", "admin:eft"}, "A1", "A2")
	b.app(appKey, appSecret, "read:accounts", "all:eft", "write:loans")
	return b
}

func (b *bank) app(id, secret string, scopes ...string) {
	b.Helper()
	c := b.client(id, secret, scopes...)
	c.Name, c.Exchange, c.RedirectURIs = "Budget & Co", true, []string{appAddress, "http://127.0.0.1:8085/back"}
	b.update(func(tx store.Writer) error { return tx.PutClient(c) })
}

func connectPath(app, redirect, state string) string {
	return pathConnect + "?" + url.Values{"appKey": {app}, "redirect_uri": {redirect}, "state": {state}}.Encode()
}

// connected lets alice connect the app, and returns what the app receives.
func (v *browser) connected(app string, pairs ...string) map[string]string {
	v.Helper()
	choice := append([]string{"decision", "allow", "scope.read:accounts", "on", "scope.read:eft", "on", "account.A1", "on"}, pairs...)
	page := v.do(v.form(connectPath(app, appAddress, goodState), choice...)).wantSays(v, 200, "You are connected")
	return page.fields(v, appAddress)
}

func jsonCall(path string, members map[string]string) call {
	body, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return call{method: "POST", path: path, header: http.Header{"Content-Type": {"application/json"}}, body: string(body)}
}

func exchangeCall(secret, code, connection string) call {
	return jsonCall(pathExchangeToken, map[string]string{"appSecret": secret, "accessCode": code, "connectionID": connection})
}

func delinkCall(access, secret, userSecret string) call {
	return jsonCall(pathDelinkUser, map[string]string{"appSecret": secret, "userSecret": userSecret}).with("Authorization", "Bearer "+access)
}

// wantFailure checks an error of the exchange, of which the form is part.
func (a *answer) wantFailure(t testing.TB, status int, kind string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	if a.status != status || got["type"] != kind || got["success"] != false || got["msg"] == "" || len(got) != 3 {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, kind)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", a.header)
	}
	if (status == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") != "") {
		t.Errorf("%d with challenge %q", status, a.header.Get("WWW-Authenticate"))
	}
}

// access connects the app and exchanges the code.
func (v *browser) access() (fields map[string]string, raw string) {
	v.Helper()
	fields = v.connected(appKey)
	a := v.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(v)
	return fields, a.field(v, "accessToken")
}

func TestS5_1_S5_4_S5_7_ConnectAndExchange(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	page := b.do(alice.get(connectPath(appKey, appAddress, goodState))).wantSays(t, 200, "Connect <bdi>Budget &amp; Co</bdi>?", "See EFT payments", "You go on to <strong><bdi>https://app.test</bdi></strong> afterwards.")
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self' https://app.test") {
		t.Errorf("policy %q", policy)
	}
	for _, no := range []string{"write:loans", "admin:eft", "TR01", " checked"} {
		if strings.Contains(page.body, no) {
			t.Errorf("the page offers or ticks %q", no)
		}
	}
	fields := alice.connected(appKey)
	if len(fields) != 7 || fields["success"] != "true" || fields["state"] != goodState || fields["userID"] != "alice" {
		t.Fatalf("the app receives %v", fields)
	}
	for _, name := range []string{"accessCode", "userSecret", "connectionID", "tokenID"} {
		if fields[name] == "" {
			t.Errorf("no %s in %v", name, fields)
		}
	}
	a := b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(t)
	raw := a.field(t, "accessToken")
	if a.body != `{"success":true,"accessToken":"`+raw+`"}` || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", a.header, a.body)
	}
	b.clock.advance(10 * 365 * 24 * time.Hour)
	lease, err := b.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	b.wantVerdict(raw, token.Live)
	if !lease.Expires.IsZero() || lease.ID != fields["tokenID"] || lease.Grant != fields["connectionID"] || lease.Subject != "alice" ||
		lease.Client != appKey || fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:accounts read:eft] [A1]" {
		t.Errorf("the token is %+v", lease.Facts)
	}
}

func TestS5_1_WhoIsNotSignedInSignsInFirst(t *testing.T) {
	b := appBank(t)
	path := connectPath(appKey, appAddress, goodState)
	nobody := &browser{bank: b, cookie: "a=b"}
	b.do(nobody.get(path)).wantRedirect(t, signInFirst(path))
	b.do(nobody.form(path, "decision", "allow")).wantRedirect(t, signInFirst(path))
}

func TestS5_1_Declined(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	page := b.do(alice.form(connectPath(appKey, appAddress, goodState), "decision", "deny", "scope.read:eft", "on")).wantSays(t, 200)
	fields := page.fields(t, appAddress)
	if fields["success"] != "false" || fields["type"] != "ACCESS_DENIED" || fields["state"] != goodState || fields["accessCode"] != "" {
		t.Errorf("the app receives %v", fields)
	}
}

// Whoever asks is told on our own page what is wrong, and sent nowhere.
func TestS5_1_ConnectRefusesOpenRedirects(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	b.update(func(tx store.Writer) error {
		off := b.client("off-app", "x", "all:eft")
		off.Exchange, off.Status, off.RedirectURIs = true, store.Disabled, []string{appAddress}
		return tx.PutClient(off)
	})
	at := func(redirect string) string { return connectPath(appKey, redirect, goodState) }
	for name, path := range map[string]string{
		"REDIRECT_URI-01": at(appAddress + "/"), "REDIRECT_URI-02": at(appAddress + "?x=1"), "REDIRECT_URI-03": at(appAddress + "#f"),
		"REDIRECT_URI-04": at("https://app.test/CB"), "REDIRECT_URI-07": at("http://app.test/cb"), "REDIRECT_URI-10": pathConnect + "?appKey=budget&redirect_uri=https://app.test/cb%00&state=" + goodState,
		"REDIRECT_URI-11": at(appAddress + "\r\nX:1"), "REDIRECT_URI-15": at("https://evil.test/#@app.test/cb"), "REDIRECT_URI-16": at("https://evil.test%2f@app.test/cb"),
		"REDIRECT_URI-19": at("/cb"), "REDIRECT_URI-20": at("javascript:alert(1)//https://app.test/cb"), "REDIRECT_URI-21": at("data:text/html,x"),
		"REDIRECT_URI-22": at("https://xn--pp-xka.test/cb"), "REDIRECT_URI-23": at(appAddress + ";x"), "REDIRECT_URI-25": at("https://app.test/redirect?to=https://evil.test"),
		"REDIRECT_URI-26": at("http://localhost:1234/cb"), "REDIRECT_URI-28": at("https://app.test/c%62"), "loopback with another port": at("http://127.0.0.1:9999/back"),
		"AUTHORIZE-04 omitted":   pathConnect + "?appKey=budget&state=" + goodState,
		"repeated":               at(appAddress) + "&redirect_uri=https://evil.test",
		"unknown app":            connectPath("nobody", appAddress, goodState),
		"OAuth client":           connectPath(botID, appAddress, goodState),
		"disabled app":           connectPath("off-app", appAddress, goodState),
		"no app":                 connectPath("", appAddress, goodState),
		"UI-06 script for app":   connectPath("<svg onload=1>", appAddress, goodState),
		"state of 21 characters": connectPath(appKey, appAddress, goodState[1:]),
		"no state":               connectPath(appKey, appAddress, ""),
		"endless state":          connectPath(appKey, appAddress, strings.Repeat("x", maxState+1)),
		"state with a line end":  connectPath(appKey, appAddress, goodState+"\n"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []call{alice.get(path), alice.form(path, "decision", "allow", "scope.read:eft", "on")} {
				a := b.do(c)
				a.wantSays(t, 400)
				if a.header.Get("Location") != "" || strings.Contains(a.body, ` action="http`) || strings.Contains(a.body, "<svg onload") {
					t.Errorf("%s leads away: %v\n%s", c.method, a.header, a.body)
				}
			}
		})
	}
}

func TestS5_1_LegacyAppMayOmitState(t *testing.T) {
	b := appBank(t)
	b.update(func(tx store.Writer) error {
		c, err := tx.Client(b.env, appKey)
		c.StateOptional = true
		if err != nil {
			return err
		}
		return tx.PutClient(c)
	})
	alice := b.sessionOf("alice")
	path := pathConnect + "?appKey=budget&redirect_uri=" + url.QueryEscape(appAddress)
	fields := b.do(alice.form(path, "decision", "allow", "scope.read:eft", "on")).wantSays(t, 200).fields(t, appAddress)
	if _, given := fields["state"]; given || fields["accessCode"] == "" {
		t.Errorf("the app receives %v", fields)
	}
	b.do(alice.get(path+"&state=short")).wantSays(t, 400)
}

// What a form says is held against what its page offered.
func TestS5_1_TamperedConsent(t *testing.T) {
	b := appBank(t)
	b.user("bob", []string{"all:eft"}, "B1")
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	path := connectPath(appKey, appAddress, goodState)
	for name, test := range map[string]struct {
		call   call
		status int
	}{
		"UI-17 scope above the app":      {alice.form(path, "decision", "allow", "scope.admin:eft", "on"), 400},
		"UI-17 scope above the user":     {alice.form(path, "decision", "allow", "scope.write:loans", "on"), 400},
		"UI-17 unknown scope":            {alice.form(path, "decision", "allow", "scope.everything", "on"), 400},
		"IDOR account of somebody else":  {alice.form(path, "decision", "allow", "scope.read:eft", "on", "account.B1", "on"), 400},
		"IDOR account of nobody":         {alice.form(path, "decision", "allow", "scope.read:eft", "on", "account.none", "on"), 400},
		"nothing ticked":                 {alice.form(path, "decision", "allow"), 422},
		"CSRF no field":                  {alice.form(path, "decision", "allow", "scope.read:eft", "on", "csrf", ""), 403},
		"CSRF field of another":          {alice.form(path, "decision", "allow", "scope.read:eft", "on", "csrf", bob.csrf), 403},
		"CSRF sent by another site":      {alice.form(path, "decision", "allow", "scope.read:eft", "on").with("Sec-Fetch-Site", "cross-site"), 403},
		"CSRF origin of another":         {alice.form(path, "decision", "allow", "scope.read:eft", "on").with("Sec-Fetch-Site").with("Origin", "https://evil.test"), 403},
		"scope in the query":             {alice.form(path+"&scope=all:eft", "decision", "allow", "scope.read:eft", "on"), 400},
		"JSON instead of a form":         {alice.form(path).with("Content-Type", "application/json").withBody("{}"), 400},
		"a body that never ends":         {alice.form(path).withBody(strings.Repeat("a=1&", 1<<15)), 413},
		"a choice that is made twice":    {alice.form(path).withBody("csrf=" + alice.csrf + "&decision=deny&decision=allow"), 400},
		"AUTHORIZE a method of its own":  {alice.form(path).by("PUT"), 405},
		"two cookies, one of them a lie": {alice.form(path, "decision", "allow").with("Cookie", alice.cookie+"; "+bob.cookie), 303},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.do(test.call)
			if a.status != test.status || strings.Contains(a.body, "accessCode") {
				t.Errorf("%d %s, want %d", a.status, a.body, test.status)
			}
		})
	}
}

// An account that is open in part would cut the token on all accounts.
func TestS5_1_PartialAccountIsNotMixedIn(t *testing.T) {
	b := appBank(t)
	b.update(func(tx store.Writer) error {
		return tx.PutBinding(store.Binding{Environment: b.env, Principal: "alice", Account: "A2", Access: store.Partial, Scopes: []string{"read:eft"}, Source: store.FromCommand})
	})
	alice := b.sessionOf("alice")
	path := connectPath(appKey, appAddress, goodState)
	page := b.do(alice.form(path, "decision", "allow", "scope.write:eft", "on", "account.A1", "on", "account.A2", "on")).
		wantSays(t, 422, "Account <bdi>A2</bdi> is open to you in part, without <bdi>write:eft</bdi>:")
	if strings.Count(page.body, " checked") != 3 {
		t.Errorf("what was ticked is lost:\n%s", page.body)
	}
	b.do(alice.form(path, "decision", "allow", "scope.read:eft", "on", "account.A1", "on", "account.A2", "on")).wantSays(t, 200, "You are connected")
}

// The code opens nothing but the exchange, and the exchange takes nothing else.
func TestS5_2_AccessCodeIsNoBearerToken(t *testing.T) {
	b := appBank(t)
	fields := b.sessionOf("alice").connected(appKey)
	for _, secret := range []string{fields["accessCode"], fields["userSecret"]} {
		if _, err := b.authority.Check(secret); err == nil {
			t.Errorf("%s passes as a bearer token", secret[:20])
		}
		if a := b.do(selfCall(secret)); a.status != 401 {
			t.Errorf("/token/self: %d %s", a.status, a.body)
		}
	}
	b.do(redeemCall(fields["accessCode"])).wantError(t, 400, codeInvalidGrant)
	b.do(refreshCall(fields["accessCode"])).wantError(t, 400, codeInvalidGrant)
	b.do(exchangeCall(appSecret, b.code(), fields["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(t)
}

func TestS5_2_AccessCodeLivesHalfAnHour(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	early, late := alice.connected(appKey), alice.connected(appKey)
	b.clock.advance(30*time.Minute - time.Second)
	b.do(exchangeCall(appSecret, early["accessCode"], early["connectionID"])).ok(t)
	b.clock.advance(time.Second)
	b.do(exchangeCall(appSecret, late["accessCode"], late["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
}

func TestS5_2_ReplayEndsTheConnection(t *testing.T) {
	b := appBank(t)
	fields, raw := b.sessionOf("alice").access()
	b.wantVerdict(raw, token.Live)
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
	b.wantVerdict(raw, token.Revoked)
	b.do(delinkCall(raw, appSecret, fields["userSecret"])).wantFailure(t, 401, "INVALID_ACCESS_TOKEN")
}

// Secret, code and connection belong together: what doesn't fit is refused, and a
// code that somebody else presents is burnt.
func TestS5_3_AllThreeBelongTogether(t *testing.T) {
	b := appBank(t)
	b.app("other-app", "the other app's secret", "read:accounts", "all:eft")
	alice := b.sessionOf("alice")
	one, two, others := alice.connected(appKey), alice.connected(appKey), alice.connected("other-app")

	b.do(exchangeCall("wrong", one["accessCode"], one["connectionID"])).wantFailure(t, 401, "INVALID_CREDENTIALS")
	unknown := b.do(exchangeCall(appSecret, one["accessCode"], "nobody's"))
	unknown.wantFailure(t, 401, "INVALID_CREDENTIALS")
	if wrong := b.do(exchangeCall("the other app's secret", one["accessCode"], one["connectionID"])); wrong.body != unknown.body || wrong.status != unknown.status {
		t.Errorf("a wrong secret and an unknown connection differ: %s, %s", wrong.body, unknown.body)
	}
	b.do(exchangeCall(appSecret, one["accessCode"], one["connectionID"])).ok(t) // none of these harmed it

	b.do(exchangeCall(appSecret, two["accessCode"], one["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
	b.do(exchangeCall(appSecret, others["accessCode"], one["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
	b.do(exchangeCall("the other app's secret", others["accessCode"], others["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE") // burnt
}

func TestS5_3_DisabledAppExchangesNothing(t *testing.T) {
	b := appBank(t)
	fields := b.sessionOf("alice").connected(appKey)
	b.update(func(tx store.Writer) error {
		c, err := tx.Client(b.env, appKey)
		c.Status = store.Disabled
		if err != nil {
			return err
		}
		return tx.PutClient(c)
	})
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).wantFailure(t, 401, "INVALID_CREDENTIALS")
}

// An app of the exchange is nobody at the other endpoints.
func TestS5_6_AppIsNoOAuthClient(t *testing.T) {
	b := appBank(t)
	fields, raw := b.sessionOf("alice").access()
	for name, c := range map[string]call{
		"client_credentials": formCall(pathToken, formBasic(appKey, appSecret), "grant_type", "client_credentials"),
		"introspect":         formCall(pathIntrospect, formBasic(appKey, appSecret), "token", raw),
		"revoke":             formCall(pathRevoke, formBasic(appKey, appSecret), "token", raw),
		"bank's code":        codeCall().with("X-IBM-client-id", appKey).with("X-IBM-client-secret", appSecret),
		"bank's token":       formCall(pathS4Token, basic(appKey, appSecret), "grant_type", "authorization_code", "code", fields["accessCode"]),
	} {
		t.Run(name, func(t *testing.T) { b.do(c).wantError(t, 401, codeInvalidClient) })
	}
	b.wantVerdict(raw, token.Live)
}

func TestS5_5_DelinkUser(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	fields, raw := alice.access()
	others, otherRaw := alice.access()

	b.do(delinkCall(raw, "wrong", fields["userSecret"])).wantFailure(t, 401, "INVALID_CREDENTIALS")
	b.do(delinkCall(raw, appSecret, "wrong")).wantFailure(t, 401, "INVALID_CREDENTIALS")
	b.do(delinkCall(raw, appSecret, others["userSecret"])).wantFailure(t, 401, "INVALID_CREDENTIALS")
	b.do(delinkCall(fields["accessCode"], appSecret, fields["userSecret"])).wantFailure(t, 401, "INVALID_ACCESS_TOKEN")
	b.do(delinkCall(b.tokens().access, appSecret, fields["userSecret"])).wantFailure(t, 401, "INVALID_ACCESS_TOKEN")
	b.do(delinkCall(raw, appSecret, fields["userSecret"]).with("Authorization")).wantFailure(t, 401, "INVALID_ACCESS_TOKEN")
	b.wantVerdict(raw, token.Live)

	if a := b.do(delinkCall(raw, appSecret, fields["userSecret"])).ok(t); a.body != `{"success":true}` {
		t.Errorf("%s", a.body)
	}
	b.wantVerdict(raw, token.Revoked)
	b.wantVerdict(otherRaw, token.Live)
	b.do(delinkCall(raw, appSecret, fields["userSecret"])).wantFailure(t, 401, "INVALID_ACCESS_TOKEN")
	b.restart()
	if lease, err := b.authority.Check(raw); err == nil && b.authority.Judge(lease, b.clock.Now()) == token.Live {
		t.Error("a delinked token lives again after a restart")
	}
	b.wantVerdict(otherRaw, token.Live)
}

func TestS5_8_ErrorsHaveTheirForm(t *testing.T) {
	b := appBank(t)
	fields, raw := b.sessionOf("alice").access()
	good := exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])
	delink := delinkCall(raw, appSecret, fields["userSecret"])
	for name, test := range map[string]struct {
		call   call
		status int
		kind   string
	}{
		"GET":                  {good.by("GET"), 405, "METHOD_NOT_ALLOWED"},
		"PUT":                  {delink.by("PUT"), 405, "METHOD_NOT_ALLOWED"},
		"form":                 {good.with("Content-Type", "application/x-www-form-urlencoded"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"no content type":      {good.with("Content-Type"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"two content types":    {good.with("Content-Type", "application/json", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"1 MB":                 {good.withBody(`{"appSecret":"` + strings.Repeat("x", 1<<20) + `"}`), 413, "BODY_TOO_LARGE"},
		"repeated member":      {good.withBody(`{"appSecret":"a","appSecret":"b","accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"repeated by spelling": {good.withBody(`{"appSecret":"a","AppSecret":"b","accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"invalid UTF-8":        {good.withBody("{\"appSecret\":\"\xff\",\"accessCode\":\"c\",\"connectionID\":\"d\"}"), 400, "BAD_REQUEST"},
		"NUL":                  {good.withBody(`{"appSecret":"a\u0000","accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"lone surrogate":       {good.withBody(`{"appSecret":"\ud800","accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"missing member":       {good.withBody(`{"appSecret":"a","accessCode":"c"}`), 400, "BAD_REQUEST"},
		"null":                 {good.withBody(`{"appSecret":null,"accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"number":               {good.withBody(`{"appSecret":1,"accessCode":"c","connectionID":"d"}`), 400, "BAD_REQUEST"},
		"extra member":         {good.withBody(`{"appSecret":"a","accessCode":"c","connectionID":"d","x":1}`), 400, "BAD_REQUEST"},
		"trailing data":        {good.withBody(`{"appSecret":"a","accessCode":"c","connectionID":"d"}{}`), 400, "BAD_REQUEST"},
		"array":                {good.withBody(`[]`), 400, "BAD_REQUEST"},
		"empty":                {good.withBody(``), 400, "BAD_REQUEST"},
		"deep nesting":         {good.withBody(strings.Repeat("[", 60000)), 400, "BAD_REQUEST"},
		"secret in the query":  {good.withQuery("appSecret=x"), 400, "BAD_REQUEST"},
		"token in the query":   {delink.withQuery("access_token=x"), 400, "BAD_REQUEST"},
		"two Authorizations":   {delink.with("Authorization", "Bearer a", "Bearer b"), 400, "BAD_REQUEST"},
		"no token":             {delink.with("Authorization"), 401, "INVALID_ACCESS_TOKEN"},
		"made-up token":        {delink.with("Authorization", "Bearer cb_test_exchange_x"), 401, "INVALID_ACCESS_TOKEN"},
		"extra at delink":      {delink.withBody(`{"appSecret":"a","userSecret":"c","x":1}`), 400, "BAD_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) { b.do(test.call).wantFailure(t, test.status, test.kind) })
	}
	b.wantVerdict(raw, token.Live)
}

// Who guesses is slowed down by address, whatever connection he names.
func TestS5_8_GuessingIsThrottled(t *testing.T) {
	b := appBank(t)
	fields := b.sessionOf("alice").connected(appKey)
	for range wrongPerPair {
		b.do(exchangeCall("guess", fields["accessCode"], fields["connectionID"])).wantFailure(t, 401, "INVALID_CREDENTIALS")
	}
	a := b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"]))
	a.wantFailure(t, 429, "TOO_MANY_REQUESTS")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.clock.advance(time.Minute)
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(t)
}

func TestS5_8_StoreAwayIsUnavailable(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	fields := alice.connected(appKey)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).wantFailure(t, 503, "SERVICE_UNAVAILABLE")
	b.do(alice.get(connectPath(appKey, appAddress, goodState))).wantSays(t, 503)
}

// The secrets reach the app in a form, and the store keeps a hash.
func TestS5_1_NothingOfItStandsInAnAddress(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	page := b.do(alice.form(connectPath(appKey, appAddress, goodState), "decision", "allow", "scope.read:eft", "on"))
	fields := page.fields(t, appAddress)
	if page.header.Get("Location") != "" || page.header.Get("Refresh") != "" {
		t.Errorf("the page leads away by itself: %v", page.header)
	}
	for _, name := range []string{"accessCode", "userSecret"} {
		if strings.Count(page.body, fields[name]) != 1 {
			t.Errorf("%s stands %d times in the page", name, strings.Count(page.body, fields[name]))
		}
	}
	var connection store.Connection
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		connection, err = tx.Connection(b.env, fields["connectionID"])
		return err
	})
	if err != nil || connection.Token != fields["tokenID"] || strings.Contains(connection.UserSecret, fields["userSecret"]) {
		t.Errorf("the store has %+v, %v", connection, err)
	}
}
