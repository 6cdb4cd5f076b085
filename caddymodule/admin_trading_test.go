package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// withTrading declares the trading accounts T1 and T2 and tokens of theirs.
func withTrading(app *App) {
	env := app.Environments[store.Sandbox]
	env.TradingTokens = []string{"read:market", "trade:orders"}
	env.Accounts = append(env.Accounts, &Account{ID: "T1", Kind: store.Trading}, &Account{ID: "T2", Kind: store.Trading})
}

// newTradingWorld is an adminWorld whose users alice and bob are developers of T1
// and T2.
func newTradingWorld(t *testing.T) *adminWorld {
	w := newAdminWorld(t, withTrading)
	for _, user := range []string{"alice", "bob"} {
		w.ok("POST", "/users", `{"id":"`+user+`","scopes":["read:market","trade:orders","read:eft"]}`)
		for _, account := range []string{"T1", "T2"} {
			w.ok("PUT", "/bindings/"+user+"/"+account, "")
		}
	}
	return w
}

// sessionOf signs a user in and returns the cookie's value.
func sessionOf(a *token.Authority, user *store.Principal) (string, store.Session) {
	raw, hash := a.Keyring().NewOpaque(token.ClassSession)
	now := time.Now().UTC()
	return raw, store.Session{
		Environment: user.Environment, Hash: hash, KeyID: token.KeyIDOf(raw), ID: token.NewID(), Principal: user.ID, Epoch: user.Epoch,
		Created: now, Authenticated: now, Seen: now, Expires: now.Add(time.Hour),
	}
}

// tradingBrowser is a browser in which a user is signed in at the issuer.
type tradingBrowser struct {
	w      *adminWorld
	cookie string
}

func (w *adminWorld) tradingBrowser(user string) tradingBrowser {
	w.t.Helper()
	var raw string
	must(w.t, w.app.runtime.store.Update(w.t.Context(), func(tx store.Writer) error {
		p, err := tx.Principal(store.Sandbox, user)
		if err != nil {
			return err
		}
		value, session := sessionOf(w.authority(), &p)
		raw = value
		return tx.PutSession(session)
	}))
	return tradingBrowser{w, "__Host-bearer-sandbox=" + raw}
}

func (b tradingBrowser) send(method, path string, form url.Values) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	request.Header.Set("Cookie", b.cookie)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer := httptest.NewRecorder()
	b.w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, request)
	return answer
}

var (
	formField    = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	tradingRow   = regexp.MustCompile(`name="token" value="(\w+)">Show`)
	tradingValue = regexp.MustCompile(`cb_\w+_trading_\w+`)
)

func (b tradingBrowser) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{"csrf": {firstMatch(formField, b.send("GET", "/trading/tokens", nil).Body.String())}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.send("POST", path, form)
}

func firstMatch(r *regexp.Regexp, text string) string {
	return append(r.FindStringSubmatch(text), "", "")[1]
}

// create makes a trading token and returns its id.
func (b tradingBrowser) create(account string) string {
	b.w.t.Helper()
	if got := b.post("/trading/tokens", "account", account); got.Code != 303 {
		b.w.t.Fatalf("create: %d %s", got.Code, got.Body)
	}
	return firstMatch(tradingRow, b.send("GET", "/trading/tokens?account="+account, nil).Body.String())
}

// show returns the value of a trading token, "" if it is not shown.
func (b tradingBrowser) show(id string) string {
	return tradingValue.FindString(b.post("/trading/tokens/show", "token", id).Body.String())
}

// access gets an access token, nil if the trading token is dead.
func (w *adminWorld) access(raw string) *token.Lease {
	w.t.Helper()
	request := httptest.NewRequest("POST", "/trading/token", strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}}.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		return nil
	}
	lease, err := w.authority().Check(firstMatch(regexp.MustCompile(`"access_token":"([^"]+)"`), answer.Body.String()))
	must(w.t, err)
	return lease
}

func (w *adminWorld) listTrading(query string) []tradingToken {
	w.t.Helper()
	var got struct {
		Tokens []tradingToken `json:"trading_tokens"`
	}
	w.ok("GET", "/trading-tokens"+query, "").decode(w.t, &got)
	return got.Tokens
}

func (w *adminWorld) tradingStatus(id string) token.SharedStatus {
	w.t.Helper()
	for _, account := range []string{"T1", "T2"} {
		all := w.listTrading("?all=true&account=" + account)
		if at := slices.IndexFunc(all, func(t tradingToken) bool { return t.ID == id }); at >= 0 {
			return all[at].Status
		}
	}
	return "unknown"
}

// auditedAs returns the events of an action, the newest first.
func (w *adminWorld) auditedAs(action string) (found []store.AuditRow) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) (err error) {
		found, err = tx.Audit(store.Sandbox, store.AuditFilter{Action: action})
		return err
	}))
	return found
}

// Four tokens, by what alice has to do with them: of T1 one that she made, one that
// she was shown and one that she never saw; of T2 one that she made.
type fourTokens struct{ made, shown, unseen, elsewhere string }

func (w *adminWorld) fourTokens() (four fourTokens) {
	w.t.Helper()
	alice, bob := w.tradingBrowser("alice"), w.tradingBrowser("bob")
	four = fourTokens{alice.create("T1"), bob.create("T1"), bob.create("T1"), alice.create("T2")}
	if alice.show(four.shown) == "" {
		w.t.Fatal("alice is not shown bob's token")
	}
	return four
}

// statuses says of each token whether it lives, in the order of the fields.
func (w *adminWorld) statuses(four fourTokens) (all []token.SharedStatus) {
	w.t.Helper()
	for _, id := range []string{four.made, four.shown, four.unseen, four.elsewhere} {
		all = append(all, w.tradingStatus(id))
	}
	return all
}

func TestS2_9_UnbindingEndsTheTokensThatTheDeveloperKnows(t *testing.T) {
	const live, revoked = token.SharedLive, token.SharedRevoked
	all := []token.SharedStatus{live, live, live, live}
	for name, test := range map[string]struct {
		method, path, body string
		want               []token.SharedStatus
		dry                bool
	}{
		"unbind":           {"DELETE", "/bindings/alice/T1", `{"reason":"left the team"}`, []token.SharedStatus{revoked, revoked, live, live}, true},
		"disable":          {"POST", "/users/alice/disable", `{"reason":"left the team"}`, []token.SharedStatus{revoked, revoked, live, revoked}, true},
		"revoke":           {"POST", "/users/alice/revoke", `{"reason":"left the team"}`, []token.SharedStatus{revoked, revoked, live, revoked}, true},
		"bind in part":     {"PUT", "/bindings/alice/T1", `{"scopes":["read:market"]}`, []token.SharedStatus{revoked, revoked, live, live}, false},
		"scopes are taken": {"PATCH", "/users/alice", `{"scopes":["read:market"]}`, []token.SharedStatus{revoked, revoked, live, revoked}, false},
		"other scopes":     {"PATCH", "/users/alice", `{"scopes":["read:market","trade:orders"]}`, all, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTradingWorld(t)
			four := w.fourTokens()
			raw := w.tradingBrowser("bob").show(four.shown)
			lease := w.access(raw)
			if got := w.statuses(four); !slices.Equal(got, all) {
				t.Fatalf("before: %v", got)
			}
			ends := 0
			for _, status := range test.want {
				if status == revoked {
					ends++
				}
			}
			if test.dry {
				var told ending
				w.ok(test.method, test.path+"?dry_run=true", test.body).decode(t, &told)
				if len(told.Shared) != ends || told.Grants != ends || told.Tokens != ends || told.Shared[0].ID != four.made || told.Shared[0].Account != "T1" {
					t.Errorf("the dry run tells %+v", told)
				}
			}
			w.ok(test.method, test.path, test.body)
			if got := w.statuses(four); !slices.Equal(got, test.want) {
				t.Errorf("alive: %v, want %v", got, test.want)
			}
			if verdict := w.authority().Judge(lease, time.Now()); (verdict == token.Revoked) != (ends > 0) {
				t.Errorf("the access token of a token that alice was shown is %s", verdict)
			}
			if (w.access(raw) == nil) != (ends > 0) {
				t.Error("the token that alice was shown can be used")
			}
			events := w.auditedAs("token.revoke")
			if len(events) != ends || ends > 0 && events[0].Actor != "operator:socket" {
				t.Errorf("audit trail: %v", events)
			}
		})
	}
}

func TestS2_9_SharedTokensAreKeptForAReason(t *testing.T) {
	for name, call := range map[string][2]string{
		"unbind": {"DELETE", "/bindings/alice/T1"}, "disable": {"POST", "/users/alice/disable"}, "revoke": {"POST", "/users/alice/revoke"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTradingWorld(t)
			four := w.fourTokens()
			if got := w.try(call[0], call[1], `{"keep_shared":true}`); got.status != 400 || !strings.Contains(got.body, "needs a reason") {
				t.Fatalf("without a reason: %d %s", got.status, got.body)
			}
			var told ending
			w.ok(call[0], call[1]+"?dry_run=true", `{"keep_shared":true,"reason":"bots run on them"}`).decode(t, &told)
			if len(told.Shared) != 0 || told.Tokens != 0 {
				t.Errorf("the dry run tells %+v", told)
			}
			w.ok(call[0], call[1], `{"keep_shared":true,"reason":"bots run on them"}`)
			for _, status := range w.statuses(four) {
				if status != token.SharedLive {
					t.Errorf("%v", w.statuses(four))
				}
			}
			kept := w.auditedAs("token.keep")
			if len(kept) < 2 || kept[0].Reason != "bots run on them" || kept[0].Actor != "operator:socket" || len(w.auditedAs("token.revoke")) != 0 {
				t.Errorf("audit trail: %v", kept)
			}
		})
	}
}

func TestS2_9_AnUnboundDeveloperSeesNone(t *testing.T) {
	w := newTradingWorld(t)
	four := w.fourTokens()
	alice := w.tradingBrowser("alice")
	w.ok("DELETE", "/bindings/alice/T1", "")
	for _, got := range []*httptest.ResponseRecorder{
		alice.send("GET", "/trading/tokens?account=T1", nil), alice.post("/trading/tokens", "account", "T1"),
		alice.post("/trading/tokens/show", "token", four.unseen), alice.post("/trading/tokens/revoke", "token", four.unseen, "confirmed", "yes"),
	} {
		if got.Code != 403 && got.Code != 404 || strings.Contains(got.Body.String(), "cb_test_trading") {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	if w.tradingStatus(four.unseen) != token.SharedLive {
		t.Error("it was revoked")
	}
}

func TestOperatorsListAndRevokeTradingTokens(t *testing.T) {
	w := newTradingWorld(t)
	four := w.fourTokens()
	bob := w.tradingBrowser("bob")
	raw := bob.show(four.shown)
	lease := w.access(raw)
	listed := w.listTrading("?account=T1")
	if len(listed) != 3 {
		t.Fatalf("%+v", listed)
	}
	if one := listed[1]; one.ID != four.shown || one.Account != "T1" || one.Creator != "bob" || !slices.Equal(one.ShownTo, []string{"alice", "bob"}) ||
		one.Status != token.SharedLive || one.Expires.Sub(one.Created) < 365*24*time.Hour {
		t.Errorf("%+v", one)
	}
	if two := w.listTrading("?account=T1&limit=2"); len(two) != 2 {
		t.Errorf("limit: %+v", two)
	}
	w.ok("POST", "/tokens/revoke", `{"id":"`+four.shown+`","reason":"leaked"}`)
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.Revoked || w.access(raw) != nil {
		t.Errorf("by its id: %s", verdict)
	}
	all := w.listTrading("?account=T1&all=true")
	if len(all) != 3 || len(w.listTrading("?account=T1")) != 2 || all[1].Status != token.SharedRevoked || all[1].Reason != "leaked" || all[1].Revoked.IsZero() {
		t.Errorf("%+v", all)
	}

	raw = bob.show(four.unseen)
	lease = w.access(raw)
	var facts shownFacts
	w.ok("POST", "/tokens/show", `{"token":"`+raw+`"}`).decode(t, &facts)
	if facts.Class != "trading" || facts.Principal != "T1" || facts.Client != "trading-account" || facts.Status != "live" {
		t.Errorf("%+v", facts)
	}
	var told ending
	w.ok("POST", "/tokens/revoke?dry_run=true", `{"token":"`+raw+`"}`).decode(t, &told)
	if told.Kind != "grant" || told.Tokens != 1 {
		t.Errorf("%+v", told)
	}
	w.ok("POST", "/tokens/revoke", `{"token":"`+raw+`"}`)
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.Revoked {
		t.Errorf("by its value: %s", verdict)
	}

	for query, status := range map[string]int{"": 400, "?account=": 400, "?account=nobody": 404, "?account=T1&x=y": 400, "?account=T1&limit=0": 400} {
		if got := w.try("GET", "/trading-tokens"+query, ""); got.status != status {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if none := w.listTrading("?account=1"); len(none) != 0 {
		t.Errorf("an account without tokens: %v", none)
	}
}

// S2.5: only the page makes and shows trading tokens.
func TestS2_5_NoCommandMakesOrShowsATradingToken(t *testing.T) {
	walk(bearerTree(), func(cmd *cobra.Command) {
		if strings.Contains(cmd.Name(), "trading") {
			t.Errorf("there is %s", cmd.CommandPath())
		}
	})
	for _, route := range adminRoutes() {
		if strings.Contains(route.path, "trading") && route.method != http.MethodGet {
			t.Errorf("there is %s %s", route.method, route.path)
		}
	}
	w := newTradingWorld(t)
	four := w.fourTokens()
	raw := w.tradingBrowser("bob").show(four.shown)
	var grant string
	for _, one := range w.listTrading("?account=T1") {
		grant = one.Grant
	}
	// Whatever an operator looks at, no value is in it.
	looked := 0
	for _, route := range adminRoutes() {
		if route.method != http.MethodGet || !strings.HasPrefix(route.path, inEnvironment) {
			continue
		}
		path := strings.NewReplacer(inEnvironment, "", "/grants/{id}", "/grants/"+grant, "/users/{id}", "/users/alice",
			"/accounts/{id}", "/accounts/T1", "/clients/{id}", "/clients/trading-account").Replace(route.path)
		if strings.HasSuffix(path, "/trading-tokens") {
			path += "?account=T1&all=true"
		}
		if got := w.try("GET", path, ""); strings.Contains(got.body, raw) || tradingValue.MatchString(got.body) {
			t.Errorf("%s: %s", path, got.body)
		} else if got.status == 200 {
			looked++
		}
	}
	if looked < 10 {
		t.Errorf("%d places were looked at", looked)
	}
	for _, body := range []string{
		`{"principal":"T1","label":"x","scopes":["read:market"]}`, `{"principal":"trading-account","label":"x","scopes":["read:market"]}`,
	} {
		if got := w.try("POST", "/personal-tokens", body); got.status < 400 {
			t.Errorf("a personal token of the account: %s", got.body)
		}
	}
}

// The account that acts for itself is nobody whom operators could manage apart from
// the account.
func TestAccountPrincipalIsNotManaged(t *testing.T) {
	w := newTradingWorld(t)
	w.tradingBrowser("alice").create("T1")
	if listed := w.ok("GET", "/bindings?account=T1", "").body; strings.Contains(listed, `"principal":"T1"`) || !strings.Contains(listed, "alice") {
		t.Errorf("%s", listed)
	}
	for _, call := range [][3]string{
		{"PUT", "/bindings/T1/T2", "{}"}, {"DELETE", "/bindings/T1/T1", ""}, {"POST", "/users/T1/disable", ""},
		{"POST", "/service-accounts/T1/disable", ""}, {"PATCH", "/users/T1", `{"name":"x"}`},
	} {
		if got := w.try(call[0], call[1], call[2]); got.status != 404 {
			t.Errorf("%s %s: %d %s", call[0], call[1], got.status, got.body)
		}
	}
	for _, path := range []string{"/users", "/service-accounts", "/clients"} {
		got := w.try("POST", path, `{"id":"T1"}`)
		if got.status != 409 || !strings.Contains(got.body, "trading account") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := w.try("POST", path, `{"id":"trading-account"}`); got.status != 409 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, call := range [][2]string{{"/clients/trading-account/disable", ""}, {"/clients/trading-account/secret", ""}} {
		if got := w.try("POST", call[0], call[1]); got.status != 409 {
			t.Errorf("%s: %d %s", call[0], got.status, got.body)
		}
	}
}

func TestOptionTradingTokensIsTheCeiling(t *testing.T) {
	w := newTradingWorld(t)
	alice := w.tradingBrowser("alice")
	raw := alice.show(alice.create("T1"))
	lease := w.access(raw)
	if !slices.Equal(lease.Scopes, []string{"read:market", "trade:orders"}) {
		t.Errorf("%v", lease.Scopes)
	}
	env := w.app.Environments[store.Sandbox]
	declareAgain := func(scopes ...string) {
		env.TradingTokens = scopes
		must(t, declare(t.Context(), w.app.runtime.store, w.authority(), env))
	}
	declareAgain("read:market")
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.RightsChanged {
		t.Errorf("a scope was taken: the access token is %s", verdict)
	}
	if lease = w.access(raw); !slices.Equal(lease.Scopes, []string{"read:market"}) {
		t.Errorf("%v", lease.Scopes)
	}
	declareAgain("read:market", "trade:orders", "read:eft")
	if lease = w.access(raw); !slices.Equal(lease.Scopes, []string{"read:market", "trade:orders"}) {
		t.Errorf("an old token was widened: %v", lease.Scopes)
	}
	declareAgain()
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.Revoked || w.access(raw) != nil {
		t.Errorf("the option was removed: the access token is %s", verdict)
	}
	declareAgain("read:market", "trade:orders")
	if w.access(raw) != nil {
		t.Error("what was ended came back with the option")
	}
	if got := w.listTrading("?account=T1&all=true"); len(got) != 1 || got[0].Status != token.SharedEnded {
		t.Errorf("%+v", got)
	}
	declareAgain("read:market", "trade:orders") // the same again changes nothing
	if again := alice.show(alice.create("T1")); w.access(again) == nil {
		t.Error("no new tokens")
	}
}

// A client that had the id before it was built in ends, and its secret opens nothing.
func TestClientOfTheIDFromBefore(t *testing.T) {
	w := newAdminWorld(t)
	must(t, w.app.runtime.store.Update(t.Context(), func(tx store.Writer) error {
		return putClient(tx, store.Client{
			Environment: store.Sandbox, ID: store.TradingClient, SecretHash: w.authority().Keyring().HashSecret("known"),
			MaxScopes: []string{"read:eft", "read:market"}, Status: store.Active, Source: store.FromCommand,
		})
	}))
	before := w.issue(store.TradingClient, serviceID, "1")
	env := w.app.Environments[store.Sandbox]
	env.TradingTokens = []string{"read:market"}
	for range 2 {
		must(t, declare(t.Context(), w.app.runtime.store, w.authority(), env))
	}
	if verdict := w.verdict(before); verdict != token.Revoked {
		t.Errorf("its token is %s", verdict)
	}
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		c, err := tx.Client(store.Sandbox, store.TradingClient)
		if err != nil || c.SecretHash != "" || !c.Public || c.Status != store.Active || !slices.Equal(c.MaxScopes, []string{"read:market"}) {
			t.Errorf("%+v %v", c, err)
		}
		p, err := tx.Principal(store.Sandbox, store.TradingClient)
		if err != nil || p.Status != store.Disabled {
			t.Errorf("%+v %v", p, err)
		}
		return nil
	}))
}

func TestTradingTokensOfUnknownScopes(t *testing.T) {
	app, gate := sound(t)
	for _, env := range app.Environments {
		env.TradingTokens = []string{"read:markt"}
	}
	if err := validate(app, gate); err == nil || !strings.Contains(err.Error(), `trading_tokens: scope "read:markt" is not in the policy; did you mean "read:market"?`) {
		t.Errorf("%v", err)
	}
}
