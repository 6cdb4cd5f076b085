package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestUsersAreRecordsWithoutASecret(t *testing.T) {
	w := newAdminWorld(t)
	added := w.ok("POST", "/users", `{"id":"alice","name":"Alice Doe","scopes":["read:eft"]}`)
	if got := added.record(t); got.ID != "alice" || got.Secret != "" || fmt.Sprint(*got.Scopes) != "[read:eft]" || got.Accounts == nil {
		t.Errorf("added %s", added.body)
	}
	if p := w.principal("alice"); p.Kind != store.User || p.SecretHash != "" || p.Source != store.FromCommand {
		t.Errorf("%+v", p)
	}
	w.ok("PATCH", "/users/alice", `{"name":"A. Doe"}`)
	if got := w.ok("GET", "/users", "").body; !strings.Contains(got, `"name":"A. Doe"`) || strings.Contains(got, serviceID) || strings.Contains(got, clientID) {
		t.Errorf("listed %s", got)
	}
	if got := w.ok("GET", "/service-accounts", "").body; strings.Contains(got, "alice") {
		t.Errorf("a user among the service accounts: %s", got)
	}
	w.ok("POST", "/users/alice/disable", "")
	if got := w.ok("POST", "/users/alice/enable", "").record(t); got.Status != store.Active {
		t.Errorf("enabled: %+v", got)
	}
	for call, body := range map[string]string{
		"POST /users/alice/secret":                  "", // there is none
		"GET /service-accounts/alice":               "",
		"PATCH /service-accounts/alice":             `{"name":"x"}`,
		"POST /service-accounts/alice/secret":       "",
		"PUT /service-accounts/alice/accounts/1":    "",
		"POST /service-accounts/alice/disable":      "",
		"GET /users/" + serviceID:                   "",
		"PATCH /users/" + clientID:                  `{"name":"x"}`,
		"POST /users/" + serviceID + "/disable":     "",
		"POST /users/" + clientID + "/revoke":       "",
		"POST /users/" + clientID + "/enable":       "",
		"GET /clients/alice":                        "",
		"DELETE /service-accounts/alice/accounts/1": "",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := w.try(method, path, body); got.status != 404 {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
	}
}

func TestUsersShareNoIDWithPrograms(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot"}`)
	w.ok("POST", "/service-accounts", `{"id":"treasury"}`)
	w.ok("POST", "/users", `{"id":"alice"}`)
	for call, want := range map[string]string{
		"/users bot":              "the id bot is taken by a client",
		"/users treasury":         "the id treasury is taken by a service account",
		"/users " + clientID:      "the id " + clientID + " is taken by a client",
		"/users alice":            "the id alice is taken by another user",
		"/clients alice":          "the id alice is taken by a user",
		"/service-accounts alice": "the id alice is taken by a user",
	} {
		path, id, _ := strings.Cut(call, " ")
		if got := w.try("POST", path, `{"id":"`+id+`"}`); got.status != 409 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", call, got.status, got.body, want)
		}
	}
	for want, change := range map[string]func(*Environment){
		"client alice: a user in the database has the same id; choose another": func(env *Environment) {
			env.Clients = []*Client{{ID: "alice", SecretHash: clientHash()}}
		},
		"service account alice: a user in the database has the same id; choose another": func(env *Environment) {
			env.ServiceAccounts = []*ServiceAccount{{ID: "alice", SecretHash: serviceHash()}}
		},
	} {
		env := *w.app.Environments[store.Sandbox]
		change(&env)
		if err := declare(t.Context(), w.app.runtime.store, w.authority(), &env); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if p := w.principal("alice"); p.Kind != store.User {
		t.Errorf("the user became %+v", p)
	}
}

// Users, service accounts and clients are bound alike, those of the
// configuration too.
func TestAnybodyIsBound(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/accounts", `{"id":"2"}`)
	w.ok("POST", "/users", `{"id":"alice","scopes":["read:eft"]}`)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	for _, id := range []string{"alice", "bot", clientID, serviceID} {
		got := w.ok("PUT", "/bindings/"+id+"/2", `{"scopes":["read:eft"]}`).record(t)
		partly := boundAccount{"2", store.Partial, []string{"read:eft"}, store.FromCommand}
		if got.ID != id || got.Accounts == nil || !slices.ContainsFunc(*got.Accounts, func(b boundAccount) bool { return fmt.Sprint(b) == fmt.Sprint(partly) }) {
			t.Errorf("%s: %+v", id, got)
		}
		fully := boundAccount{"2", store.Full, nil, store.FromCommand}
		got = w.ok("PUT", "/bindings/"+id+"/2", "").record(t)
		if !slices.ContainsFunc(*got.Accounts, func(b boundAccount) bool { return fmt.Sprint(b) == fmt.Sprint(fully) }) {
			t.Errorf("%s, full again: %+v", id, got)
		}
	}
	list := func(query string) (found []string) {
		var answer struct{ Bindings []binding }
		w.ok("GET", "/bindings"+query, "").decode(t, &answer)
		for _, b := range answer.Bindings {
			found = append(found, b.Principal+" "+b.Account+" "+string(b.Source))
		}
		return found
	}
	if got := list("?account=1"); !slices.Equal(got, []string{serviceID + " 1 config"}) {
		t.Errorf("of account 1: %v", got)
	}
	if got := list("?principal=bot"); !slices.Equal(got, []string{"bot 2 command"}) {
		t.Errorf("of the client: %v", got)
	}
	if got := list(""); len(got) != 5 {
		t.Errorf("all: %v", got)
	}
	own := w.issue("bot", "bot", "2")
	if got := w.ok("DELETE", "/bindings/bot/2", "").record(t); got.Accounts != nil {
		t.Errorf("unbound: %+v", got)
	}
	if got := w.verdict(own); got.String() != "revoked" {
		t.Errorf("the client's own token is %s", got)
	}
	must(t, w.declare()) // a reload leaves commands' bindings alone
	if got := list("?account=2"); len(got) != 3 {
		t.Errorf("after a reload: %v", got)
	}
}

func TestBindingsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	for _, test := range []struct {
		call, body string
		status     int
		says       string
	}{
		{"PUT /bindings/nobody/1", "", 404, `there is no user, service account or client \"nobody\" in sandbox`},
		{"PUT /bindings/" + clientID + "/7", "", 404, `no account \"7\"`},
		{"PUT /bindings/" + serviceID + "/1", "", 409, "account 1 of service account " + serviceID + " is declared in the configuration"},
		{"DELETE /bindings/" + serviceID + "/1", "", 409, "declared in the configuration"},
		{"DELETE /bindings/" + clientID + "/1", "", 404, "client " + clientID + ` does not own account \"1\"`},
		{"PUT /bindings/" + clientID + "/1", `{"scopes":["read:etf"]}`, 400, "did you mean"},
		{"PUT /bindings/" + clientID + "/1", `{"scopes":["read:eft","read:eft"]}`, 400, "twice"},
		{"PUT /bindings/" + clientID + "/1", `{"access":"full"}`, 400, "access"},
		// An empty variable in a script must not open everything.
		{"PUT /bindings/" + clientID + "/1", `{"scopes":[]}`, 400, "leave it out to open the account in full"},
		{"GET /bindings?acount=1", "", 400, "acount"},
	} {
		method, path, _ := strings.Cut(test.call, " ")
		if got := w.try(method, path, test.body); got.status != test.status || !strings.Contains(got.body, test.says) {
			t.Errorf("%s %s: %d %s; want %d and %q", test.call, test.body, got.status, got.body, test.status, test.says)
		}
	}
	if got := w.ok("GET", "/bindings", "").body; strings.Count(got, `"account"`) != 1 {
		t.Errorf("something was bound after all: %s", got)
	}
}

// One transaction holds the binding, the rights and the line in the audit trail.
func TestBindingIsRecorded(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("PUT", "/bindings/"+clientID+"/1", "")
	w.ok("DELETE", "/bindings/"+clientID+"/1", `{"reason":"sold"}`)
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		events, err := tx.Audit(store.Sandbox, store.AuditFilter{Limit: 2})
		for i, want := range []string{"account.unbind", "account.bind"} {
			if e := events[i]; e.Action != want || e.Target != "binding:"+clientID+"/1" || e.Actor != "operator:socket" {
				t.Errorf("%+v, want %s", e, want)
			}
		}
		return err
	}))
	var got struct{ Revocations []revocation }
	w.ok("GET", "/revocations?limit=2", "").decode(t, &got)
	if r := got.Revocations; r[0].Kind != store.KindRights || r[0].Reason != "sold" || r[1].Kind != store.KindRightsGiven || r[0].Target != clientID {
		t.Errorf("%+v", r)
	}
}
