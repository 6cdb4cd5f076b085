package issuer

import (
	"context"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// The whole flow, for a client with a secret and one without (S1.1, S1.2, S3.7,
// S3.8).
func TestS1_1_S3_7_S3_8_AuthorizationCodeFlow(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	for name, test := range map[string]struct{ client, secret, uri string }{
		"confidential": {appID, payerSecret, appURI},
		"public":       {spaID, "", spaURI},
		"native":       {nativeID, "", "http://127.0.0.1:4711/cb"},
	} {
		t.Run(name, func(t *testing.T) {
			q := query(test.client)
			page := w.ask(q).ok(t)
			for _, want := range []string{"The " + test.client, "See accounts", "All of EFT", "Account A1", "Ada Lovelace", "sandbox"} {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page does not say %q:\n%s", want, page.body)
				}
			}
			got := w.allow(q).back(t, test.uri)
			if got.Get("state") != "xyz" || got.Get("iss") != b.options.URL || got.Has("error") {
				t.Errorf("sent back with %v", got)
			}
			answered := b.do(redeemAt(test.client, test.secret, test.uri, got.Get("code"))).ok(t)
			if answered.field(t, "scope") != "read:accounts all:eft" || answered.field(t, "token_type") != "Bearer" {
				t.Errorf("answer %s", answered.body)
			}
			tokens := b.pairOf(answered)
			lease, err := b.authority.Check(tokens.access)
			if err != nil {
				t.Fatal(err)
			}
			if lease.Subject != adaID || lease.Client != test.client || !slices.Equal(lease.Accounts, []string{"A1"}) {
				t.Errorf("the token is %+v", lease.Facts)
			}
			b.wantVerdict(tokens.access, token.Live)
			renewal := formCall(pathToken, formBasic(test.client, test.secret), "grant_type", "refresh_token", "refresh_token", tokens.refresh)
			if test.secret == "" {
				renewal = formCall(pathToken, "", "grant_type", "refresh_token", "refresh_token", tokens.refresh, "client_id", test.client)
			}
			renewed := b.pairOf(b.do(renewal))
			if renewed.refresh == tokens.refresh || renewed.refresh == "" {
				t.Error("the refresh token did not rotate")
			}
			b.wantVerdict(renewed.access, token.Live)
		})
	}
}

// Redirect URIs are compared as strings (S3.5): where there is any doubt, the
// answer goes nowhere.
func TestS3_5_AuthorizeRedirectURIAttacks(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	one := func(uri string) string { return query(appID, "redirect_uri", uri) }
	raw := func(uri string) string { return query(appID, "redirect_uri", "") + "&redirect_uri=" + uri }
	for name, q := range map[string]string{
		"REDIRECT_URI-01 slash":                       one("https://app.test/cb/"),
		"REDIRECT_URI-02 query":                       one("https://app.test/cb?x=1"),
		"REDIRECT_URI-03 fragment":                    one("https://app.test/cb#f"),
		"REDIRECT_URI-04 case":                        one("https://app.test/CB"),
		"REDIRECT_URI-07 http":                        one("http://app.test/cb"),
		"REDIRECT_URI-10 NUL":                         one("https://app.test/cb\x00"),
		"REDIRECT_URI-10 NUL, escaped twice":          one("https://app.test/cb%00"),
		"REDIRECT_URI-11 CR LF":                       one("https://app.test/cb\r\nX:1"),
		"REDIRECT_URI-11 CR LF, escaped twice":        one("https://app.test/cb%0d%0aX:1"),
		"REDIRECT_URI-15 fragment hides the host":     one("https://evil.test/#@app.test/cb"),
		"REDIRECT_URI-16 slash in the user":           one("https://evil.test%2f@app.test/cb"),
		"REDIRECT_URI-19 relative":                    one("/cb"),
		"REDIRECT_URI-20 javascript":                  one("javascript:alert(1)//https://app.test/cb"),
		"REDIRECT_URI-21 data":                        one("data:text/html,x"),
		"REDIRECT_URI-22 punycode":                    one("https://xn--pp-xka.test/cb"),
		"REDIRECT_URI-23 semicolon":                   raw("https://app.test/cb;x"),
		"REDIRECT_URI-25 open redirector":             one("https://app.test/redirect?to=https://evil.test"),
		"REDIRECT_URI-26 localhost":                   one("http://localhost:1234/cb"),
		"REDIRECT_URI-28 escaped letter":              one("https://app.test/c%62"),
		"twice":                                       raw(url.QueryEscape(appURI) + "&redirect_uri=" + url.QueryEscape(appURI)),
		"another one first":                           raw("https%3A%2F%2Fevil.test&redirect_uri=" + url.QueryEscape(appURI)),
		"no UTF-8":                                    raw("%ff"),
		"bad escape":                                  raw("%zz"),
		"blank":                                       raw("+" + url.QueryEscape(appURI)),
		"AUTHORIZE-03 loopback, not registered":       one("http://127.0.0.1:4711/cb"),
		"AUTHORIZE-03 localhost for 127.0.0.1":        query(nativeID, "redirect_uri", "http://localhost:4711/cb"),
		"AUTHORIZE-03 another loopback address":       query(nativeID, "redirect_uri", "http://127.0.0.2:4711/cb"),
		"AUTHORIZE-03 loopback, user":                 query(nativeID, "redirect_uri", "http://127.0.0.1:4711@evil.test/cb"),
		"AUTHORIZE-03 loopback, another path":         query(nativeID, "redirect_uri", "http://127.0.0.1:4711/cb/x"),
		"AUTHORIZE-03 loopback, port that is none":    query(nativeID, "redirect_uri", "http://127.0.0.1:/cb"),
		"AUTHORIZE-03 loopback, port 0":               query(nativeID, "redirect_uri", "http://127.0.0.1:0/cb"),
		"AUTHORIZE-03 loopback, https":                query(nativeID, "redirect_uri", "https://127.0.0.1:4711/cb"),
		"AUTHORIZE-03 loopback as a label":            query(nativeID, "redirect_uri", "http://127.0.0.1.evil.test/cb"),
		"AUTHORIZE-04 left out, of two":               query(spaID, "redirect_uri", ""),
		"left out and empty, of two":                  query(spaID, "redirect_uri", "") + "&redirect_uri=",
		"client unknown":                              query("nobody", "redirect_uri", appURI),
		"client missing":                              query("", "redirect_uri", appURI),
		"client twice":                                query(appID) + "&client_id=" + appID,
		"client with NUL":                             query("app\x00"),
		"client switched off":                         query("gone", "redirect_uri", appURI),
		"client of the access code exchange":          query("exchange", "redirect_uri", appURI),
		"client without redirect URIs":                query("nowhere", "redirect_uri", appURI),
		"client without redirect URIs, and none here": query("nowhere", "redirect_uri", ""),
		"built-in client":                             query(store.PersonalClient, "redirect_uri", appURI),
		"nothing at all":                              "",
		"AUTHORIZE-12 state of 100 kB":                query(appID, "state", strings.Repeat("s", 100<<10)),
		"AUTHORIZE-12 state of more than 4 KiB":       query(appID, "state", strings.Repeat("s", 4<<10+1)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, got := range []*answer{w.ask(q), w.send(q, "x", "decision", "allow")} {
				if got.wantPage(t, 400, ""); got.header.Get("Location") != "" {
					t.Errorf("Location %q", got.header.Get("Location"))
				}
			}
		})
	}
}

func TestAuthorizeRedirectURIsThatAreGood(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	for name, test := range map[string]struct{ q, uri string }{
		"exact":                       {query(appID), appURI},
		"the only one, left out":      {query(appID, "redirect_uri", ""), appURI},
		"the only one, empty":         {query(appID, "redirect_uri", "") + "&redirect_uri=", appURI},
		"with a query of its own":     {query(spaID, "redirect_uri", "https://spa.test/other?x=1"), "https://spa.test/other?x=1"},
		"AUTHORIZE-03 loopback":       {query(nativeID, "redirect_uri", "http://127.0.0.1:49152/cb"), "http://127.0.0.1:49152/cb"},
		"AUTHORIZE-03 loopback, IPv6": {query(nativeID, "redirect_uri", "http://[::1]:49152/cb"), "http://[::1]:49152/cb"},
		"AUTHORIZE-03 as registered":  {query(nativeID, "redirect_uri", "http://127.0.0.1/cb"), "http://127.0.0.1/cb"},
		"an app's own scheme":         {query(nativeID, "redirect_uri", "com.example.app:/cb"), "com.example.app:/cb"},
	} {
		t.Run(name, func(t *testing.T) {
			page := w.ask(test.q).ok(t)
			want := map[string]string{
				"https://app.test/cb": "https://app.test", "https://spa.test/other?x=1": "https://spa.test",
				"http://127.0.0.1:49152/cb": "http://127.0.0.1:49152", "http://[::1]:49152/cb": "http:",
				"http://127.0.0.1/cb": "http://127.0.0.1", "com.example.app:/cb": "com.example.app:",
			}[test.uri]
			if csp := page.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' "+want) {
				t.Errorf("Content-Security-Policy %q does not let the form lead to %s", csp, want)
			}
			if code := w.allow(test.q).back(t, test.uri).Get("code"); code == "" {
				t.Error("no code")
			}
		})
	}
}

// What is wrong with the rest of a request the client is told, with its state as
// it came and the issuer's name (METADATA-04, SENDER-CONSTRAINT-EXT-25).
func TestAuthorizeErrorsThatTheClientIsTold(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	long := strings.Repeat("x", 44)
	for name, test := range map[string]struct{ q, code, state string }{
		"no response type":                        {query(appID, "response_type", ""), "invalid_request", "xyz"},
		"RFC 9700 §2.1.2 implicit grant":          {query(appID, "response_type", "token"), "unsupported_response_type", "xyz"},
		"hybrid":                                  {query(appID, "response_type", "code token"), "unsupported_response_type", "xyz"},
		"ID token":                                {query(appID, "response_type", "id_token"), "unsupported_response_type", "xyz"},
		"AUTHORIZE-11 fragment":                   {query(appID, "response_mode", "fragment"), "invalid_request", "xyz"},
		"form_post":                               {query(appID, "response_mode", "form_post"), "invalid_request", "xyz"},
		"response type twice":                     {query(appID) + "&response_type=code", "invalid_request", "xyz"},
		"scope twice":                             {query(appID) + "&scope=read:accounts", "invalid_request", "xyz"},
		"state twice":                             {query(appID) + "&state=abc", "invalid_request", ""},
		"unknown parameter twice":                 {query(appID) + "&a=1&a=2", "invalid_request", "xyz"},
		"request object":                          {query(appID, "request", "eyJ"), "request_not_supported", "xyz"},
		"request_uri":                             {query(appID, "request_uri", "https://evil.test/"), "request_uri_not_supported", "xyz"},
		"AUTHORIZE-07 unknown scope":              {query(appID, "scope", "read:nothing"), "invalid_scope", "xyz"},
		"UI-16 scope that is not the client's":    {query(appID, "scope", "write:loans"), "invalid_scope", "xyz"},
		"scope with a quote":                      {query(appID, "scope", `a"b`), "invalid_scope", "xyz"},
		"scope of 4200 bytes":                     {query(appID, "scope", strings.Repeat("ab ", 1400)), "invalid_scope", "xyz"},
		"RFC 8707 another resource":               {query(appID, "resource", "https://other.test"), "invalid_target", "xyz"},
		"RFC 8707 resource with a slash":          {query(appID, "resource", "https://api.test/"), "invalid_target", "xyz"},
		"PKCE-01 none, public":                    {query(spaID, "code_challenge", "", "code_challenge_method", ""), "invalid_request", "xyz"},
		"PKCE-01 none, confidential":              {query(appID, "code_challenge", "", "code_challenge_method", ""), "invalid_request", "xyz"},
		"PKCE-01 none, optional and no state":     {query(oldID, "code_challenge", "", "code_challenge_method", "", "state", ""), "invalid_request", ""},
		"PKCE-02 plain":                           {query(spaID, "code_challenge_method", "plain"), "invalid_request", "xyz"},
		"PKCE-02 no method":                       {query(spaID, "code_challenge_method", ""), "invalid_request", "xyz"},
		"PKCE-02 plain where PKCE is optional":    {query(oldID, "code_challenge_method", "plain"), "invalid_request", "xyz"},
		"PKCE-03 s256":                            {query(spaID, "code_challenge_method", "s256"), "invalid_request", "xyz"},
		"PKCE-03 S512":                            {query(spaID, "code_challenge_method", "S512"), "invalid_request", "xyz"},
		"PKCE method without a challenge":         {query(oldID, "code_challenge", ""), "invalid_request", "xyz"},
		"PKCE challenge too short":                {query(spaID, "code_challenge", "abc"), "invalid_request", "xyz"},
		"PKCE challenge too long":                 {query(spaID, "code_challenge", long), "invalid_request", "xyz"},
		"PKCE challenge padded":                   {query(spaID, "code_challenge", long[:43]+"="), "invalid_request", "xyz"},
		"PKCE challenge with other trailing bits": {query(spaID, "code_challenge", long[:42]+"B"), "invalid_request", "xyz"},
		"prompt that is not known":                {query(appID, "prompt", "junk"), "invalid_request", "xyz"},
		"prompt none and another":                 {query(appID, "prompt", "none login"), "invalid_request", "xyz"},
		"prompt none, signed in":                  {query(appID, "prompt", "none"), "consent_required", "xyz"},
		"state, byte for byte":                    {query(appID, "response_type", "", "state", "a b+%2F&=é\"<>\\\r\n\t#"), "invalid_request", "a b+%2F&=é\"<>\\\r\n\t#"},
		"state of 4 KiB":                          {query(appID, "response_type", "", "state", strings.Repeat("~", 4<<10)), "invalid_request", strings.Repeat("~", 4<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := url.ParseQuery(test.q)
			if err != nil {
				t.Fatal(err)
			}
			w.ask(test.q).wantBack(t, b, asked.Get("redirect_uri"), test.code, test.state)
		})
	}
	t.Run("prompt none, nobody signed in", func(t *testing.T) {
		appUser{b, ""}.ask(query(appID, "prompt", "none")).wantBack(t, b, appURI, "login_required", "xyz")
	})
}

func TestAuthorizeRequestsThatAreGood(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	for name, test := range map[string]struct{ q, scope string }{
		"no scope: what is not hidden":     {query(appID, "scope", ""), "read:accounts all:eft"},
		"hidden, by its name":              {query(appID, "scope", "admin:eft"), "admin:eft"},
		"RFC 8707 the resource":            {query(appID, "resource", "https://api.test"), "read:accounts all:eft"},
		"response mode query":              {query(appID, "response_mode", "query"), "read:accounts all:eft"},
		"no state":                         {query(appID, "state", ""), "read:accounts all:eft"},
		"parameters that nobody knows":     {query(appID, "display", "page", "nonce", "1", "max_age", "0"), "read:accounts all:eft"},
		"a part of what the client may do": {query(appID, "scope", "read:eft"), "read:eft"},
		"prompt consent":                   {query(appID, "prompt", "consent"), "read:accounts all:eft"},
		"prompt login, just signed in":     {query(appID, "prompt", "login"), "read:accounts all:eft"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(redeemAt(appID, payerSecret, appURI, w.userCode(test.q, appURI))).ok(t)
			if got.field(t, "scope") != test.scope {
				t.Errorf("scope %q, want %q", got.field(t, "scope"), test.scope)
			}
		})
	}
	t.Run("no state comes back where none was sent", func(t *testing.T) {
		if got := w.allow(query(appID, "state", "")).back(t, appURI); got.Has("state") {
			t.Errorf("%v", got)
		}
	})
}

func TestAuthorizeWithoutASession(t *testing.T) {
	b := newPeople(t)
	q := query(appID)
	want := "/login?next=" + url.QueryEscape(pathAuthorize+"?"+q)
	if got := (appUser{b, ""}).ask(q); got.status != 303 || got.header.Get("Location") != want {
		t.Errorf("got %d to %q, want %q", got.status, got.header.Get("Location"), want)
	}
	// The form of somebody whose session ended asks again.
	if got := (appUser{b, ""}).send(q, "x", "decision", "allow"); got.status != 303 || got.header.Get("Location") != want {
		t.Errorf("got %d to %q, want %q", got.status, got.header.Get("Location"), want)
	}
	t.Run("prompt login asks for the password again", func(t *testing.T) {
		w, q := b.asUser(adaID), query(appID, "prompt", "login")
		csrf := w.csrf(q)
		b.clock.advance(stepUpLife + time.Second)
		if got := w.ask(q); got.status != 303 || !strings.HasPrefix(got.header.Get("Location"), "/login?") || !strings.Contains(got.header.Get("Location"), "confirm=1") {
			t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
		}
		// Who was shown the page in time may read it.
		w.send(q, csrf, "decision", "deny").wantBack(t, b, appURI, "access_denied", "xyz")
		b.clock.advance(consentTime)
		if got := w.send(q, csrf, "decision", "deny"); !strings.HasPrefix(got.header.Get("Location"), "/login?") {
			t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
		}
	})
}

// From the app to the sign-in page, to the consent page and back, as a browser
// goes: whatever the request holds finds its way.
func TestAuthorizeLeadsThroughTheSignInPage(t *testing.T) {
	b := newPeople(t)
	b.putUser(aliceID, alicePassword)
	b.update(func(tx store.Writer) error {
		alice, err := tx.Principal(b.env, aliceID)
		alice.MaxScopes = []string{"read:accounts"}
		return errors.Join(err, tx.PutPrincipal(alice))
	})
	state := strings.Repeat("ü&=+ %#?/", 60)
	q := query(appID, "state", state, "prompt", "login")
	v := b.visitor()
	toSignIn := v.get(pathAuthorize + "?" + q).header.Get("Location")
	if !strings.HasPrefix(toSignIn, pathLogin+"?") {
		t.Fatalf("sent to %q", toSignIn)
	}
	next := nextField.FindStringSubmatch(v.get(toSignIn).ok(t).body)
	if next == nil {
		t.Fatal("the sign-in page does not know where to go on")
	}
	v.post(pathLogin, "user", aliceID, "password", alicePassword, "next", html.UnescapeString(next[1])).wantRedirect(t, pathAuthorize+"?"+q)
	page := v.get(pathAuthorize+"?"+q).wantPage(t, 200, "asks for access")
	action := formAction.FindStringSubmatch(page.body)
	if action == nil {
		t.Fatal("the page has no form")
	}
	got := v.post(html.UnescapeString(action[1]), "csrf", v.csrf(), "decision", "allow", "duration", "hour").back(t, appURI)
	if got.Get("state") != state {
		t.Errorf("state %q", got.Get("state"))
	}
	b.do(redeemAt(appID, payerSecret, appURI, got.Get("code"))).ok(t)
}

var (
	nextField  = regexp.MustCompile(`name="next" value="([^"]*)"`)
	formAction = regexp.MustCompile(`method="post" action="([^"]*oauth2[^"]*)"`)
)

// UI-17: nothing that the form says goes beyond what was asked for and what the
// person has.
func TestConsentFormAttacks(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	q := query(appID, "scope", "read:accounts")
	csrf := w.csrf(q)
	t.Run("UI-17 scopes and accounts added", func(t *testing.T) {
		sent := w.send(q, csrf, "decision", "allow", "duration", "month", "account:A1", "on", "account:A3", "on", "account:X9", "on",
			"scope", "all:eft admin:eft", "scope:all:eft", "on", "client_id", spaID, "redirect_uri", "https://evil.test", "state", "other")
		got := sent.back(t, appURI)
		if got.Get("state") != "xyz" {
			t.Errorf("sent back with %v", got)
		}
		lease, err := b.authority.Check(b.pairOf(b.do(redeemAt(appID, payerSecret, appURI, got.Get("code")))).access)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lease.Scopes, []string{"read:accounts"}) || !slices.Equal(lease.Accounts, []string{"A1"}) {
			t.Errorf("the token is %+v", lease.Facts)
		}
	})
	for name, test := range map[string]struct {
		csrf   string
		fields []string
		status int
		says   string
	}{
		"no csrf":                       {"", []string{"decision", "allow", "account:A1", "on", "duration", "month"}, 403, "not of your present session"},
		"csrf of another session":       {b.asUser(adaID).csrf(q), []string{"decision", "allow", "account:A1", "on", "duration", "month"}, 403, "not of your present session"},
		"no decision":                   {csrf, []string{"account:A1", "on", "duration", "month"}, 400, "decision must be"},
		"another decision":              {csrf, []string{"decision", "yes", "account:A1", "on", "duration", "month"}, 400, "decision must be"},
		"no account":                    {csrf, []string{"decision", "allow", "duration", "month"}, 400, "Tick at least one account"},
		"somebody else's account":       {csrf, []string{"decision", "allow", "account:X9", "on", "duration", "month"}, 400, "Tick at least one account"},
		"an account that is closed":     {csrf, []string{"decision", "allow", "account:A3", "on", "duration", "month"}, 400, "Tick at least one account"},
		"no duration":                   {csrf, []string{"decision", "allow", "account:A1", "on"}, 400, "Choose how long"},
		"a duration that isn't offered": {csrf, []string{"decision", "allow", "account:A1", "on", "duration", "1000000h"}, 400, "Choose how long"},
	} {
		t.Run(name, func(t *testing.T) {
			w.send(q, test.csrf, test.fields...).wantPage(t, test.status, test.says)
		})
	}
	t.Run("UI-03 form of another site", func(t *testing.T) {
		c := formCall(pathAuthorize+"?"+q, "", "csrf", csrf, "decision", "allow", "account:A1", "on", "duration", "month")
		b.do(c.with("Cookie", w.cookie).with("Sec-Fetch-Site", "cross-site")).wantPage(t, 403, "another site")
		b.do(c.with("Cookie", w.cookie).with("Origin", "https://evil.test")).wantPage(t, 403, "another site")
	})
	if n := grantsOf(b, appID); n != 1 {
		t.Errorf("%d grants, want the one of the form that was good", n)
	}
}

func grantsOf(b *bank, client string) (n int) {
	b.Helper()
	err := b.store.View(context.Background(), func(tx store.Reader) error {
		grants, err := tx.Grants(b.env, store.GrantFilter{Client: client})
		n = len(grants)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func TestConsentDenied(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	w.send(query(appID), w.csrf(query(appID)), "decision", "deny").wantBack(t, b, appURI, "access_denied", "xyz")
	if n := grantsOf(b, appID); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// What a person may not do cannot be allowed, and what it may do in part only in
// that part (S1.2).
func TestS1_2_ConsentIsCutToWhatThePersonMayDo(t *testing.T) {
	b := newPeople(t)
	b.update(func(tx store.Writer) error {
		p := b.principal("part", "", store.User, "read:eft", "write:loans")
		return errors.Join(tx.PutPrincipal(p), tx.PutBinding(store.Binding{Environment: b.env, Principal: "part", Account: "X9", Access: store.Full, Source: store.FromCommand}))
	})
	t.Run("a part", func(t *testing.T) {
		w := b.asUser("part")
		page := w.ask(query(appID)).ok(t)
		if !strings.Contains(page.body, "See EFT payments") || strings.Contains(page.body, "All of EFT") || strings.Contains(page.body, "See accounts") {
			t.Errorf("the page offers something else:\n%s", page.body)
		}
		if !strings.Contains(page.body, `name="account:X9" value="on" checked`) {
			t.Errorf("the only account is not ticked:\n%s", page.body)
		}
		code := w.allow(query(appID), "account:X9", "on").back(t, appURI).Get("code")
		if got := b.do(redeemAt(appID, payerSecret, appURI, code)).ok(t).field(t, "scope"); got != "read:eft" {
			t.Errorf("scope %q", got)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		w := b.asUser("poor")
		w.ask(query(appID)).wantPage(t, 200, "Nothing of what it asks for is yours to allow")
		w.allow(query(appID)).wantPage(t, 400, "Nothing of what it asks for is yours to allow")
		w.send(query(appID), w.csrf(query(appID)), "decision", "deny").wantBack(t, b, appURI, "access_denied", "xyz")
	})
	t.Run("no accounts", func(t *testing.T) {
		b.update(func(tx store.Writer) error {
			return tx.PutPrincipal(b.principal("unbound", "", store.User, "read:accounts"))
		})
		code := b.asUser("unbound").userCode(query(appID), appURI)
		lease, err := b.authority.Check(b.pairOf(b.do(redeemAt(appID, payerSecret, appURI, code))).access)
		if err != nil || len(lease.Accounts) != 0 {
			t.Errorf("%v, %+v", err, lease)
		}
	})
}

// RFC 9700 as far as a page can break it: UI-04, UI-05, UI-06, UI-14.
func TestConsentPageIsSafe(t *testing.T) {
	b := newPeople(t)
	evil := `<script>alert(1)</script>` + "\u202eevil\x00\u200b" + strings.Repeat("x", 10_000)
	b.update(func(tx store.Writer) error {
		c := b.client("evil", payerSecret, "read:accounts")
		c.Name, c.Description, c.RedirectURIs = evil, evil, []string{"https://evil.test/cb"}
		return tx.PutClient(c)
	})
	w := b.asUser(adaID)
	page := w.ask(query("evil", "redirect_uri", "https://evil.test/cb", "scope", "read:accounts", "state", `"><img src=x onerror=1>`)).ok(t)
	if strings.Contains(withoutOwnScript(page.body), "<script") || strings.Contains(page.body, "\u202e") || strings.Contains(page.body, "\u200b") || strings.Contains(page.body, "<img") {
		t.Error("the page holds what the client wrote as it is")
	}
	if len(page.body) > 8<<10 {
		t.Errorf("UI-05: the page has %d bytes", len(page.body))
	}
	for _, a := range []*answer{page, w.ask(query("nobody", "error", "<svg onload=1>"))} {
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Access-Control-Allow-Origin": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'") {
			t.Errorf("Content-Security-Policy %q", csp)
		}
		if strings.Contains(a.body, "onload") {
			t.Error("UI-06: the page holds what the request says")
		}
	}
	back := w.allow(query(appID))
	if back.header.Get("Referrer-Policy") != "no-referrer" || back.header.Get("Cache-Control") != "no-store" {
		t.Errorf("UI-14: the answer with the code has %v", back.header)
	}
}

func TestConsentListsTheWorstFirst(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	page := w.ask(query(appID, "scope", "read:accounts all:eft admin:eft")).ok(t).body
	at := func(s string) int {
		k := strings.Index(page, s)
		if k < 0 {
			t.Fatalf("the page does not say %q:\n%s", s, page)
		}
		return k
	}
	if at("EFT desk") > at("All of EFT") || at("All of EFT") > at("See accounts") || at("acts on others") > at("moves money") {
		t.Errorf("the order is another:\n%s", page)
	}
	at("includes: <bdi>See EFT payments</bdi>; <bdi>Send EFT payments</bdi>")
	at("place, change or cancel orders")
	if strings.Contains(page, "move money out of an account") || strings.Contains(page, "checked") && strings.Contains(page, `value="on" checked`) {
		t.Error("the page says that it can't move money, or ticks one of several accounts")
	}
	if !strings.Contains(w.ask(query(spaID)).body, "Registered by <bdi>Ada Lovelace</bdi>") || !strings.Contains(page, "Registered by an operator") {
		t.Error("the page does not say who registered the app")
	}
}

// A form with something missing comes back as it was sent.
func TestConsentPageKeepsWhatWasChosen(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	csrf := w.csrf(query(appID))
	page := w.send(query(appID), csrf, "decision", "allow", "account:A2", "on").body
	if !strings.Contains(page, `name="account:A2" value="on" checked`) || strings.Contains(page, `name="account:A1" value="on" checked`) {
		t.Errorf("the account that was ticked is not:\n%s", page)
	}
	page = w.send(query(appID), csrf, "decision", "allow", "duration", "hour").body
	if !strings.Contains(page, `value="hour" checked`) || strings.Contains(page, `value="month" checked`) {
		t.Errorf("the duration that was chosen is not:\n%s", page)
	}
}

// People see where they go on to, in words for what is on their own device.
func TestConsentPageSaysWhereItLeads(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	for uri, says := range map[string]string{
		"http://127.0.0.1:4711/cb": "a program on this device ( 127.0.0.1:4711 )",
		"http://[::1]:4711/cb":     "a program on this device ( [::1]:4711 )",
		"com.example.app:/cb":      "an app on this device ( com.example.app )",
	} {
		text := strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(w.ask(query(nativeID, "redirect_uri", uri)).body, " "))), " ")
		if !strings.Contains(text, says) {
			t.Errorf("%s: the page says %q, want %q in it", uri, text, says)
		}
	}
}

// How long the app keeps access is for the person to say.
func TestConsentDuration(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	tokens := func(duration string) pair {
		code := w.allow(query(appID), "duration", duration).back(t, appURI).Get("code")
		return b.pairOf(b.do(redeemAt(appID, payerSecret, appURI, code)))
	}
	renew := func(p pair) *answer {
		return b.do(formCall(pathToken, formBasic(appID, payerSecret), "grant_type", "refresh_token", "refresh_token", p.refresh))
	}
	hour, open := tokens("hour"), tokens("revoked")
	b.clock.advance(55 * time.Minute)
	renewed := renew(hour).ok(t)
	if got := renewed.body; !strings.Contains(got, `"expires_in":300`) {
		t.Errorf("an access token outlives its grant: %s", got)
	}
	b.clock.advance(5 * time.Minute)
	renew(b.pairOf(renewed)).wantError(t, 400, "invalid_grant")
	if _, err := b.authority.Check(renewed.field(t, "access_token")); err == nil {
		t.Error("an access token lives longer than its grant")
	}
	b.clock.advance(30 * 24 * time.Hour)
	renew(open).ok(t)
}

func TestPKCEAtTheTokenEndpoint(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	challenge := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for name, test := range map[string]struct {
		q, client, secret, uri string
		changes                []string
	}{
		"missing":                        {query(spaID), spaID, "", spaURI, []string{"code_verifier", ""}},
		"missing, confidential":          {query(appID), appID, payerSecret, appURI, []string{"code_verifier", ""}},
		"wrong":                          {query(spaID), spaID, "", spaURI, []string{"code_verifier", strings.Repeat("a", 43)}},
		"PKCE-08 the challenge itself":   {query(spaID, "code_challenge", challenge), spaID, "", spaURI, []string{"code_verifier", challenge}},
		"PKCE-09 42 characters":          {query(spaID, "code_challenge", sha256Base64(testVerifier[:42])), spaID, "", spaURI, []string{"code_verifier", testVerifier[:42]}},
		"PKCE-09 129 characters":         {query(spaID, "code_challenge", sha256Base64(strings.Repeat("a", 129))), spaID, "", spaURI, []string{"code_verifier", strings.Repeat("a", 129)}},
		"PKCE-09 others than unreserved": {query(spaID, "code_challenge", sha256Base64(strings.Repeat("a+", 30))), spaID, "", spaURI, []string{"code_verifier", strings.Repeat("a+", 30)}},
		"without a challenge": {query(oldID, "code_challenge", "", "code_challenge_method", ""), oldID, oldSecret, "https://old.test/cb",
			[]string{"code_verifier", testVerifier}},
		"optional, but a challenge was sent": {query(oldID), oldID, oldSecret, "https://old.test/cb", []string{"code_verifier", ""}},
		"another redirect URI":               {query(spaID), spaID, "", spaURI, []string{"redirect_uri", "https://spa.test/other?x=1"}},
		"no redirect URI":                    {query(spaID), spaID, "", spaURI, []string{"redirect_uri", ""}},
		"another port":                       {query(nativeID), nativeID, "", "http://127.0.0.1:4711/cb", []string{"redirect_uri", "http://127.0.0.1:4712/cb"}},
	} {
		t.Run(name, func(t *testing.T) {
			code := w.userCode(test.q, test.uri)
			b.do(redeemAt(test.client, test.secret, test.uri, code, test.changes...)).wantError(t, 400, "invalid_grant")
			// It is burnt.
			b.do(redeemAt(test.client, test.secret, test.uri, code)).wantError(t, 400, "invalid_grant")
		})
	}
	t.Run("S3.7 optional, and none was sent", func(t *testing.T) {
		code := w.userCode(query(oldID, "code_challenge", "", "code_challenge_method", ""), "https://old.test/cb")
		b.do(redeemAt(oldID, oldSecret, "https://old.test/cb", code, "code_verifier", "")).ok(t)
	})
	t.Run("PKCE-10 one challenge twice", func(t *testing.T) {
		first, second := w.userCode(query(spaID), spaURI), w.userCode(query(spaID), spaURI)
		if first == second {
			t.Error("one code")
		}
		b.do(redeemAt(spaID, "", spaURI, first)).ok(t)
		b.do(redeemAt(spaID, "", spaURI, second)).ok(t)
	})
}

func TestCodeAttacks(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	t.Run("CODE-01 replayed", func(t *testing.T) {
		for _, c := range []struct{ client, secret, uri string }{{appID, payerSecret, appURI}, {spaID, "", spaURI}} {
			code := w.userCode(query(c.client), c.uri)
			tokens := b.pairOf(b.do(redeemAt(c.client, c.secret, c.uri, code)))
			b.do(redeemAt(c.client, c.secret, c.uri, code)).wantError(t, 400, "invalid_grant")
			b.wantVerdict(tokens.access, token.Revoked)
		}
	})
	t.Run("expired", func(t *testing.T) {
		code := w.userCode(query(appID), appURI)
		b.clock.advance(time.Minute)
		b.do(redeemAt(appID, payerSecret, appURI, code)).wantError(t, 400, "invalid_grant")
	})
	t.Run("of another client", func(t *testing.T) {
		code := w.userCode(query(appID), appURI)
		b.do(redeemAt(spaID, "", appURI, code)).wantError(t, 400, "invalid_grant")
		b.do(redeemAt(appID, payerSecret, appURI, code)).wantError(t, 400, "invalid_grant")
	})
	t.Run("garbage", func(t *testing.T) {
		b.do(redeemAt(spaID, "", spaURI, "x")).wantError(t, 400, "invalid_grant")
		b.do(redeemAt(spaID, "", spaURI, w.spaTokens().refresh)).wantError(t, 400, "invalid_grant")
		b.do(redeemAt(spaID, "", spaURI, "", "code", "")).wantError(t, 400, "invalid_request")
	})
	t.Run("RFC 8707 another resource", func(t *testing.T) {
		code := w.userCode(query(appID), appURI)
		b.do(redeemAt(appID, payerSecret, appURI, code, "resource", "https://other.test")).wantError(t, 400, "invalid_target")
		b.do(redeemAt(appID, payerSecret, appURI, code, "resource", "https://api.test")).ok(t)
	})
	t.Run("user switched off since", func(t *testing.T) {
		code := w.userCode(query(appID), appURI)
		off := b.principal(adaID, "", store.User, "read:accounts", "all:eft", "admin:eft")
		off.Status = store.Disabled
		b.update(func(tx store.Writer) error { return tx.PutPrincipal(off) })
		b.do(redeemAt(appID, payerSecret, appURI, code)).wantError(t, 400, "invalid_grant")
	})
}

// A public client names itself and proves nothing: whatever pretends otherwise
// is refused, and so is a confidential one that does the same.
func TestPublicClientAuthentication(t *testing.T) {
	b := newPeople(t)
	tokens := b.asUser(adaID).spaTokens()
	refresh := []string{"grant_type", "refresh_token", "refresh_token", tokens.refresh}
	with := func(authorization string, pairs ...string) call {
		return formCall(pathToken, authorization, append(slices.Clone(refresh), pairs...)...)
	}
	for name, test := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"a secret":                     {with("", "client_id", spaID, "client_secret", "x"), 401, "invalid_client"},
		"Basic":                        {with(basic(spaID, "x")), 401, "invalid_client"},
		"Basic without a secret":       {with(basic(spaID, "")), 401, "invalid_client"},
		"Bearer":                       {with("Bearer "+tokens.access, "client_id", spaID), 401, "invalid_client"},
		"nobody":                       {with(""), 401, "invalid_client"},
		"unknown":                      {with("", "client_id", "nobody"), 401, "invalid_client"},
		"confidential, no secret":      {with("", "client_id", appID), 401, "invalid_client"},
		"switched off":                 {with("", "client_id", "gone"), 401, "invalid_client"},
		"exchange app":                 {with("", "client_id", "exchange"), 401, "invalid_client"},
		"exchange app, secret":         {with(formBasic("exchange", payerSecret)), 401, "invalid_client"},
		"built-in":                     {with("", "client_id", store.PersonalClient), 401, "invalid_client"},
		"client_id with NUL":           {formCall(pathToken, "", "grant_type", "refresh_token", "refresh_token", "x", "client_id", "spa\x00"), 400, "invalid_request"},
		"client_credentials":           {formCall(pathToken, "", "grant_type", "client_credentials", "client_id", spaID), 400, "unauthorized_client"},
		"AUTHORIZE-10 password grant":  {formCall(pathToken, "", "grant_type", "password", "username", "a", "password", "b", "client_id", spaID), 400, "unsupported_grant_type"},
		"introspection":                {formCall(pathIntrospect, "", "token", tokens.access, "client_id", spaID), 401, "invalid_client"},
		"revocation, confidential":     {formCall(pathRevoke, "", "token", tokens.access, "client_id", appID), 401, "invalid_client"},
		"revocation, another client's": {formCall(pathRevoke, "", "token", tokens.access, "client_id", nativeID), 400, "invalid_grant"},
		"refresh, another client's":    {with("", "client_id", nativeID), 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) { b.do(test.call).wantError(t, test.status, test.code) })
	}
	b.wantVerdict(tokens.access, token.Live)
	b.do(formCall(pathRevoke, "", "token", tokens.refresh, "client_id", spaID)).ok(t)
	b.wantVerdict(tokens.access, token.Revoked)
	b.do(with("", "client_id", spaID)).wantError(t, 400, "invalid_grant")
}

// A public client may repeat a renewal once, at once, and while nobody has gone
// on from the answer that got lost.
func TestPublicClientRetriesARenewal(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	renew := func(refresh string) *answer {
		return b.do(formCall(pathToken, "", "grant_type", "refresh_token", "refresh_token", refresh, "client_id", spaID))
	}
	t.Run("once", func(t *testing.T) {
		first := w.spaTokens()
		second := b.pairOf(renew(first.refresh))
		b.clock.advance(9 * time.Second)
		if again := b.pairOf(renew(first.refresh)); again.refresh != second.refresh {
			t.Error("a retry made another successor")
		}
		renew(first.refresh).wantError(t, 400, "invalid_grant")
		b.wantVerdict(second.access, token.Revoked)
	})
	t.Run("too late", func(t *testing.T) {
		first := w.spaTokens()
		second := b.pairOf(renew(first.refresh))
		b.clock.advance(11 * time.Second)
		renew(first.refresh).wantError(t, 400, "invalid_grant")
		b.wantVerdict(second.access, token.Revoked)
	})
	t.Run("after its successor was used", func(t *testing.T) {
		first := w.spaTokens()
		third := b.pairOf(renew(b.pairOf(renew(first.refresh)).refresh))
		renew(first.refresh).wantError(t, 400, "invalid_grant")
		b.wantVerdict(third.access, token.Revoked)
	})
}

// What is taken from the person is gone at the next request, while the refresh
// token lives on (S3.9, REFRESH-06).
func TestS3_9_TokensAreCutToPresentRights(t *testing.T) {
	b := newPeople(t)
	w := b.asUser(adaID)
	tokens := w.pairOf(b.do(redeemAt(appID, payerSecret, appURI,
		w.allow(query(appID), "account:A2", "on").back(t, appURI).Get("code"))))
	ada := b.principal(adaID, "", store.User, "read:accounts", "read:eft")
	b.update(func(tx store.Writer) error {
		if err := tx.PutPrincipal(ada); err != nil {
			return err
		}
		if err := tx.DeleteBinding(b.env, adaID, "A2"); err != nil {
			return err
		}
		_, err := tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindRights, Target: adaID, At: b.clock.Now()})
		return err
	})
	b.wantVerdict(tokens.access, token.RightsChanged)
	renewed := b.do(formCall(pathToken, formBasic(appID, payerSecret), "grant_type", "refresh_token", "refresh_token", tokens.refresh)).ok(t)
	if got := renewed.field(t, "scope"); got != "read:accounts read:eft" {
		t.Errorf("scope %q", got)
	}
	lease, err := b.authority.Check(renewed.field(t, "access_token"))
	if err != nil || !slices.Equal(lease.Accounts, []string{"A1"}) {
		t.Errorf("%v, %+v", err, lease)
	}
}

func TestCORSOfTheIssuer(t *testing.T) {
	b := newPeople(t)
	preflight := func(path, origin string) *answer {
		return b.do(call{method: "OPTIONS", path: path, header: http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}}})
	}
	for _, path := range []string{pathToken, pathRevoke} {
		got := preflight(path, "https://spa.test")
		if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://spa.test" || got.header.Get("Vary") != "Origin" {
			t.Errorf("CORS-01: %s: %d %v", path, got.status, got.header)
		}
		for _, origin := range []string{"null", "https://app.test", "https://spa.test:8443", "http://spa.test", "https://evil.test", "https://spa.test.evil.test", "*", "com.example.app:"} {
			got := preflight(path, origin)
			if got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("CORS-03: %s from %s: %d %v", path, origin, got.status, got.header)
			}
		}
	}
	// An error can be read as well.
	got := b.do(redeemAt(spaID, "", spaURI, "x").with("Origin", "https://spa.test"))
	if got.status != 400 || got.header.Get("Access-Control-Allow-Origin") != "https://spa.test" || got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	for path, want := range map[string]string{pathJWKS: "*", wellKnown: "*", pathAuthorize: "", pathS4Token: "", pathIntrospect: "", pathSelf: ""} {
		got := b.do(call{method: "GET", path: path, header: http.Header{"Origin": {"https://spa.test"}}})
		if got.header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: %v", path, got.header)
		}
	}
}
