package caddymodule

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// bodyOf is what a call needs as its body, by method and route; the others need
// none.
var bodyOf = map[string]string{
	"POST /environments/{env}/tokens/show":                             `{"token":"ACCESS"}`,
	"POST /environments/{env}/tokens/revoke":                           `{"token":"ACCESS"}`,
	"POST /environments/{env}/personal-tokens":                         `{"principal":"alice","label":"x","scopes":["read:eft"]}`,
	"POST /environments/{env}/clients":                                 `{"id":"new-bot"}`,
	"POST /environments/{env}/apps":                                    `{"id":"new-app","redirect_uris":["https://app.test/cb"]}`,
	"PATCH /environments/{env}/apps/{id}":                              `{"name":"App"}`,
	"POST /environments/{env}/service-accounts":                        `{"id":"new-desk"}`,
	"POST /environments/{env}/users":                                   `{"id":"bob"}`,
	"POST /environments/{env}/accounts":                                `{"id":"11"}`,
	"PUT /environments/{env}/bindings/{id}/{account}":                  `{}`,
	"PUT /environments/{env}/service-accounts/{id}/accounts/{account}": `{}`,
	"PUT /environments/{env}/users/{id}/password":                      `{"password":"correct horse battery"}`,
	"PATCH /environments/{env}/users/{id}":                             `{"name":"Alice Doe"}`,
	"PATCH /environments/{env}/clients/{id}":                           `{"name":"Bot"}`,
	"PATCH /environments/{env}/service-accounts/{id}":                  `{"name":"Desk"}`,
	"POST /environments/{env}/personal-tokens/{id}/rotate":             `{"overlap":"1h"}`,
	"POST /audit/verify":                                               `{}`,
	"POST /environments/{env}/keys":                                    `{"now":true}`,
	"POST /root-keys/{id}/forget":                                      `{"force":true}`,
}

// changesNothing are the calls without GET that only look.
var changesNothing = map[string]bool{"POST /environments/{env}/tokens/show": true, "POST /audit/verify": true}

// Each call that could change something is tried, and then done: whoever asks for
// a dry run gets one or a refusal, also from what is added later.
func TestNoDryRunChangesAnything(t *testing.T) {
	w := newAdminWorld(t)
	for _, call := range [][2]string{
		{"/accounts", `{"id":"9"}`}, {"/accounts", `{"id":"10"}`}, {"/clients", `{"id":"bot"}`}, {"/apps", `{"id":"app","redirect_uris":["https://app.test/cb"]}`},
		{"/users", `{"id":"alice","scopes":["read:eft"]}`}, {"/service-accounts", `{"id":"desk"}`},
	} {
		w.ok("POST", call[0], call[1])
	}
	w.ok("PUT", "/bindings/alice/9", "{}")
	w.ok("PUT", "/bindings/desk/9", "{}")
	first, second := w.issue(clientID, serviceID, "1"), w.issue(clientID, serviceID, "1")
	var personal personalToken
	w.ok("POST", "/personal-tokens", `{"principal":"alice","label":"bot","scopes":["read:eft"],"accounts":["9"]}`).decode(t, &personal)
	oldRoot := w.app.runtime.rootKeys()[0].ID()
	w.call("POST", "/root-keys", "")
	fill := func(route adminRoute) (path, body string) {
		account := "10"
		if route.method == http.MethodDelete {
			account = "9"
		}
		path = strings.NewReplacer("{env}", "sandbox", "/grants/{id}", "/grants/"+first.grant, "/personal-tokens/{id}", "/personal-tokens/"+personal.ID, "/clients/{id}", "/clients/bot", "/apps/{id}", "/apps/app",
			"/users/{id}", "/users/alice", "/bindings/{id}", "/bindings/alice", "/service-accounts/{id}", "/service-accounts/desk",
			"/accounts/{id}", "/accounts/10", "/root-keys/{id}", "/root-keys/"+oldRoot, "/keys/{id}", "/keys/"+w.authorityKey(),
			"{account}", account).Replace(route.path)
		return path, strings.ReplaceAll(bodyOf[route.method+" "+route.path], "ACCESS", second.access)
	}

	before := w.everything() + w.files()
	for _, route := range adminRoutes() {
		if route.method == http.MethodGet {
			continue
		}
		path, body := fill(route)
		status, answer := w.call(route.method, path+"?dry_run=true", body)
		told := status == 200 && strings.Contains(answer, `"dry_run":true`)
		if !told && (status != 400 || !strings.Contains(answer, "has no dry run")) {
			t.Errorf("a dry run of %s %s: %d %s", route.method, route.path, status, answer)
		}
		if now := w.everything() + w.files(); now != before {
			t.Fatalf("a dry run of %s %s changed something:\n%s\nbefore:\n%s", route.method, route.path, now, before)
		}
	}
	// The calls were such that they would have changed something.
	for _, route := range adminRoutes() {
		if route.method == http.MethodGet {
			continue
		}
		path, body := fill(route)
		status, answer := w.call(route.method, path, body)
		now := w.everything() + w.files()
		if status >= 300 || (now == before) != changesNothing[route.method+" "+route.path] {
			t.Errorf("%s %s: %d %s; changed: %t", route.method, path, status, answer, now != before)
		}
		before = now
	}
}

// call performs an operation over the owner's socket.
func (w *adminWorld) call(method, path, body string) (status int, answer string) {
	w.t.Helper()
	response, err := w.socket.Do(newAdminRequest(w.t, method, "http://localhost"+adminRoot+path, body))
	must(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(w.t, err)
	return response.StatusCode, string(text)
}

// files are those that a call may change beside the database.
func (w *adminWorld) files() (all string) {
	for _, path := range []string{w.app.RootKeyFile, w.app.OperatorTokenFile, w.app.RevocationJournalFile} {
		text, err := os.ReadFile(path)
		must(w.t, err)
		all += string(text)
	}
	return all
}
