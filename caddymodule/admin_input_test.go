package caddymodule

import (
	"strings"
	"testing"
)

func TestAdminRefusesBadInput(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"unknown member", "POST", "/clients", `{"id":"a","scope":["read:eft"]}`, 400, "scope"},
		{"member in another case", "POST", "/clients", `{"ID":"a"}`, 400, "ID"},
		{"member twice", "POST", "/clients", `{"id":"a","id":"b"}`, 400, "duplicate"},
		{"wrong type", "POST", "/clients", `{"id":7}`, 400, "/id"},
		{"something after the end", "POST", "/clients", `{"id":"a"} {}`, 400, ""},
		{"no JSON", "POST", "/clients", `id=a`, 400, ""},
		{"empty body", "POST", "/clients", ``, 415, "application/json"},
		{"too large", "POST", "/clients", `{"name":"` + strings.Repeat("x", maxAdminBody) + `"}`, 413, "64 KiB"},
		{"unknown environment", "GET", "/../production/clients", "", 404, "configured: [sandbox]"},
		{"wrong method", "DELETE", "/clients", "", 405, "GET, POST"},
		{"unknown path", "GET", "/nothing", "", 404, "nothing at"},
		{"unknown query parameter", "GET", "/grants?clinet=bot", "", 400, "clinet"},
		{"query parameter twice", "GET", "/grants?client=a&client=b", "", 400, "client"},
		{"filter that cannot be decoded", "GET", "/grants?client=%zz", "", 400, "well-formed"},
		{"filter behind a semicolon", "GET", "/grants?limit=1;client=a", "", 400, "well-formed"},
		{"limit of nothing", "GET", "/revocations?limit=0", "", 400, "from 1 to 1000"},
		{"limit of too much", "GET", "/grants?limit=1001", "", 400, "from 1 to 1000"},
		{"all of maybe", "GET", "/grants?all=maybe", "", 400, "true or false"},

		{"misspelt scope", "POST", "/clients", `{"scopes":["read:etf"]}`, 400, `did you mean \"read:eft\"?`},
		{"hidden scope is not suggested", "POST", "/clients", `{"scopes":["admin:dask"]}`, 400, `\"admin:dask\" is not in the policy"`},
		{"scope twice", "POST", "/clients", `{"scopes":["read:eft","read:eft"]}`, 400, "twice"},
		{"id with a blank", "POST", "/clients", `{"id":"a b"}`, 400, "printable ASCII"},
		{"id with a newline", "POST", "/accounts", `{"id":"1\n2"}`, 400, "printable ASCII"},
		{"id that no path can name", "POST", "/accounts", `{"id":".."}`, 400, "path"},
		{"account without id", "POST", "/accounts", `{}`, 400, "without an id"},
		{"account of an unknown kind", "POST", "/accounts", `{"id":"9","kind":"savings"}`, 400, "bank, trading"},
		{"name with an escape sequence", "POST", "/clients", `{"name":"\u001b[2J"}`, 400, "printable"},
		{"long name", "POST", "/clients", `{"name":"` + strings.Repeat("x", maxText+1) + `"}`, 400, "at most 200"},
		{"reason with a newline", "POST", "/clients/bot/disable", `{"reason":"a\nb"}`, 400, "printable"},
		{"reason of another content", "POST", "/clients/bot/disable", `{"why":"x"}`, 400, "why"},

		{"id that is taken", "POST", "/clients", `{"id":"bot"}`, 409, "taken"},
		{"id that the configuration has", "POST", "/service-accounts", `{"id":"` + serviceID + `"}`, 409, "taken"},
		{"change of nothing", "PATCH", "/clients/bot", `{}`, 400, "nothing to change"},
		{"no such client", "PATCH", "/clients/bat", `{"name":"x"}`, 404, `no client \"bat\" in sandbox`},
		{"no such client to disable", "POST", "/clients/bat/disable", ``, 404, "no client"},
		{"no such client to revoke", "POST", "/clients/bat/revoke", ``, 404, "no client"},
		{"no such account", "GET", "/accounts/7", "", 404, "no account"},
		{"no such grant", "GET", "/grants/7", "", 404, "no grant"},
		{"no such grant to revoke", "POST", "/grants/7/revoke", "", 404, "no grant"},
		{"no such service account to bind", "PUT", "/service-accounts/x/accounts/1", "", 404, "no service account"},
		{"no such account to bind", "PUT", "/service-accounts/" + serviceID + "/accounts/7", "", 404, `no account \"7\"`},
		{"unbind what is not bound", "DELETE", "/service-accounts/" + serviceID + "/accounts/7", "", 404, "does not own"},
		{"bind with an unknown scope", "PUT", "/service-accounts/" + serviceID + "/accounts/1", `{"scopes":["x"]}`, 400, "not in the policy"},

		{"show no token", "POST", "/tokens/show", `{}`, 400, "token is missing"},
		{"show garbage", "POST", "/tokens/show", `{"token":"garbage"}`, 404, "malformed"},
		{"revoke nothing", "POST", "/tokens/revoke", `{}`, 400, "either"},
		{"revoke two things", "POST", "/tokens/revoke", `{"id":"x","token":"y"}`, 400, "either"},
		{"revoke garbage", "POST", "/tokens/revoke", `{"token":"garbage"}`, 404, "malformed"},
		{"revoke an id with a blank", "POST", "/tokens/revoke", `{"id":"a b"}`, 400, "printable ASCII"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := w.try(test.method, test.path, test.body)
			if answer.status != test.status || !strings.Contains(answer.body, test.says) {
				t.Errorf("%d %s; want %d and %q", answer.status, answer.body, test.status, test.says)
			}
		})
	}
	t.Run("wrong content type", func(t *testing.T) {
		request := newAdminRequest(t, "POST", "http://localhost/bearer/environments/sandbox/clients", `{}`)
		request.Header.Set("Content-Type", "text/plain")
		if answer := do(t, w.socket, request); answer.status != 415 {
			t.Errorf("%d %s", answer.status, answer.body)
		}
	})
	if got := w.try("GET", "/accounts", "").body; strings.Count(got, `"id"`) != 1 {
		t.Errorf("something was changed after all: %s", got)
	}
}
