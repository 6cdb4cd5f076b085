package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// principal reads the principal with an id.
func (w *adminWorld) principal(id string) (p store.Principal) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) (err error) {
		p, err = tx.Principal(store.Sandbox, id)
		return err
	}))
	return p
}

func (w *adminWorld) update(change func(store.Writer) error) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.Update(w.t.Context(), change))
}

// declare makes the configuration's rows again, as a reload does.
func (w *adminWorld) declare() error {
	return declare(w.t.Context(), w.app.runtime.store, w.authority(), w.app.Environments[store.Sandbox])
}

func TestPrincipalOfAClientFollowsTheClient(t *testing.T) {
	w := newAdminWorld(t)
	want := func(when, id, name, scopes string, status store.Status, source store.Source) {
		t.Helper()
		p := w.principal(id)
		if p.Kind != store.ClientPrincipal || p.SecretHash != "" || p.Name != name ||
			strings.Join(p.MaxScopes, " ") != scopes || p.Status != status || p.Source != source {
			t.Errorf("%s: %+v", when, p)
		}
	}
	want("declared", clientID, "", "read:accounts read:eft write:eft read:market trade:orders", store.Active, store.FromConfig)
	w.ok("POST", "/clients", `{"id":"bot","name":"Bot","scopes":["read:eft"]}`)
	want("added", "bot", "Bot", "read:eft", store.Active, store.FromCommand)
	w.ok("PATCH", "/clients/bot", `{"name":"B","scopes":["read:market"]}`)
	want("set", "bot", "B", "read:market", store.Active, store.FromCommand)

	own := w.issue("bot", "bot")
	w.ok("POST", "/clients/bot/disable", "")
	want("disabled", "bot", "B", "read:market", store.Disabled, store.FromCommand)
	if got := w.verdict(own); got != token.Revoked {
		t.Errorf("the disabled client's own token is %s", got)
	}
	w.ok("POST", "/clients/bot/enable", "")
	want("enabled", "bot", "B", "read:market", store.Active, store.FromCommand)
	w.ok("POST", "/clients/bot/secret", "")
	want("with a new secret", "bot", "B", "read:market", store.Active, store.FromCommand)

	w.app.Environments[store.Sandbox].Clients = nil
	must(t, w.declare())
	want("removed", clientID, "", "read:accounts read:eft write:eft read:market trade:orders", store.Disabled, store.FromConfig)
}

func TestPrincipalOfAClientIsNoServiceAccount(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	if list := w.ok("GET", "/service-accounts", "").body; strings.Contains(list, `"bot"`) || strings.Contains(list, clientID) {
		t.Errorf("listed among service accounts: %s", list)
	}
	for call, body := range map[string]string{
		"GET /service-accounts/bot":            "",
		"PATCH /service-accounts/bot":          `{"name":"x"}`,
		"POST /service-accounts/bot/secret":    "",
		"POST /service-accounts/bot/disable":   "",
		"POST /service-accounts/bot/revoke":    "",
		"PUT /service-accounts/bot/accounts/1": "",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := w.try(method, path, body); got.status != 404 {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
	}
}

func TestClientAndServiceAccountHaveNoIDInCommon(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot"}`)
	w.ok("POST", "/service-accounts", `{"id":"treasury"}`)
	for call, want := range map[string]string{
		"/service-accounts bot":          "the id bot is taken by a client",
		"/service-accounts " + clientID:  "the id " + clientID + " is taken by a client",
		"/clients treasury":              "the id treasury is taken by a service account",
		"/clients " + serviceID:          "the id " + serviceID + " is taken by a service account",
		"/clients bot":                   "the id bot is taken by another client",
		"/service-accounts treasury":     "the id treasury is taken by another service account",
		"/service-accounts " + serviceID: "the id " + serviceID + " is taken by another service account",
	} {
		path, id, _ := strings.Cut(call, " ")
		if got := w.try("POST", path, `{"id":"`+id+`"}`); got.status != 409 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", call, got.status, got.body, want)
		}
	}
	for want, change := range map[string]func(*Environment){
		"client treasury: a service account in the database has the same id; choose another": func(env *Environment) {
			env.Clients = []*Client{{ID: "treasury", SecretHash: clientHash()}}
		},
		"service account bot: a client in the database has the same id; choose another": func(env *Environment) {
			env.ServiceAccounts = []*ServiceAccount{{ID: "bot", SecretHash: serviceHash()}}
		},
	} {
		env := *w.app.Environments[store.Sandbox]
		change(&env)
		err := declare(t.Context(), w.app.runtime.store, w.authority(), &env)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Databases from before client_credentials have clients without a principal.
func TestClientsOfAnOlderDatabaseGetTheirPrincipal(t *testing.T) {
	w := newAdminWorld(t)
	client := func(id string) store.Client {
		return store.Client{
			Environment: store.Sandbox, ID: id, MaxScopes: []string{"read:eft"},
			Status: store.Active, Source: store.FromCommand, Created: time.Now(),
		}
	}
	w.ok("POST", "/service-accounts", `{"id":"both"}`)
	w.update(func(tx store.Writer) error { return tx.PutClient(client("old")) })
	w.update(func(tx store.Writer) error { return tx.PutClient(client("both")) })
	must(t, w.declare())
	if p := w.principal("old"); p.Kind != store.ClientPrincipal || p.Status != store.Active {
		t.Errorf("%+v", p)
	}
	// Who shares its id goes on without, and can be disabled.
	w.ok("POST", "/clients/both/disable", "")
	if p := w.principal("both"); p.Kind != store.Service || p.Status != store.Active {
		t.Errorf("the service account became %+v", p)
	}
}

func TestAccountsOfADeclaredClient(t *testing.T) {
	w := newAdminWorld(t, func(app *App) { app.Environments[store.Sandbox].Clients[0].Accounts = []string{"1"} })
	own := w.issue(clientID, clientID, "1")
	if len(own.lease.Accounts) != 1 || own.lease.Accounts[0] != "1" {
		t.Errorf("accounts %v", own.lease.Accounts)
	}
	if got := w.ok("GET", "/clients/"+clientID, "").record(t); got.Accounts == nil || len(*got.Accounts) != 1 {
		t.Errorf("shown: %+v", got)
	}
	w.app.Environments[store.Sandbox].Clients[0].Accounts = nil
	must(t, w.declare())
	if got := w.verdict(own); got != token.Revoked {
		t.Errorf("after the account was taken away its token is %s", got)
	}
	if got := w.ok("GET", "/clients/"+clientID, "").record(t); got.Accounts != nil {
		t.Errorf("shown: %+v", got)
	}
}
