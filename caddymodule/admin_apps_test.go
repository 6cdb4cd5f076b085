package caddymodule

import (
	"strings"
	"testing"
)

func TestS5_6_RegisteringAnAppYieldsItsKeys(t *testing.T) {
	w := newAdminWorld(t)
	made := w.ok("POST", "/apps", `{"id":"budget","name":"Budget & Co","description":"Knows where it went","scopes":["read:eft"],"redirect_uris":["https://app.test/cb"],"state_optional":true}`)
	if !strings.Contains(made.body, `"secret":"cb_test_secret_`) || !strings.Contains(made.body, `"redirect_uris":["https://app.test/cb"]`) {
		t.Errorf("made is %s", made.body)
	}
	if again := w.ok("GET", "/apps/budget", "").body; strings.Contains(again, "secret") || !strings.Contains(again, `"state_optional":true`) {
		t.Errorf("shown is %s", again)
	}
	if event := w.audited("app.add"); event.Target != "client:budget" {
		t.Errorf("the audit trail has %+v", event)
	}
	changed := w.ok("PATCH", "/apps/budget", `{"name":"B","state_optional":false,"redirect_uris":["https://app.test/one","http://127.0.0.1:8080/two"]}`).body
	if strings.Contains(changed, "state_optional") || !strings.Contains(changed, "127.0.0.1") || strings.Contains(changed, `"secret"`) {
		t.Errorf("changed is %s", changed)
	}
	if rotated := w.ok("POST", "/apps/budget/secret", "").body; !strings.Contains(rotated, `"secret":"cb_test_secret_`) {
		t.Errorf("rotated is %s", rotated)
	}
	if list := w.ok("GET", "/apps", "").body; strings.Count(list, `"id"`) != 1 || !strings.Contains(list, `"apps":[`) {
		t.Errorf("list is %s", list)
	}
	if made := w.ok("POST", "/apps", `{"redirect_uris":["https://app.test/cb"]}`).body; !strings.Contains(made, `"id":"`) {
		t.Errorf("without an id: %s", made)
	}
}

// An app and a client never become one another, though they share their ids.
func TestS5_6_AppsAndClientsAreApart(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/apps", `{"id":"budget","redirect_uris":["https://app.test/cb"]}`)
	if list := w.ok("GET", "/clients", "").body; strings.Contains(list, "budget") {
		t.Errorf("among clients: %s", list)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/clients/budget", "", 404, "there is no client"},
		{"PATCH", "/clients/budget", `{"name":"x"}`, 404, "there is no client"},
		{"POST", "/clients/budget/secret", "", 404, "there is no client"},
		{"GET", "/apps/" + clientID, "", 404, "there is no app"},
		{"PATCH", "/apps/" + clientID, `{"name":"x"}`, 404, "there is no app"},
		{"POST", "/apps/" + clientID + "/secret", "", 404, "there is no app"},
		{"POST", "/clients", `{"id":"budget"}`, 409, "is taken by"},
		{"POST", "/apps", `{"id":"` + clientID + `","redirect_uris":["https://app.test/cb"]}`, 409, "is taken by a client"},
		{"POST", "/apps", `{"id":"` + serviceID + `","redirect_uris":["https://app.test/cb"]}`, 409, "is taken by a service account"},
		{"POST", "/apps", `{"id":"budget","redirect_uris":["https://app.test/cb"]}`, 409, "is taken by another app"},
		{"POST", "/users", `{"id":"budget"}`, 409, "is taken by"},
	} {
		got := w.try(test.method, test.path, test.body)
		if got.status != test.status || !strings.Contains(got.body, test.says) {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, got.status, got.body)
		}
	}
}

func TestS5_6_AppsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/apps", `{"id":"budget","redirect_uris":["https://app.test/cb"]}`)
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", "/apps", `{"id":"x"}`, "redirect_uris are missing"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["com.example.app:/back"]}`, "the app receives a form"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["http://app.test/cb"]}`, "without encryption"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/*"]}`, "wildcard"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/cb"],"scopes":["read:nothing"]}`, "read:nothing"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/cb"],"public":true}`, "not what is expected"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/cb"],"exchange":false}`, "not what is expected"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/cb"],"name":"\u202eevil"}`, "only printable"},
		{"POST", "/apps", `{"id":"x","redirect_uris":["https://app.test/cb"],"description":"a\nb"}`, "only printable"},
		{"PATCH", "/apps/budget", `{}`, "there is nothing to change"},
		{"PATCH", "/apps/budget", `{"redirect_uris":[]}`, "redirect_uris are missing"},
	} {
		if got := w.try(test.method, test.path, test.body); got.status != 400 || !strings.Contains(got.body, test.says) {
			t.Errorf("%s %s: %d %s", test.method, test.body, got.status, got.body)
		}
	}
	if list := w.ok("GET", "/apps", "").body; strings.Count(list, `"id"`) != 1 {
		t.Errorf("one of these was added: %s", list)
	}
}
