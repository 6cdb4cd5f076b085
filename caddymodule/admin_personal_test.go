package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// issuePersonal issues a token for the service account of the configuration;
// more are further members of the body.
func (w *adminWorld) issuePersonal(more string) (made personalToken) {
	w.t.Helper()
	body := `{"principal":"` + serviceID + `","label":"cron","scopes":["read:eft","read:market"]` + more + `}`
	answer := w.ok("POST", "/personal-tokens", body)
	if answer.status != http.StatusCreated {
		w.t.Errorf("issued with status %d", answer.status)
	}
	answer.decode(w.t, &made)
	return made
}

func (w *adminWorld) listPersonal(query string) []personalToken {
	w.t.Helper()
	var got struct {
		Tokens []personalToken `json:"personal_tokens"`
	}
	w.ok("GET", "/personal-tokens"+query, "").decode(w.t, &got)
	return got.Tokens
}

func TestPersonalTokenIsIssuedShownOnceAndListed(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/accounts", `{"id":"2"}`)
	w.ok("PUT", "/service-accounts/"+serviceID+"/accounts/2", "")
	made := w.issuePersonal(`,"lifetime":"90d","networks":["192.0.2.0/24","::ffff:198.51.100.7","2001:db8::/32"],"rate":{"requests":600,"per":"60s"}`)
	if !regexp.MustCompile(`^cb_test_personal_\w{40}$`).MatchString(made.Token) {
		t.Fatalf("issued %+v", made)
	}
	for _, text := range []struct{ got, want string }{
		{fmt.Sprint(made.Networks), "[192.0.2.0/24 198.51.100.7/32 2001:db8::/32]"},
		{made.Rate.String(), "600/m"}, {fmt.Sprint(made.Accounts), "[1 2]"}, {made.Status, "live"},
	} {
		if text.got != text.want {
			t.Errorf("issued %s, want %s", text.got, text.want)
		}
	}
	if life := made.Expires.Sub(made.Created); life > 90*24*time.Hour || life < 90*24*time.Hour-time.Second {
		t.Errorf("lives for %s", life)
	}
	lease, err := w.authority().Check(made.Token)
	must(t, err)
	if w.authority().Judge(lease, time.Now()) != token.Live || lease.Client != store.PersonalClient || lease.Subject != serviceID ||
		!slices.Equal(lease.Scopes, []string{"read:eft", "read:market"}) || !slices.Equal(lease.Accounts, []string{"1", "2"}) {
		t.Errorf("the gate sees %+v", lease.Facts)
	}

	listed := w.listPersonal("?principal=" + serviceID)
	want := made
	want.Token = ""
	if len(listed) != 1 || fmt.Sprint(listed[0]) != fmt.Sprint(want) {
		t.Errorf("listed %+v\nwant   %+v", listed, want)
	}
	if others := w.listPersonal("?principal=nobody"); len(others) != 0 {
		t.Errorf("of nobody: %+v", others)
	}
	event := w.audited("personal_token.issue")
	if event.Target != "token:"+made.ID || event.Actor != "operator:socket" || event.Outcome != "ok" {
		t.Errorf("audit trail: %+v", event)
	}
}

func (w *adminWorld) audited(action string) (found store.Event) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		events, err := tx.Audit(store.Sandbox, store.AuditFilter{Limit: 100})
		at := slices.IndexFunc(events, func(e store.AuditRow) bool { return e.Action == action })
		if at >= 0 {
			found = events[at].Event
		}
		return err
	}))
	return found
}

func TestPersonalTokenOfAnAccountAndForEver(t *testing.T) {
	w := newAdminWorld(t)
	made := w.issuePersonal(`,"accounts":["1"]`)
	if !made.Expires.IsZero() || !slices.Equal(made.Accounts, []string{"1"}) || made.Rate != (shownRate{}) {
		t.Errorf("%+v", made)
	}
	if none := w.issuePersonal(`,"accounts":[]`); len(none.Accounts) != 0 {
		t.Errorf("asked for no account: %+v", none)
	}
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if ending := w.issuePersonal(`,"expires":"` + at.Format(time.RFC3339) + `"`); !ending.Expires.Equal(at) {
		t.Errorf("expires %s, want %s", ending.Expires, at)
	}
}

func TestUnbindingAnAccountEndsItsPersonalTokens(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/accounts", `{"id":"2"}`)
	w.ok("PUT", "/service-accounts/"+serviceID+"/accounts/2", "")
	both, other := w.issuePersonal(""), w.issuePersonal(`,"accounts":["1"]`)
	for raw, accounts := range map[string]int{both.Token: 2, other.Token: 1} {
		lease, err := w.authority().Check(raw)
		must(t, err)
		if len(lease.Accounts) != accounts {
			t.Errorf("before: %v", lease.Accounts)
		}
	}
	w.ok("DELETE", "/service-accounts/"+serviceID+"/accounts/2", "")
	if live := w.listPersonal(""); len(live) != 1 || live[0].ID != other.ID {
		t.Errorf("left: %+v", live)
	}
	lease, err := w.authority().Check(both.Token)
	must(t, err) // from the cache
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.Revoked {
		t.Errorf("the token is %s", verdict)
	}
}

func TestPersonalTokenOfAUser(t *testing.T) {
	w := newAdminWorld(t)
	must(t, w.app.runtime.store.Update(t.Context(), func(tx store.Writer) error {
		return errors.Join(
			tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "ada", Kind: store.User, MaxScopes: []string{"all:eft"}, Status: store.Active}),
			tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "ada", Account: "1", Access: store.Partial, Scopes: []string{"read:eft"}}),
		)
	}))
	answer := w.ok("POST", "/personal-tokens", `{"principal":"ada","label":"script","scopes":["read:eft"]}`)
	var made personalToken
	answer.decode(t, &made)
	lease, err := w.authority().Check(made.Token)
	must(t, err)
	if lease.Subject != "ada" || !slices.Equal(lease.Scopes, []string{"read:eft"}) || !slices.Equal(lease.Accounts, []string{"1"}) {
		t.Errorf("the gate sees %+v", lease.Facts)
	}
}

func TestPersonalTokenRefusals(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/service-accounts", `{"id":"gone","scopes":["read:eft"]}`)
	w.ok("POST", "/service-accounts/gone/disable", "")
	w.ok("POST", "/service-accounts", `{"id":"modest","scopes":["read:eft","all:eft"]}`)
	w.ok("POST", "/accounts", `{"id":"closed"}`)
	w.ok("POST", "/accounts", `{"id":"partly"}`)
	w.ok("PUT", "/service-accounts/modest/accounts/closed", "")
	w.ok("PUT", "/service-accounts/modest/accounts/partly", `{"scopes":["read:eft"]}`)
	w.ok("POST", "/accounts/closed/disable", "")
	base := map[string]any{"principal": serviceID, "label": "cron", "scopes": []string{"read:eft"}}
	for name, tt := range map[string]struct {
		member string
		value  any
		status int
		says   string
	}{
		"no principal":             {"principal", "", 400, "principal is missing"},
		"unknown principal":        {"principal", "nobody", 404, `no user or service account \"nobody\" in sandbox`},
		"client as principal":      {"principal", clientID, 400, "demo-client is a client"},
		"built-in client":          {"principal", store.PersonalClient, 404, "no user or service account"},
		"disabled principal":       {"principal", "gone", 409, "gone is disabled"},
		"no label":                 {"label", "", 400, "label is missing"},
		"blank label":              {"label", " \t", 400, "label is missing"},
		"label too long":           {"label", strings.Repeat("x", 201), 400, "label of 201 bytes; at most 200"},
		"label with a line's end":  {"label", "a\nb", 400, "only printable"},
		"no scopes":                {"scopes", []string{}, 400, "scopes are missing"},
		"scopes left out":          {"scopes", nil, 400, "scopes are missing"},
		"unknown scope":            {"scopes", []string{"read:etf"}, 400, `did you mean \"read:eft\"?`},
		"scope twice":              {"scopes", []string{"read:eft", "read:eft"}, 400, "named twice"},
		"above the owner":          {"scopes", []string{"all:remittance"}, 400, "is more than " + serviceID + " may grant; it has: read:accounts"},
		"above the owner, implied": {"scopes", []string{"all:eft"}, 400, "is more than"},
		"above the owner, hidden":  {"scopes", []string{"read:eft", "admin:desk"}, 400, "is more than"},
		"account unknown":          {"accounts", []string{"404"}, 400, `account \"404\" is not open to ` + serviceID + "; open: 1"},
		"account of another":       {"accounts", []string{"1", "partly"}, 400, `account \"partly\" is not open`},
		"account twice":            {"accounts", []string{"1", "1"}, 400, "named twice"},
		"past":                     {"expires", "2020-01-01T00:00:00Z", 400, "expires 2020-01-01T00:00:00Z is past; it is 2"},
		"the zero instant":         {"expires", "0001-01-01T00:00:00Z", 400, "expires 0001-01-01T00:00:00Z is past"},
		"empty lifetime":           {"lifetime", "", 400, "at least 1s"},
		"empty allow-list":         {"networks", []string{}, 400, "the list of networks is empty"},
		"no instant":               {"expires", "tomorrow", 400, "not what is expected"},
		"lifetime of nothing":      {"lifetime", "0s", 400, "at least 1s"},
		"lifetime backwards":       {"lifetime", "-1h", 400, "at least 1s"},
		"lifetime beyond all time": {"lifetime", "999999999d", 400, "lifetime"},
		"no network":               {"networks", []string{"home"}, 400, `network \"home\": expected CIDR or one address`},
		"length too long":          {"networks", []string{"192.0.2.0/33"}, 400, "expected CIDR"},
		"host bits":                {"networks", []string{"192.0.2.5/24"}, 400, "did you mean 192.0.2.0/24 (the network) or 192.0.2.5/32 (the one address)?"},
		"host bits, IPv6":          {"networks", []string{"2001:db8::5/32"}, 400, "did you mean 2001:db8::/32"},
		"zone":                     {"networks", []string{"fe80::1%eth0"}, 400, "expected CIDR"},
		"leading zeros":            {"networks", []string{"192.0.2.010"}, 400, "expected CIDR"},
		"IPv4 as wide IPv6":        {"networks", []string{"::ffff:0.0.0.0/80"}, 400, "at least 96"},
		"network twice":            {"networks", []string{"192.0.2.7", "::ffff:192.0.2.7/128"}, 400, "192.0.2.7/32 is named twice"},
		"too many networks":        {"networks", manyNetworks(65), 400, "65 networks; at most 64"},
		"rate of nothing":          {"rate", map[string]any{"requests": 0, "per": "1s"}, 400, "expected 1 to 1000000"},
		"rate backwards":           {"rate", map[string]any{"requests": -1, "per": "1s"}, 400, "expected 1 to 1000000"},
		"rate too high":            {"rate", map[string]any{"requests": 1_000_001, "per": "1s"}, 400, "expected 1 to 1000000"},
		"rate per nothing":         {"rate", map[string]any{"requests": 1}, 400, "expected whole seconds"},
		"rate per week":            {"rate", map[string]any{"requests": 1, "per": "7d"}, 400, "expected whole seconds from 1s to 1d"},
		"rate per half a second":   {"rate", map[string]any{"requests": 1, "per": "1500ms"}, 400, "expected whole seconds"},
		"unknown member":           {"scope", "read:eft", 400, "not what is expected"},
	} {
		body := map[string]any{tt.member: tt.value}
		for member, value := range base {
			if _, given := body[member]; !given {
				body[member] = value
			}
		}
		w.refusesPersonal(t, name, body, tt.status, tt.says)
	}
	both := map[string]any{"principal": serviceID, "label": "cron", "scopes": []string{"read:eft"}, "lifetime": "1h", "expires": "2999-01-01T00:00:00Z"}
	w.refusesPersonal(t, "two ends", both, 400, "give one")
	modest := map[string]any{"principal": "modest", "label": "cron", "scopes": []string{"all:eft"}}
	w.refusesPersonal(t, "open in part", modest, 400, "account partly is open to modest in part, for: read:eft;")
	modest["accounts"] = []string{"closed"}
	w.refusesPersonal(t, "closed account", modest, 400, `account \"closed\" is not open to modest; open: partly`)
	if listed := w.listPersonal("?all=true"); len(listed) != 0 {
		t.Errorf("a refusal left %+v", listed)
	}
}

func (w *adminWorld) refusesPersonal(t *testing.T, name string, body map[string]any, status int, says string) {
	t.Helper()
	encoded, err := json.Marshal(body)
	must(t, err)
	if answer := w.try("POST", "/personal-tokens", string(encoded)); answer.status != status || !strings.Contains(answer.body, says) {
		t.Errorf("%s: %d %s\nwant %d %s", name, answer.status, answer.body, status, says)
	}
}

func manyNetworks(n int) (networks []string) {
	for i := range n {
		networks = append(networks, fmt.Sprintf("192.0.2.%d", i))
	}
	return networks
}

func TestPersonalTokenListKeepsLiveAndDeadApart(t *testing.T) {
	w := newAdminWorld(t)
	alive, revoked, ended := w.issuePersonal(""), w.issuePersonal(""), w.issuePersonal("")
	w.ok("POST", "/tokens/revoke", `{"id":"`+revoked.ID+`"}`)
	var grants struct{ Grants []grant }
	w.ok("GET", "/grants?client="+store.PersonalClient, "").decode(t, &grants)
	if len(grants.Grants) != 3 {
		t.Fatalf("%d grants", len(grants.Grants))
	}
	endedGrant := slices.IndexFunc(grants.Grants, func(g grant) bool {
		var one grant
		w.ok("GET", "/grants/"+g.ID, "").decode(t, &one)
		return (*one.Tokens)[0].ID == ended.ID
	})
	w.ok("POST", "/grants/"+grants.Grants[endedGrant].ID+"/revoke", "")
	if live := w.listPersonal(""); len(live) != 1 || live[0].ID != alive.ID {
		t.Errorf("live: %+v", live)
	}
	if first := w.listPersonal("?limit=1"); len(first) != 1 || first[0].ID != alive.ID {
		t.Errorf("the newest live one: %+v", first)
	}
	status := map[string]string{}
	for _, one := range w.listPersonal("?all=true") {
		status[one.ID] = one.Status
	}
	if status[alive.ID] != "live" || status[revoked.ID] != "revoked" || status[ended.ID] != "revoked" {
		t.Errorf("status %v", status)
	}
	for _, query := range []string{"?all=maybe", "?limit=0", "?owner=x"} {
		if answer := w.try("GET", "/personal-tokens"+query, ""); answer.status != 400 {
			t.Errorf("%s: %d %s", query, answer.status, answer.body)
		}
	}
}

func TestPersonalTokensNeedTheRoleAdmin(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1") + "/bearer/environments/sandbox/personal-tokens"
	for who, want := range map[role][2]int{roleRead: {200, 403}, roleRevoke: {200, 403}, roleAdmin: {200, 400}} {
		for i, method := range []string{"GET", "POST"} {
			body := ""
			if method == "POST" {
				body = "{}"
			}
			request := newAdminRequest(t, method, base, body)
			request.Header.Set("Authorization", "Bearer "+w.operatorToken(who))
			if answer := do(t, http.DefaultClient, request); answer.status != want[i] {
				t.Errorf("%s by %v: %d, want %d", method, who, answer.status, want[i])
			}
		}
	}
}

// What is kept of a token opens nothing: neither the list, nor the log, nor any
// file of the database holds its value.
func TestS1_7_PersonalTokenValueIsNowhere(t *testing.T) {
	w := newAdminWorld(t)
	made := w.issuePersonal(`,"networks":["192.0.2.0/24"]`)
	_, err := w.authority().Check(made.Token)
	must(t, err)
	bodies := w.ok("GET", "/personal-tokens?all=true", "").body +
		w.ok("POST", "/tokens/show", `{"token":"`+made.Token+`"}`).body +
		w.ok("POST", "/tokens/revoke", `{"token":"`+made.Token+`"}`).body
	for _, line := range w.logged.All() {
		bodies += line.Message + fmt.Sprint(line.ContextMap())
	}
	secret := made.Token[len("cb_test_personal_"):]
	if strings.Contains(bodies, secret) {
		t.Error("an answer or a log line holds the token")
	}
	files, err := filepath.Glob(w.app.Store.Path + "*")
	must(t, err)
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(content), secret) {
			t.Errorf("%s holds the token", file)
		}
		found = found || strings.Contains(string(content), made.ID)
	}
	if !found {
		t.Error("the token's record is in no file: this test looks at nothing")
	}
}

func TestBuiltInClientIsNobodys(t *testing.T) {
	w := newAdminWorld(t)
	if shown := w.ok("GET", "/clients/personal-token", "").record(t); shown.Source != store.BuiltIn || shown.Status != store.Active {
		t.Errorf("%+v", shown)
	}
	const taken = "the built-in client of personal tokens; choose another"
	const builtIn = "client personal-token is built in"
	for _, tt := range []struct{ method, path, body, says string }{
		{"POST", "/clients", `{"id":"personal-token","scopes":["read:eft"]}`, taken},
		{"POST", "/service-accounts", `{"id":"personal-token"}`, taken},
		{"PATCH", "/clients/personal-token", `{"scopes":["read:eft"]}`, builtIn},
		{"POST", "/clients/personal-token/secret", "", builtIn},
		{"POST", "/clients/personal-token/disable", "", builtIn},
		{"POST", "/clients/personal-token/enable", "", builtIn},
	} {
		if answer := w.try(tt.method, tt.path, tt.body); answer.status != 409 || !strings.Contains(answer.body, tt.says) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, answer.status, answer.body)
		}
	}
	w.ok("POST", "/accounts", `{"id":"personal-token"}`) // ids of accounts are their own
	made := w.issuePersonal("")
	lease, err := w.authority().Check(made.Token)
	must(t, err)
	w.ok("POST", "/clients/personal-token/revoke", `{"reason":"laptop stolen"}`)
	if verdict := w.authority().Judge(lease, time.Now()); verdict != token.Revoked {
		t.Errorf("after the client was revoked the token is %s", verdict)
	}
	if _, err := w.authority().Check(w.issuePersonal("").Token); err != nil {
		t.Errorf("a token that was issued afterwards: %v", err)
	}
}

// Nobody can be the built-in client: it has no secret, not even an empty one.
func TestClientCredentialsOfTheBuiltInClient(t *testing.T) {
	w := newAdminWorld(t)
	is := w.app.runtime.worlds[store.Sandbox].issuer.Load()
	for _, secret := range []string{"", "x", clientSecret} {
		var said []string
		for _, id := range []string{store.PersonalClient, "nobody-at-all"} {
			r := httptest.NewRequest("POST", "https://auth.test/oauth2/token", strings.NewReader("grant_type=client_credentials"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(id, secret)
			rec := httptest.NewRecorder()
			is.ServeHTTP(rec, r)
			said = append(said, fmt.Sprint(rec.Code, rec.Body))
		}
		if said[0] != said[1] || !strings.HasPrefix(said[0], `401 {"error":"invalid_client"`) {
			t.Errorf("secret %q: %s\nunknown client: %s", secret, said[0], said[1])
		}
	}
}

func TestBuiltInIDInTheConfiguration(t *testing.T) {
	const want = "personal-token: the id personal-token is that of the built-in client of personal tokens; choose another"
	p, err := policy.Load("policy.yaml", []byte(testPolicy))
	must(t, err)
	for what, env := range map[string]*Environment{
		"client ":          {Clients: []*Client{{ID: store.PersonalClient, SecretHash: clientHash()}}},
		"service_account ": {ServiceAccounts: []*ServiceAccount{{ID: store.PersonalClient, SecretHash: serviceHash()}}},
	} {
		env.Issuer, env.Audience = "https://auth.test", "https://api.test"
		if err := env.provision(store.Sandbox, p); err == nil || err.Error() != what+want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A client that had the id before it was built in had a secret and perhaps
// tokens: all that ends, and none of it becomes a token without a ceiling.
func TestClientThatHadTheBuiltInIDEnds(t *testing.T) {
	w := newAdminWorld(t)
	st := w.app.runtime.store
	must(t, st.Update(t.Context(), func(tx store.Writer) error {
		return putClient(tx, store.Client{
			Environment: store.Sandbox, ID: store.PersonalClient, SecretHash: clientHash(), MaxScopes: []string{"read:eft"},
			Status: store.Active, Source: store.FromCommand, Created: time.Now(),
		})
	}))
	forOthers, forItself := w.issue(store.PersonalClient, serviceID), w.issue(store.PersonalClient, store.PersonalClient)
	must(t, declare(t.Context(), st, w.authority(), w.app.Environments[store.Sandbox]))
	for name, old := range map[string]issued{"for others": forOthers, "for itself": forItself} {
		if verdict := w.verdict(old); verdict != token.Revoked {
			t.Errorf("its token %s is %s", name, verdict)
		}
	}
	must(t, st.View(t.Context(), func(tx store.Reader) error {
		c, err := tx.Client(store.Sandbox, store.PersonalClient)
		if c.Source != store.BuiltIn || c.SecretHash != "" || c.MaxScopes != nil {
			t.Errorf("the client is %+v", c)
		}
		if p, err := tx.Principal(store.Sandbox, store.PersonalClient); err != nil || p.Status != store.Disabled {
			t.Errorf("its principal is %+v, %v", p, err)
		}
		return err
	}))
	numbers := w.audited("client.revoke")
	must(t, declare(t.Context(), st, w.authority(), w.app.Environments[store.Sandbox]))
	if again := w.audited("client.revoke"); again != numbers {
		t.Errorf("the next start revoked again: %+v", again)
	}
}

// Housekeeping deletes a personal token that has been over for long enough, and
// never one that has no end.
func TestHousekeepingOfPersonalTokens(t *testing.T) {
	w := newAdminWorld(t)
	ends, permanent := w.issuePersonal(`,"lifetime":"1h"`), w.issuePersonal("")
	keep := w.authority().Retention()
	left := func() (ids []string) {
		for _, one := range w.listPersonal("?all=true") {
			ids = append(ids, one.ID)
		}
		return ids
	}
	w.app.runtime.collect(t.Context(), ends.Expires.Add(keep-time.Second))
	if ids := left(); len(ids) != 2 {
		t.Errorf("within the memory: %v", ids)
	}
	w.app.runtime.collect(t.Context(), ends.Expires.Add(keep+time.Second))
	if ids := left(); !slices.Equal(ids, []string{permanent.ID}) {
		t.Errorf("beyond the memory: %v", ids)
	}
}
