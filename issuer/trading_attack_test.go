package issuer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// A session that was stolen, without the password, makes and shows nothing.
func TestS2_3_StolenSessionCannotShowTradingTokens(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	made := alice.newShared("T1")
	b.clock.advance(stepUpLife + time.Second)
	for _, c := range []call{
		alice.form(pathTradingShow, "token", made.id), alice.form(pathTradingTokens, "account", "T1"),
	} {
		b.do(c).wantSignIn(t, c.path, true)
	}
	// Where the form named its account, the browser comes back to its page.
	c := alice.form(pathTradingShow+"?account=T1", "token", made.id)
	b.do(c).wantSignIn(t, pathTradingShow+"?account=T1", true)
	if got := alice.get(pathTradingShow + "?account=T1"); got.status != 303 || got.header.Get("Location") != pathTradingTokens+"?account=T1" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if shown, created := b.events("token.show"), b.events("token.create"); len(shown) != 1 || len(created) != 1 {
		t.Errorf("audit trail: %v %v", shown, created)
	}
	if got := alice.revokeToken(made.id); got.status != 303 {
		t.Errorf("ending one must not wait for a password: %d", got.status)
	}
}

func TestTradingPagesNeedASession(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	ended := b.trader("bob")
	b.update(func(tx store.Writer) error {
		_, hash, _ := b.issuer.presented(&http.Request{Header: http.Header{"Cookie": {ended.cookie}}})
		return tx.DeleteSession(b.env, hash)
	})
	for name, w := range map[string]trader{
		"none": {b, "x=y", ""}, "ended": ended, "made up": {b, b.issuer.sessionCookie() + "=cb_test_session_x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.get(pathTradingTokens+"?account=T1").wantSignIn(t, pathTradingTokens+"?account=T1", false)
			w.create("T1").wantSignIn(t, pathTradingTokens, false)
			w.show(made.id).wantSignIn(t, pathTradingShow, false)
			w.revokeToken(made.id).wantSignIn(t, pathTradingRevoke, false)
		})
	}
	b.mint(made.raw)
}

func TestForgedFormsChangeNoTradingToken(t *testing.T) {
	b := newDesk(t, nil)
	alice, bob := b.trader("alice"), b.trader("bob")
	made := alice.newShared("T1")
	for path, pairs := range map[string][]string{
		pathTradingTokens: {"account", "T1"}, pathTradingShow: {"token", made.id}, pathTradingRevoke: {"token", made.id},
	} {
		c := alice.form(path, pairs...)
		for name, forged := range map[string]call{
			"without the field":    formCall(path, "", pairs...).with("Cookie", alice.cookie),
			"empty field":          formCall(path, "", append(pairs, "csrf", "")...).with("Cookie", alice.cookie),
			"of another session":   formCall(path, "", append(pairs, "csrf", bob.csrf)...).with("Cookie", alice.cookie),
			"in the query":         formCall(path, "", pairs...).with("Cookie", alice.cookie).withQuery("csrf=" + alice.csrf),
			"from another site":    c.with("Sec-Fetch-Site", "cross-site"),
			"from a sibling site":  c.with("Sec-Fetch-Site", "same-site"),
			"from another origin":  c.with("Origin", "https://evil.test"),
			"from a nameless site": c.with("Origin", "null"),
		} {
			t.Run(path+" "+name, func(t *testing.T) { b.do(forged).wantTold(t, 403, "") })
		}
		t.Run(path+" as JSON", func(t *testing.T) {
			b.do(c.with("Content-Type", "application/json")).wantTold(t, 400, "Content-Type")
		})
	}
	if created, shown := b.events("token.create"), b.events("token.show"); len(created) != 1 || len(shown) != 1 {
		t.Errorf("audit trail: %v %v", created, shown)
	}
	b.mint(made.raw)
}

// Who guesses or knows the id of somebody else's token learns nothing by it.
func TestTradingTokensOfOthersAreNotThere(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	b.tokens() // a refresh token of a client is no trading token
	var otherClass string
	if err := b.store.View(context.Background(), func(tx store.Reader) error {
		grants, err := tx.Grants(b.env, store.GrantFilter{Client: botID})
		if err != nil {
			return err
		}
		rows, err := tx.TokensOf(b.env, grants[0].ID)
		otherClass = rows[0].ID
		return err
	}); err != nil {
		t.Fatal(err)
	}
	carol := b.trader("carol")
	unknown := carol.show(token.NewID())
	for name, id := range map[string]string{
		"another account's": made.id, "another class": otherClass, "a grant": b.sharedRow(made.id).Grant,
		"long": strings.Repeat("x", 5000), "odd": "' OR 1=1 --",
	} {
		t.Run(name, func(t *testing.T) {
			got := carol.revokeToken(id)
			got.wantTold(t, 404, "no such token")
			if got.body != unknown.body {
				t.Errorf("it can be told from one that is not there:\n%s\n%s", got.body, unknown.body)
			}
		})
	}
	carol.show(made.id).wantTold(t, 404, "no such token")
	b.trader("dave").show(made.id).wantTold(t, 404, "no such token") // he has the account in part
	b.mint(made.raw)
}

func TestS2_1_NothingOfOneEnvironmentIsGoodInTheOther(t *testing.T) {
	sandbox := newDesk(t, nil)
	production := newDesk(t, func(b *bank) { b.env = store.Production })
	made := sandbox.trader("alice").newShared("T1")
	live := production.trader("alice").newShared("T1")
	if !strings.HasPrefix(made.raw, "cb_test_trading_") || !strings.HasPrefix(live.raw, "cb_live_trading_") {
		t.Errorf("%.16s %.16s", made.raw, live.raw)
	}
	production.do(tradingCall(made.raw)).wantError(t, 400, "invalid_grant")
	sandbox.do(tradingCall(live.raw)).wantError(t, 400, "invalid_grant")
	// An id of the other environment is one that is not there.
	production.trader("alice").show(made.id).wantTold(t, 404, "no such token")
	production.trader("alice").revokeToken(made.id).wantTold(t, 404, "no such token")
	if _, err := production.authority.Check(sandbox.mint(made.raw)); err == nil {
		t.Error("an access token of the sandbox is good in production")
	}
	for env, b := range map[string]*bank{"sandbox": sandbox, "production": production} {
		for _, path := range []string{pathTradingTokens, pathTradingTokens + "?account=T1"} {
			if page := b.trader("alice").get(path).ok(t).body; !strings.Contains(page, ">"+env+"</strong>") {
				t.Errorf("%s does not say %s", path, env)
			}
		}
	}
}

func TestShowAfterTheAccountWasTakenAway(t *testing.T) {
	for name, take := range map[string]func(*bank, store.Writer) error{
		"unbound": func(b *bank, tx store.Writer) error { return tx.DeleteBinding(b.env, "bob", "T1") },
		"bound in part": func(b *bank, tx store.Writer) error {
			return tx.PutBinding(store.Binding{Environment: b.env, Principal: "bob", Account: "T1", Access: store.Partial, Scopes: []string{"read:accounts"}})
		},
		"disabled": func(b *bank, tx store.Writer) error {
			p := b.principal("bob", "x", store.User, "read:accounts", "all:eft")
			p.Status = store.Disabled
			return tx.PutPrincipal(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDesk(t, nil)
			made := b.trader("alice").newShared("T1")
			bob := b.trader("bob")
			b.update(func(tx store.Writer) error { return take(b, tx) })
			if got := bob.show(made.id); got.status == 200 || sharedValue.MatchString(got.body) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got := bob.create("T1"); got.status != 403 && !strings.Contains(got.header.Get("Location"), "/login") {
				t.Errorf("%d %s", got.status, got.body)
			}
			if shown := b.events("token.show"); len(shown) != 1 {
				t.Errorf("audit trail: %v", shown)
			}
		})
	}
}

// A user that is disabled while a form is under way: what counts is the transaction.
func TestDeveloperIsAskedForInTheTransaction(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	raw := b.trader("bob")
	x := &exchange{Request: httptest.NewRequest("GET", "/", nil), now: b.clock.Now()}
	x.Header.Set("Cookie", raw.cookie)
	p, err := b.issuer.person(x)
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	b.update(func(tx store.Writer) error {
		_, err := tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindPrincipal, Target: "bob", At: b.clock.Now()})
		return err
	})
	if _, err := b.issuer.showTrading(x, p, form{"token": made.id}); err == nil {
		t.Error("shown by a session that has ended")
	}
	if _, err := b.issuer.createTrading(x, p, form{"account": "T1"}); err == nil {
		t.Error("created by a session that has ended")
	}
}

// Whichever comes first, a token that is dead is not shown: the page either came
// before the revocation, or is none.
func TestShowRacedWithRevoke(t *testing.T) {
	b := newDesk(t, nil)
	alice, bob := b.trader("alice"), b.trader("bob")
	for range 8 {
		alice.create("T1")
		id := alice.listed("T1")[0]
		var shown *answer
		var both sync.WaitGroup
		both.Go(func() { shown = b.do(bob.form(pathTradingShow, "token", id)) })
		both.Go(func() { b.do(alice.form(pathTradingRevoke, "token", id, "confirmed", "yes")) })
		both.Wait()
		events := b.events("token.show")
		told := len(events) > 0 && events[0].Target == "token:"+id
		if (shown.status == 200) != told || shown.status != 200 && shown.status != 410 {
			t.Fatalf("%d, audited: %t\n%s", shown.status, told, shown.body)
		}
		if row := b.sharedRow(id); row.Sealed != nil || row.Status != token.SharedRevoked {
			t.Fatalf("the copy outlived the revocation: %+v", row)
		}
		b.clock.advance(30 * time.Second)
		alice, bob = b.trader("alice"), b.trader("bob")
	}
}

func TestShowIsRateLimitedByUser(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	bob := b.trader("bob")
	for range showsPerHour {
		bob.show(made.id).ok(t)
	}
	refused := bob.show(made.id)
	refused.wantTold(t, 429, "too many tokens")
	if refused.header.Get("Retry-After") != "360" {
		t.Errorf("Retry-After: %s", refused.header.Get("Retry-After"))
	}
	if shown := b.events("token.show"); len(shown) != showsPerHour+1 {
		t.Errorf("audit trail: %d rows", len(shown))
	}
	b.trader("bob").show(token.NewID()).wantTold(t, 429, "too many tokens") // another session is the same user
	b.trader("alice").show(made.id).ok(t)
	b.clock.advance(6 * time.Minute)
	b.trader("bob").show(made.id).ok(t)
	b.trader("bob").show(made.id).wantTold(t, 429, "too many tokens")
	b.clock.advance(10 * time.Hour)
	for range showsPerHour { // and not what was left over of ten hours
		b.trader("bob").show(made.id).ok(t)
	}
	b.trader("bob").show(made.id).wantTold(t, 429, "too many tokens")
}

// Guessing is slowed down by address; a neighbour whose token is a real one goes on.
func TestBruteForceOfTradingTokens(t *testing.T) {
	b := newDesk(t, func(b *bank) {
		b.clientIP = func(r *http.Request) string { return r.Header.Get("X-Test-IP") }
	})
	made := b.trader("alice").newShared("T1")
	from := func(ip, raw string) *answer { return b.do(tradingCall(raw).with("X-Test-IP", ip)) }
	const guesser = "192.0.2.66"
	misspelt := made.raw[:len(made.raw)-1] + "!"
	for range wrongPerPair {
		from(guesser, misspelt).wantError(t, 400, "invalid_grant")
	}
	from(guesser, misspelt).wantError(t, 429, "temporarily_unavailable")
	from(guesser, made.raw).ok(t) // a neighbour of who goes on with a misspelt one
	for k := range wrongPerAddress - wrongPerPair {
		from(guesser, fmt.Sprintf("cb_test_trading_%d", k)).wantError(t, 400, "invalid_grant")
	}
	slow := from(guesser, "cb_test_trading_more")
	slow.wantError(t, 429, "temporarily_unavailable")
	if slow.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	from(guesser, made.raw).wantError(t, 429, "temporarily_unavailable")
	from("198.51.100.7", made.raw).ok(t)

	// Dead tokens are no guesses: a fleet that wasn't told doesn't lock itself out.
	b.trader("alice").revokeToken(made.id)
	other := b.trader("alice").newShared("T1")
	for range 2 * wrongPerPair {
		from("198.51.100.7", made.raw).wantError(t, 400, "invalid_grant")
	}
	from("198.51.100.7", other.raw).ok(t)
}

func TestBadInputAtTheTradingTokenEndpoint(t *testing.T) {
	b := newDesk(t, nil)
	made := b.trader("alice").newShared("T1")
	tokens := b.tokens()
	good := tradingCall(made.raw)
	bad := func(pairs ...string) call { return formCall(pathTradingToken, "", pairs...) }
	for name, test := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"no grant_type":             {bad("refresh_token", made.raw), 400, "invalid_request"},
		"client_credentials":        {bad("grant_type", "client_credentials"), 400, "unsupported_grant_type"},
		"authorization_code":        {bad("grant_type", "authorization_code", "code", "x"), 400, "unsupported_grant_type"},
		"password":                  {bad("grant_type", "password", "username", "alice", "password", "x"), 400, "unsupported_grant_type"},
		"no token":                  {bad("grant_type", "refresh_token"), 400, "invalid_request"},
		"empty token":               {tradingCall(""), 400, "invalid_request"},
		"garbage":                   {tradingCall("x"), 400, "invalid_grant"},
		"check is wrong":            {tradingCall(made.raw[:len(made.raw)-1] + "!"), 400, "invalid_grant"},
		"cut":                       {tradingCall(made.raw[:len(made.raw)-3]), 400, "invalid_grant"},
		"blank behind":              {tradingCall(made.raw + " "), 400, "invalid_grant"},
		"a rotating refresh token":  {tradingCall(tokens.refresh), 400, "invalid_grant"},
		"an access token":           {tradingCall(tokens.access), 400, "invalid_grant"},
		"its own access token":      {tradingCall(b.mint(made.raw)), 400, "invalid_grant"},
		"a session's cookie":        {tradingCall(strings.SplitN(b.trader("alice").cookie, "=", 2)[1]), 400, "invalid_grant"},
		"Basic":                     {good.with("Authorization", basic(botID, botSecret)), 400, "invalid_request"},
		"Bearer":                    {good.with("Authorization", "Bearer "+made.raw), 400, "invalid_request"},
		"client_secret":             {tradingCall(made.raw, "client_id", botID, "client_secret", botSecret), 400, "invalid_request"},
		"client_secret alone":       {tradingCall(made.raw, "client_secret", "x"), 400, "invalid_request"},
		"client_assertion":          {tradingCall(made.raw, "client_assertion", "x"), 400, "invalid_request"},
		"another client_id":         {tradingCall(made.raw, "client_id", botID), 400, "invalid_request"},
		"scope above":               {tradingCall(made.raw, "scope", "write:loans"), 400, "invalid_scope"},
		"unknown scope":             {tradingCall(made.raw, "scope", "read:account"), 400, "invalid_scope"},
		"odd scope":                 {tradingCall(made.raw, "scope", "a\"b"), 400, "invalid_scope"},
		"another API":               {tradingCall(made.raw, "resource", "https://other.test"), 400, "invalid_target"},
		"token in the query":        {good.withQuery("refresh_token=" + made.raw), 400, "invalid_request"},
		"token twice":               {good.withBody(good.body + "&refresh_token=" + made.raw), 400, "invalid_request"},
		"JSON":                      {good.with("Content-Type", "application/json").withBody(`{"grant_type":"refresh_token"}`), 400, "invalid_request"},
		"no form":                   {call{method: "POST", path: pathTradingToken}, 400, "invalid_request"},
		"not UTF-8":                 {good.withBody("grant_type=refresh_token&refresh_token=%ff"), 400, "invalid_request"},
		"long":                      {tradingCall(strings.Repeat("x", 70<<10)), 413, "invalid_request"},
		"GET":                       {good.by("GET"), 405, "invalid_request"},
		"OPTIONS":                   {good.by("OPTIONS"), 405, "invalid_request"},
		"at the standard endpoint":  {renewCall(made.raw), 400, "invalid_grant"},
		"at the bank's endpoint":    {refreshCall(made.raw), 400, "invalid_grant"},
		"credentials of the client": {formCall(pathToken, "", "grant_type", "client_credentials", "client_id", "trading-account", "client_secret", "x"), 401, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) { b.do(test.call).wantError(t, test.status, test.code) })
	}
	b.mint(made.raw)
	if got := b.do(selfCall(made.raw)); got.status != 401 {
		t.Errorf("the refresh token is taken for an access token: %d %s", got.status, got.body)
	}
	if _, err := b.authority.Check(made.raw); err == nil {
		t.Error("a gate takes the refresh token for an access token")
	}
}

func TestBadInputAtTheTradingPages(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	made := alice.newShared("T1")
	for name, test := range map[string]struct {
		call   call
		status int
	}{
		"create without account":    {alice.form(pathTradingTokens), 400},
		"create with an odd one":    {alice.form(pathTradingTokens, "account", "\x01<script>"), 403},
		"show without token":        {alice.form(pathTradingShow), 400},
		"revoke without token":      {alice.form(pathTradingRevoke), 400},
		"token in the query":        {alice.form(pathTradingShow).withQuery("token=" + made.id), 400},
		"access token in the query": {alice.form(pathTradingShow, "token", made.id).withQuery("access_token=x"), 400},
		"PUT":                       {alice.form(pathTradingTokens).by("PUT"), 405},
		"DELETE":                    {alice.form(pathTradingRevoke).by("DELETE"), 405},
		"no form":                   {call{method: "POST", path: pathTradingShow, header: http.Header{"Cookie": {alice.cookie}}}, 400},
		"two accounts":              {call{method: "GET", path: pathTradingTokens + "?account=T1&account=T2", header: http.Header{"Cookie": {alice.cookie}}}, 400},
		"a query of no form":        {call{method: "GET", path: pathTradingTokens + "?account=%zz", header: http.Header{"Cookie": {alice.cookie}}}, 400},
		"an account with markup":    {call{method: "GET", path: pathTradingTokens + "?account=%3Cscript%3E", header: http.Header{"Cookie": {alice.cookie}}}, 403},
		"two cookies":               {call{method: "GET", path: pathTradingTokens, header: http.Header{"Cookie": {alice.cookie + "; " + alice.cookie}}}, 303},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(test.call)
			if got.status != test.status || strings.Contains(got.body, "<script>") {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
			if got.status >= 400 && got.status != 405 && got.header.Get("Content-Security-Policy") == "" {
				t.Errorf("%v", got.header)
			}
		})
	}
}

func TestAccountsWhoseIDIsTaken(t *testing.T) {
	for _, id := range []string{publishedID, botID, "bob", "trading-account", "personal-token", "secretless"} {
		b := newDesk(t, nil)
		b.update(func(tx store.Writer) error {
			return tx.PutAccount(store.Account{Environment: b.env, ID: id, Kind: store.Trading, Status: store.Active, Created: b.clock.Now()})
		})
		b.bind("alice", id, store.Full)
		b.trader("alice").create(id).wantTold(t, 409, "could not be told apart")
	}
}

func TestDisabledAccountMakesNoTokens(t *testing.T) {
	b := newDesk(t, nil)
	alice := b.trader("alice")
	made := alice.newShared("T1")
	access := b.mint(made.raw)
	b.update(func(tx store.Writer) error {
		account, err := tx.Account(b.env, "T1")
		if err != nil {
			return err
		}
		account.Status = store.Disabled
		if err := tx.PutAccount(account); err != nil {
			return err
		}
		_, err = tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindAccount, Target: "T1", At: b.clock.Now()})
		return err
	})
	b.wantVerdict(access, token.Revoked)
	b.do(tradingCall(made.raw)).wantError(t, 400, "invalid_grant")
	alice.create("T1").wantTold(t, 409, "disabled")
	alice.show(made.id).wantTold(t, 410, "revoked")
	if row := b.sharedRow(made.id); row.Status != token.SharedEnded || row.Sealed != nil {
		t.Errorf("%+v", row)
	}
	if page := alice.get(pathTradingTokens + "?account=T1").ok(t).body; !strings.Contains(page, "<td>Revoked</td>") {
		t.Errorf("%s", page)
	}
}

// Neither the log nor any header, URL or other page has the value of a trading token.
func TestCanaryTradingTokenIsOnOnePageOnly(t *testing.T) {
	var log sink
	b := newDesk(t, func(b *bank) {
		b.logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), &log, zapcore.DebugLevel))
	})
	alice := b.trader("alice")
	made := alice.newShared("T1")
	access := b.mint(made.raw)
	const marker = "canary-77ab"
	var answers []*answer
	for _, c := range []call{
		tradingCall(made.raw), tradingCall(made.raw, "scope", marker), tradingCall(made.raw, "market", marker), tradingCall(made.raw + marker),
		tradingCall(made.raw, "client_secret", marker), tradingCall(made.raw).withQuery("refresh_token=" + made.raw),
		formCall(pathRevoke, "", "token", made.raw, "client_id", "trading-account"), introspectCall(made.raw), renewCall(made.raw),
		alice.form(pathTradingShow, "token", marker), alice.form(pathTradingRevoke, "token", made.raw), alice.form(pathTradingTokens, "account", made.raw),
		{method: "GET", path: pathTradingTokens + "?account=T1", header: http.Header{"Cookie": {alice.cookie}}},
		{method: "GET", path: pathTradingTokens + "?account=" + made.raw, header: http.Header{"Cookie": {alice.cookie}}},
		formCall(pathRevoke, "", "token", access, "client_id", "trading-account"),
		alice.form(pathTradingRevoke, "token", made.id), alice.form(pathTradingRevoke, "token", made.id, "confirmed", "yes"), tradingCall(made.raw),
	} {
		answers = append(answers, b.do(c))
	}
	page := b.trader("alice").newShared("T1")
	secrets := []string{made.raw, page.raw, access, alice.csrf, strings.SplitN(alice.cookie, "=", 2)[1], marker}
	text := log.String()
	if strings.Count(text, "\n") < 15 {
		t.Fatal("too few lines to prove anything")
	}
	var trail bytes.Buffer
	for _, action := range []string{"token.create", "token.show", "token.revoke", "token.present"} {
		fmt.Fprintln(&trail, b.events(action))
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) || strings.Contains(trail.String(), secret) {
			t.Errorf("the log or the audit trail holds %s", secret)
		}
	}
	for _, a := range answers {
		if strings.Contains(a.body, made.raw) || strings.Contains(fmt.Sprint(a.header), made.raw) {
			t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
	}
}
