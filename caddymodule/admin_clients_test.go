package caddymodule

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	callback      = "https://bot.example.com/callback"
	otherCallback = "https://bot.example.com/beta"
)

// clientEvents are the reasons of the changes of a client, oldest first.
func (w *adminWorld) clientEvents(id string) (reasons []string) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		rows, err := tx.Audit(store.Sandbox, store.AuditFilter{Action: "client.set", Target: "client:" + id})
		for _, row := range slices.Backward(rows) {
			reasons = append(reasons, row.Actor+": "+row.Reason)
		}
		return err
	}))
	return reasons
}

func (w *adminWorld) wantReasons(id string, want ...string) {
	w.t.Helper()
	if got := w.clientEvents(id); !slices.Equal(got, want) {
		w.t.Errorf("audit trail of %s\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestS1_1_PublicClientHasNoSecret(t *testing.T) {
	w := newAdminWorld(t)
	added := w.ok("POST", "/clients", `{"id":"desktop","public":true,"redirect_uris":["http://127.0.0.1/callback"],"scopes":["read:market"],"description":"Trades from the desktop"}`)
	got := added.record(t)
	if got.Secret != "" || !got.Public || got.Description != "Trades from the desktop" || !slices.Equal(got.RedirectURIs, []string{"http://127.0.0.1/callback"}) {
		t.Errorf("added %s", added.body)
	}
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		c, err := tx.Client(store.Sandbox, "desktop")
		if err != nil || c.SecretHash != "" || !c.Public {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := tx.Principal(store.Sandbox, "desktop"); unlessUnknown(err) != nil || err == nil {
			t.Errorf("there is a principal that stands for a public client (%v)", err)
		}
		return nil
	}))
	if got := w.try("POST", "/clients/desktop/secret", ""); got.status != 409 || !strings.Contains(got.body, "is public: it has no secret") {
		t.Errorf("a secret for a public client: %d %s", got.status, got.body)
	}
	if got := w.try("POST", "/users", `{"id":"desktop"}`); got.status != 409 {
		t.Errorf("a user with the id of a public client: %d %s", got.status, got.body)
	}
	must(t, w.declare()) // a start must not make the principal either
	if got := w.ok("GET", "/clients/desktop", "").record(t); !got.Public || got.Accounts != nil {
		t.Errorf("after a start: %+v", got)
	}
}

func TestClientThatBecomesPublicLosesAll(t *testing.T) {
	w := newAdminWorld(t)
	first := w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft","read:market"],"redirect_uris":["`+callback+`"]}`).record(t)
	people, own, other := w.issue("bot", serviceID, "1"), w.issue("bot", "bot"), w.issue(clientID, serviceID, "1")

	shown := w.ok("PATCH", "/clients/bot", `{"public":true}`)
	if strings.Contains(shown.body, "secret") {
		t.Errorf("the answer has a secret: %s", shown.body)
	}
	if w.verdict(people) != token.Revoked || w.verdict(own) != token.Revoked || w.verdict(other) != token.Live {
		t.Errorf("its tokens are %s and %s, another client's %s", w.verdict(people), w.verdict(own), w.verdict(other))
	}
	if p := w.principal("bot"); p.Status != store.Disabled {
		t.Errorf("it still acts for itself: %+v", p)
	}
	w.fits(w.app.runtime.worlds[store.Sandbox].secrets, "/clients/bot", first.Secret, false)

	// Back again: another secret, and what had ended stays dead.
	again := w.ok("PATCH", "/clients/bot", `{"public":false}`).record(t)
	if again.Secret == "" || again.Secret == first.Secret {
		t.Errorf("secret %q", again.Secret)
	}
	w.fits(w.app.runtime.worlds[store.Sandbox].secrets, "/clients/bot", again.Secret, true)
	if p := w.principal("bot"); p.Status != store.Active {
		t.Errorf("it does not act for itself: %+v", p)
	}
	if w.verdict(people) != token.Revoked || w.verdict(own) != token.Revoked {
		t.Error("a token came back to life")
	}
	// It has one already: it keeps it, and is not shown another.
	if got := w.ok("PATCH", "/clients/bot", `{"public":false,"name":"B"}`).record(t); got.Secret != "" || got.Name != "B" {
		t.Errorf("%+v", got)
	}
	w.fits(w.app.runtime.worlds[store.Sandbox].secrets, "/clients/bot", again.Secret, true)
	w.wantReasons("bot", "operator:socket: is public now", "operator:socket: has a secret now", "operator:socket: name or description was changed")
}

func TestRedirectURITakenAwayEndsWhatTheClientHas(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft","read:market"],"redirect_uris":["`+callback+`"]}`)
	held := w.issue("bot", serviceID, "1")
	w.ok("PATCH", "/clients/bot", `{"redirect_uris":["`+otherCallback+`","`+callback+`"]}`)
	w.ok("PATCH", "/clients/bot", `{"redirect_uris":["`+callback+`","`+otherCallback+`"]}`) // in another order
	w.ok("PATCH", "/clients/bot", `{"pkce_optional":true}`)
	w.ok("PATCH", "/clients/bot", `{"description":"x"}`)
	if got := w.verdict(held); got != token.Live {
		t.Fatalf("after what takes nothing away, the token is %s", got)
	}
	for body, grants := range map[string]string{
		`{"redirect_uris":["` + otherCallback + `"]}`: `"kind":"client","target":"bot","principals":["` + serviceID + `"],"clients":["bot"],"grants":1`,
		`{"public":true,"pkce_optional":false}`:       `"kind":"client","target":"bot"`,
		`{"scopes":["read:eft"]}`:                     `"kind":"client_rights","target":"bot"`,
		`{"name":"B"}`:                                `"kind":"client_rights_given","target":"bot"`,
	} {
		if got := w.ok("PATCH", "/clients/bot?dry_run=true", body).body; !strings.Contains(got, grants) {
			t.Errorf("a dry run of %s says %s, want %s", body, got, grants)
		}
	}
	if got := w.verdict(held); got != token.Live {
		t.Fatalf("after dry runs the token is %s", got)
	}
	w.ok("PATCH", "/clients/bot", `{"redirect_uris":["`+otherCallback+`"],"pkce_optional":false}`)
	if got := w.verdict(held); got != token.Revoked {
		t.Errorf("after its redirect URI is taken away, the token is %s", got)
	}
	const operator, nothing = "operator:socket: ", "name or description was changed"
	w.wantReasons("bot", operator+"redirect URI added: "+otherCallback, operator+nothing, operator+"may leave PKCE out now", operator+nothing,
		operator+"redirect URI taken away: "+callback+"; must use PKCE now")
}

func TestDeclaredClientFollowsTheConfiguration(t *testing.T) {
	w := newAdminWorld(t, func(app *App) {
		app.Environments[store.Sandbox].Clients[0].RedirectURIs = []string{callback}
		app.Environments[store.Sandbox].Clients[0].Accounts = []string{"1"}
	})
	declared := w.app.Environments[store.Sandbox].Clients[0]
	people, own := w.issue(clientID, serviceID, "1"), w.issue(clientID, clientID, "1")

	declared.RedirectURIs, declared.PKCE, declared.Description = []string{callback, otherCallback}, "optional", "A bot"
	must(t, w.declare())
	got := w.ok("GET", "/clients/"+clientID, "").record(t)
	if !slices.Equal(got.RedirectURIs, declared.RedirectURIs) || !got.PKCEOptional || got.Description != "A bot" {
		t.Errorf("%+v", got)
	}
	if w.verdict(people) != token.Live || w.verdict(own) != token.Live {
		t.Errorf("after what takes nothing away, tokens are %s and %s", w.verdict(people), w.verdict(own))
	}
	must(t, w.declare()) // nothing new: no line
	declared.RedirectURIs = []string{otherCallback}
	must(t, w.declare())
	if w.verdict(people) != token.Revoked || w.verdict(own) != token.Revoked {
		t.Errorf("after the redirect URI is removed, tokens are %s and %s", w.verdict(people), w.verdict(own))
	}
	again := w.issue(clientID, serviceID, "1")
	declared.Public, declared.SecretHash, declared.PKCE, declared.Accounts = true, "", "", nil
	must(t, w.declare())
	if p := w.principal(clientID); w.verdict(again) != token.Revoked || p.Status != store.Disabled {
		t.Errorf("after it became public, its token is %s and its principal %s", w.verdict(again), p.Status)
	}
	w.wantReasons(clientID,
		"config: redirect URI added: "+otherCallback+"; may leave PKCE out now",
		"config: redirect URI taken away: "+callback,
		"config: is public now; must use PKCE now")
}

func TestClientCallsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"],"redirect_uris":["`+callback+`"]}`)
	w.ok("POST", "/clients", `{"id":"desktop","public":true,"redirect_uris":["http://127.0.0.1/callback"]}`)
	w.update(func(tx store.Writer) error {
		app, err := tx.Client(store.Sandbox, "bot")
		app.ID, app.Exchange = "app", true
		if err != nil {
			return err
		}
		return tx.PutClient(app)
	})
	before := w.ok("GET", "/clients", "").body
	for name, test := range map[string]struct {
		call, body string
		status     int
		says       string
	}{
		"public without a redirect URI":    {"POST /clients", `{"id":"x","public":true}`, 400, "needs a redirect URI"},
		"public without PKCE":              {"POST /clients", `{"id":"x","public":true,"pkce_optional":true,"redirect_uris":["` + callback + `"]}`, 400, "cannot leave PKCE out"},
		"http":                             {"POST /clients", `{"id":"x","redirect_uris":["http://bot.example.com/callback"]}`, 400, "without encryption"},
		"twice":                            {"POST /clients", `{"id":"x","redirect_uris":["` + callback + `","` + callback + `"]}`, 400, "named twice"},
		"null among the redirect URIs":     {"POST /clients", `{"id":"x","redirect_uris":[null]}`, 400, "is empty"},
		"one string of redirect URIs":      {"POST /clients", `{"id":"x","redirect_uris":"` + callback + `"}`, 400, "not what is expected"},
		"a secret of one's own":            {"POST /clients", `{"id":"x","secret":"x"}`, 400, "not what is expected"},
		"a hash of one's own":              {"POST /clients", `{"id":"x","secret_hash":"x"}`, 400, "not what is expected"},
		"an owner":                         {"POST /clients", `{"id":"x","owner":"alice"}`, 400, "not what is expected"},
		"public as a word":                 {"POST /clients", `{"id":"x","public":"yes"}`, 400, "not what is expected"},
		"control character":                {"POST /clients", `{"id":"x","description":"a\nb"}`, 400, "only printable characters"},
		"nothing to change":                {"PATCH /clients/bot", `{}`, 400, "nothing to change"},
		"last redirect URI of a public":    {"PATCH /clients/desktop", `{"redirect_uris":[]}`, 400, "needs a redirect URI"},
		"public may leave PKCE out":        {"PATCH /clients/desktop", `{"pkce_optional":true}`, 400, "cannot leave PKCE out"},
		"redirect URI with a wildcard":     {"PATCH /clients/bot", `{"redirect_uris":["https://*.example.com/"]}`, 400, "wildcard"},
		"scope that is not known":          {"PATCH /clients/bot", `{"public":true,"scopes":["read:etf"]}`, 400, "did you mean"},
		"app of the exchange":              {"PATCH /clients/app", `{"public":true}`, 404, "there is no client"},
		"users have no redirect URIs":      {"POST /users", `{"id":"x","redirect_uris":[]}`, 400, "not what is expected"},
		"service accounts are not public":  {"POST /service-accounts", `{"id":"x","public":true}`, 400, "not what is expected"},
		"service accounts stay not public": {"PATCH /service-accounts/" + serviceID, `{"public":true}`, 400, "not what is expected"},
		"dry run of the refused":           {"PATCH /clients/desktop?dry_run=true", `{"redirect_uris":[]}`, 400, "needs a redirect URI"},
		"dry run of the declared":          {"PATCH /clients/" + clientID + "?dry_run=true", `{"name":"x"}`, 409, "change it there"},
		"dry run of who has none":          {"PATCH /service-accounts/desk?dry_run=true", `{"name":"x"}`, 400, "has no dry run"},
		"built in":                         {"PATCH /clients/" + store.PersonalClient, `{"public":true,"redirect_uris":["` + callback + `"]}`, 409, "is built in"},
		"declared":                         {"PATCH /clients/" + clientID, `{"redirect_uris":["` + callback + `"]}`, 409, "change it there"},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.call, " ")
			if got := w.try(method, path, test.body); got.status != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%d %s, want %d %q", got.status, got.body, test.status, test.says)
			}
		})
	}
	if after := w.ok("GET", "/clients", "").body; after != before {
		t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
	}
}

// What an operator and a developer do by commands.
func TestS1_1_ClientsByCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	shown := s.ok("", "bearer", "client", "add", "desktop", "--public", "--description", "Trades from the desktop",
		"--redirect-uri", "http://127.0.0.1/callback", "--redirect-uri", "com.example.desktop:/callback", "--scopes", "read:market")
	for _, line := range []string{`description +Trades from the desktop`, `public +yes: it has no secret`, `redirect uri +http://127.0.0.1/callback`, `redirect uri +com.example.desktop:/callback`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(shown) {
			t.Errorf("client add printed no line %q\n%s", line, shown)
		}
	}
	if strings.Contains(shown, "cb_test_secret_") || s.ok("", "bearer", "client", "show", "desktop") != shown {
		t.Errorf("client add printed\n%s", shown)
	}
	for _, body := range []string{"&client_id=desktop", "&client_id=desktop&client_secret=", "&client_id=desktop&client_secret=x"} {
		request := s.form("/oauth2/token", "grant_type=client_credentials"+body)
		request.Header.Del("Authorization")
		if status := s.answerStatus(request); status != 400 && status != 401 {
			t.Errorf("a public client acted for itself: %d", status)
		}
	}
	s.ok("", "bearer", "client", "add", "old-bot", "--redirect-uri", callback, "--pkce-optional", "--scopes", "read:market")
	if shown := s.ok("", "bearer", "client", "set", "old-bot", "--pkce-optional=false", "--redirect-uri", ""); strings.Contains(shown, "pkce") || strings.Contains(shown, "redirect") {
		t.Errorf("client set printed\n%s", shown)
	}
	changed := s.ok("", "bearer", "client", "set", "desktop", "--public=false")
	if !strings.Contains(changed, "cb_test_secret_") || !strings.Contains(changed, "never shown again") || strings.Contains(changed, "public") {
		t.Errorf("client set --public=false printed\n%s", changed)
	}
	for args, says := range map[string]string{
		"client set desktop --public --redirect-uri=":                 "a public client needs a redirect URI",
		"client set desktop --redirect-uri http://desktop.test/x":     "without encryption",
		"client add x --public":                                       "a public client needs a redirect URI",
		"client add x --public --pkce-optional --redirect-uri a.b:/x": "cannot leave PKCE out",
		"client set desktop":                                          "--redirect-uri",
		"service-account add x --public":                              "unknown flag: --public",
		"user add x --redirect-uri a.b:/x":                            "unknown flag: --redirect-uri",
	} {
		if _, stderr, code := s.run("", append([]string{"bearer"}, strings.Fields(args)...)...); code == 0 || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d %s, want %q", args, code, stderr, says)
		}
	}
}
