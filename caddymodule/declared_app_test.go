package caddymodule

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// An app of the configuration follows it: what is taken from it is gone at once, and
// who is removed has nothing left.
func TestS5_6_DeclaredAppFollowsTheConfiguration(t *testing.T) {
	w := newAdminWorld(t, func(app *App) { anApp(app.Environments[store.Sandbox]).Name = "Budget & Co" })
	env := w.app.Environments[store.Sandbox]
	declared := env.Apps[0]
	shown := w.ok("GET", "/apps/budget", "").record(t)
	if shown.Name != "Budget & Co" || shown.Source != store.FromConfig || shown.StateOptional || !slices.Equal(shown.RedirectURIs, declared.RedirectURIs) {
		t.Errorf("%+v", shown)
	}
	held := w.issueScopes([]string{"read:eft"}, "budget", serviceID, "1")

	declared.Description, declared.State, declared.SecretHash = "Counts", "optional", clientHash()
	declared.RedirectURIs = []string{"https://app.test/other"}
	must(t, w.declare())
	if shown := w.ok("GET", "/apps/budget", "").record(t); !shown.StateOptional || shown.Description != "Counts" || !slices.Equal(shown.RedirectURIs, declared.RedirectURIs) {
		t.Errorf("%+v", shown)
	}
	if w.appHash("budget") != clientHash() {
		t.Error("the secret is not the one that is declared")
	}
	if got := w.verdict(held); got != token.Live {
		t.Errorf("after what takes nothing away, the token is %s", got)
	}
	declared.Scopes = nil
	must(t, w.declare())
	if got := w.verdict(held); got == token.Live {
		t.Errorf("after its scopes are taken away, the token is %s", got)
	}
	again := w.issueScopes([]string{"read:eft"}, "budget", serviceID, "1")
	env.Apps = nil
	must(t, w.declare())
	if shown := w.ok("GET", "/apps/budget", "").record(t); shown.Status != store.Disabled || w.verdict(again) != token.Revoked {
		t.Errorf("removed: %+v, its token is %s", shown, w.verdict(again))
	}
	env.Apps = []*ExchangeApp{declared}
	must(t, w.declare())
	if shown := w.ok("GET", "/apps/budget", "").record(t); shown.Status != store.Active || w.verdict(again) != token.Revoked {
		t.Errorf("declared again: %+v, its old token is %s", shown, w.verdict(again))
	}
	for _, action := range []string{"app.add", "app.rotate_secret", "client.revoke", "app.enable"} {
		if event := w.audited(action); event.Actor != "config" || event.Target != "client:budget" {
			t.Errorf("the audit trail has %+v", event)
		}
	}
}

func (w *adminWorld) appHash(id string) (hash string) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		c, err := tx.Client(store.Sandbox, id)
		hash = c.SecretHash
		return err
	}))
	return hash
}

// What the configuration owns, commands leave alone.
func TestS5_6_DeclaredAppIsNotEditedByCommand(t *testing.T) {
	w := newAdminWorld(t, func(app *App) { anApp(app.Environments[store.Sandbox]) })
	before := w.ok("GET", "/apps", "").body
	for _, call := range []struct{ method, path, body string }{
		{"PATCH", "/apps/budget", `{"name":"x"}`}, {"PATCH", "/apps/budget", `{"redirect_uris":["https://evil.test/cb"]}`},
		{"POST", "/apps/budget/secret", ""}, {"POST", "/apps/budget/disable", ""}, {"POST", "/apps", `{"id":"budget","redirect_uris":["https://app.test/cb"]}`},
		{"POST", "/clients", `{"id":"budget"}`},
	} {
		if got := w.try(call.method, call.path, call.body); got.status != 409 {
			t.Errorf("%s %s %s: %d %s", call.method, call.path, call.body, got.status, got.body)
		}
	}
	if after := w.ok("GET", "/apps", "").body; after != before {
		t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
	}
}

// Confusion of kinds: an id never passes from an app to a client or the other way,
// also not by the configuration.
func TestS5_6_DeclaredIDsAreNotTakenOver(t *testing.T) {
	w := newAdminWorld(t)
	env := w.app.Environments[store.Sandbox]
	w.ok("POST", "/apps", `{"id":"made","redirect_uris":["https://app.test/cb"]}`)
	w.ok("POST", "/clients", `{"id":"bot"}`)
	w.ok("POST", "/users", `{"id":"alice"}`)
	secret := w.appHash("made")
	for name, test := range map[string]struct {
		declare func(*Environment)
		says    string
	}{
		"client with the id of an app": {func(e *Environment) { e.Clients = append(e.Clients, &Client{ID: "made", SecretHash: clientHash()}) }, "client made: an app in the database has the same id"},
		"public client with the id of an app": {func(e *Environment) {
			e.Clients = append(e.Clients, &Client{ID: "made", Public: true, RedirectURIs: []string{"https://evil.test/cb"}})
		}, "client made: an app in the database has the same id"},
		"service account with the id of an app": {func(e *Environment) {
			e.ServiceAccounts = append(e.ServiceAccounts, &ServiceAccount{ID: "made", SecretHash: clientHash()})
		}, "service account made: "},
		"app with the id of an app by command": {func(e *Environment) { anApp(e).ID = "made" }, "app made was made by a command"},
		"app with the id of a client":          {func(e *Environment) { anApp(e).ID = "bot" }, "app bot: a client in the database has the same id"},
		"app with the id of a user":            {func(e *Environment) { anApp(e).ID = "alice" }, "app alice: a user in the database has the same id"},
	} {
		t.Run(name, func(t *testing.T) {
			clients, accounts, apps := env.Clients, env.ServiceAccounts, env.Apps
			defer func() { env.Clients, env.ServiceAccounts, env.Apps = clients, accounts, apps }()
			test.declare(env)
			if err := w.declare(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
	if made := w.ok("GET", "/apps/made", "").record(t); made.Source != store.FromCommand || made.Status != store.Active || w.appHash("made") != secret {
		t.Errorf("the app is %+v now", made)
	}
}
