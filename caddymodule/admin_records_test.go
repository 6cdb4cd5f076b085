package caddymodule

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestWhatTheConfigurationOwnsIsNotEdited(t *testing.T) {
	w := newAdminWorld(t)
	for call, body := range map[string]string{
		"PATCH /clients/" + clientID:                            `{"name":"mine"}`,
		"POST /clients/" + clientID + "/secret":                 "",
		"POST /clients/" + clientID + "/disable":                "",
		"POST /clients/" + clientID + "/enable":                 "",
		"PATCH /service-accounts/" + serviceID:                  `{"scopes":[]}`,
		"POST /service-accounts/" + serviceID + "/disable":      "",
		"POST /accounts/1/disable":                              "",
		"PUT /service-accounts/" + serviceID + "/accounts/1":    `{"scopes":["read:eft"]}`,
		"DELETE /service-accounts/" + serviceID + "/accounts/1": "",
	} {
		method, path, _ := strings.Cut(call, " ")
		answer := w.try(method, path, body)
		if answer.status != 409 || !strings.Contains(answer.body, "declared in the configuration; change it there") {
			t.Errorf("%s: %d %s", call, answer.status, answer.body)
		}
		if strings.Contains(answer.body, "cb_test_secret_") {
			t.Errorf("%s: a refused call shows a secret", call)
		}
	}
	// A command's account may be bound to the configuration's service account.
	w.ok("POST", "/accounts", `{"id":"2"}`)
	got := w.ok("PUT", "/service-accounts/"+serviceID+"/accounts/2", "").record(t)
	want := []boundAccount{{"1", store.Full, nil, store.FromConfig}, {"2", store.Full, nil, store.FromCommand}}
	if got.Accounts == nil || fmt.Sprint(*got.Accounts) != fmt.Sprint(want) {
		t.Errorf("accounts %v, want %v", got.Accounts, want)
	}
}

func TestSecretIsShownOnceAndKeptAsHash(t *testing.T) {
	w := newAdminWorld(t)
	secrets := w.app.runtime.worlds[store.Sandbox].secrets
	for _, path := range []string{"/clients", "/service-accounts"} {
		added := w.ok("POST", path, `{"name":"Bot","scopes":["read:eft"]}`).record(t)
		if len(added.ID) < 20 || !strings.HasPrefix(added.Secret, "cb_test_secret_") {
			t.Fatalf("%s: added %+v", path, added)
		}
		one := path + "/" + added.ID
		w.fits(secrets, one, added.Secret, true)

		rotated := w.ok("POST", one+"/secret", "").record(t)
		if rotated.Secret == added.Secret {
			t.Errorf("%s: the secret is still the same", path)
		}
		w.fits(secrets, one, rotated.Secret, true)
		w.fits(secrets, one, added.Secret, false)

		w.ok("PATCH", one, `{"name":"Other"}`)
		later := w.ok("GET", path, "").body + w.ok("GET", one, "").body + w.ok("POST", one+"/disable", "").body + w.ok("POST", one+"/enable", "").body
		for _, entry := range w.logged.All() {
			later += entry.Message + fmt.Sprint(entry.ContextMap())
		}
		must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
			events, err := tx.Audit(store.Sandbox, store.AuditFilter{})
			later += fmt.Sprint(events)
			return err
		}))
		for _, secret := range []string{added.Secret, rotated.Secret, "$hmac-sha256$", "$argon2id$"} {
			if strings.Contains(later, secret) {
				t.Errorf("%s: %q is shown again in %s", path, secret, later)
			}
		}
	}
}

// fits checks a secret against what is kept of a client or service account.
func (w *adminWorld) fits(secrets *token.Secrets, path, secret string, want bool) {
	w.t.Helper()
	id := path[strings.LastIndex(path, "/")+1:]
	var hash string
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		if strings.HasPrefix(path, "/clients") {
			row, err := tx.Client(store.Sandbox, id)
			hash = row.SecretHash
			return err
		}
		row, err := tx.Principal(store.Sandbox, id)
		hash = row.SecretHash
		return err
	}))
	if got, err := secrets.Verify(w.t.Context(), hash, secret); err != nil || got != want {
		w.t.Errorf("%s: the secret fits: %v, %v; want %v", path, got, err, want)
	}
}

func TestWhatOperatorsEndIsDeadWhenTheAnswerComes(t *testing.T) {
	w := newAdminWorld(t)
	for _, test := range []struct {
		name string
		call func(i issued, client, principal, account string) (method, path, body string)
		want token.Verdict
	}{
		{"token by itself", func(i issued, _, _, _ string) (string, string, string) {
			return "POST", "/tokens/revoke", `{"token":"` + i.access + `","reason":"leaked"}`
		}, token.Revoked},
		{"token by id", func(i issued, _, _, _ string) (string, string, string) {
			return "POST", "/tokens/revoke", `{"id":"` + i.lease.ID + `"}`
		}, token.Revoked},
		{"grant by refresh token", func(i issued, _, _, _ string) (string, string, string) {
			return "POST", "/tokens/revoke", `{"token":"` + i.refresh + `"}`
		}, token.Revoked},
		{"grant by id", func(i issued, _, _, _ string) (string, string, string) {
			return "POST", "/grants/" + i.grant + "/revoke", `{"reason":"customer asked"}`
		}, token.Revoked},
		{"everything of a client", func(_ issued, client, _, _ string) (string, string, string) {
			return "POST", "/clients/" + client + "/revoke", ""
		}, token.Revoked},
		{"client disabled", func(_ issued, client, _, _ string) (string, string, string) {
			return "POST", "/clients/" + client + "/disable", ""
		}, token.Revoked},
		{"service account disabled", func(_ issued, _, principal, _ string) (string, string, string) {
			return "POST", "/service-accounts/" + principal + "/disable", ""
		}, token.Revoked},
		{"everything of a service account", func(_ issued, _, principal, _ string) (string, string, string) {
			return "POST", "/service-accounts/" + principal + "/revoke", ""
		}, token.Revoked},
		{"account disabled", func(_ issued, _, _, account string) (string, string, string) {
			return "POST", "/accounts/" + account + "/disable", ""
		}, token.Revoked},
		{"account unbound", func(_ issued, _, principal, account string) (string, string, string) {
			return "DELETE", "/service-accounts/" + principal + "/accounts/" + account, ""
		}, token.Revoked},
		{"client's scopes", func(_ issued, client, _, _ string) (string, string, string) {
			return "PATCH", "/clients/" + client, `{"scopes":["read:eft"]}`
		}, token.RightsChanged},
		{"service account's scopes", func(_ issued, _, principal, _ string) (string, string, string) {
			return "PATCH", "/service-accounts/" + principal, `{"scopes":["read:eft"]}`
		}, token.RightsChanged},
		{"partial access", func(_ issued, _, principal, account string) (string, string, string) {
			return "PUT", "/service-accounts/" + principal + "/accounts/" + account, `{"scopes":["read:eft"]}`
		}, token.RightsChanged},
		{"client's name is no matter", func(_ issued, client, _, _ string) (string, string, string) {
			return "PATCH", "/clients/" + client, `{"name":"Other","scopes":["read:eft","read:market"]}`
		}, token.Live},
		{"secret rotated", func(_ issued, client, _, _ string) (string, string, string) {
			return "POST", "/clients/" + client + "/secret", ""
		}, token.Live},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := w.ok("POST", "/clients", `{"scopes":["read:eft","read:market"]}`).record(t).ID
			principal := w.ok("POST", "/service-accounts", `{"scopes":["read:eft","read:market"]}`).record(t).ID
			account := w.ok("POST", "/accounts", `{"id":"`+token.NewID()+`","kind":"trading"}`).record(t).ID
			w.ok("PUT", "/service-accounts/"+principal+"/accounts/"+account, "")
			made, other := w.issue(client, principal, account), w.issue(clientID, serviceID, "1")

			w.ok(test.call(made, client, principal, account))
			if got := w.verdict(made); got != test.want {
				t.Errorf("the token is %s, want %s", got, test.want)
			}
			if got := w.verdict(other); got != token.Live {
				t.Errorf("somebody else's token is %s", got)
			}
		})
	}
}

func TestDisabledThenEnabled(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	made := w.issue("bot", serviceID, "1")
	if got := w.ok("POST", "/clients/bot/disable", `{"reason":"key leaked"}`).record(t); got.Status != store.Disabled {
		t.Errorf("status %s", got.Status)
	}
	_, err := w.app.runtime.store.Issue(t.Context(), store.Issue{Grant: store.Grant{
		Environment: store.Sandbox, ID: token.NewID(), Principal: serviceID, Client: "bot", Created: time.Now(),
	}})
	if err == nil {
		t.Error("a disabled client gets a grant")
	}
	if got := w.ok("POST", "/clients/bot/enable", "").record(t); got.Status != store.Active {
		t.Errorf("status %s", got.Status)
	}
	if got := w.verdict(made); got != token.Revoked {
		t.Errorf("a token from before is %s", got)
	}
	w.issue("bot", serviceID, "1")
}

func TestEveryChangeIsInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1")
	w.ok("POST", "/clients", `{"id":"bot"}`)
	w.ok("POST", "/clients/bot/secret", "")
	request := newAdminRequest(t, "POST", base+"/bearer/environments/sandbox/clients/bot/disable", "")
	request.Header.Set("Authorization", "Bearer "+w.operatorToken(roleRevoke))
	do(t, http.DefaultClient, request)
	w.ok("POST", "/tokens/revoke", `{"id":"x"}`)
	w.try("POST", "/clients", `{"id":"bot"}`) // refused: no line

	var got []string
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		events, err := tx.Audit(store.Sandbox, store.AuditFilter{Limit: 4})
		for _, e := range events {
			if e.At.IsZero() {
				t.Errorf("%+v has no time", e)
			}
			got = append(got, e.Actor+" "+e.Action+" "+e.Target+" "+e.Outcome)
		}
		return err
	}))
	want := []string{
		"operator:socket token.revoke token:x ok",
		"operator:revoke client.disable client:bot ok",
		"operator:socket client.rotate_secret client:bot ok",
		"operator:socket client.add client:bot ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("audit trail\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEnvironmentsAreApart(t *testing.T) {
	w := newAdminWorld(t, func(app *App) {
		app.Environments[store.Production] = &Environment{Issuer: "https://auth.example.com", Audience: "https://api.example.com"}
	})
	w.ok("POST", "/clients", `{"id":"bot"}`)
	production := func(method, path, body string) adminAnswer {
		return do(t, w.socket, newAdminRequest(t, method, "http://localhost/bearer/environments/production"+path, body))
	}
	if got := production("GET", "/clients", ""); got.status != 200 || strings.Contains(got.body, "bot") {
		t.Errorf("the sandbox's client in production: %s", got.body)
	}
	if got := production("POST", "/clients", `{"id":"demo-client"}`); got.status != 400 || !strings.Contains(got.body, "published") {
		t.Errorf("a published id in production: %d %s", got.status, got.body)
	}
	var added record
	production("POST", "/clients", `{"id":"bot"}`).decode(t, &added)
	if !strings.HasPrefix(added.Secret, "cb_live_secret_") {
		t.Errorf("production's secret begins with %.15s", added.Secret)
	}
	made := w.issue(clientID, serviceID, "1")
	if got := production("POST", "/tokens/revoke", `{"token":"`+made.access+`"}`); got.status != 404 {
		t.Errorf("the sandbox's token revoked in production: %d %s", got.status, got.body)
	}
	if got := do(t, w.socket, newAdminRequest(t, "GET", "http://localhost/bearer/environments", "")); !strings.Contains(got.body, `"name":"production"`) || !strings.Contains(got.body, `"name":"sandbox"`) {
		t.Errorf("environments: %s", got.body)
	}
}

func TestPoliciesAreListed(t *testing.T) {
	w := newAdminWorld(t, func(app *App) {
		app.Policies["gates"] = app.Policies["test"]
		app.Environments[store.Sandbox].Policy = "test"
	})
	answer := do(t, w.socket, newAdminRequest(t, "GET", "http://localhost/bearer/policies", ""))
	var got struct{ Policies []policyInfo }
	answer.decode(t, &got)
	want := []policyInfo{
		{"gates", w.app.Policies["gates"], w.app.policies["gates"].policy.Revision(), []string{}},
		{"test", w.app.Policies["test"], w.app.policies["test"].policy.Revision(), []string{"sandbox"}},
	}
	if !reflect.DeepEqual(got.Policies, want) {
		t.Errorf("%s, want %v", answer.body, want)
	}
}
