package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// everything is all that a change could change: each row that can be read, and
// what is revoked.
func (w *adminWorld) everything() (all string) {
	w.t.Helper()
	must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) error {
		for _, read := range []func() (any, error){
			func() (any, error) { return tx.Clients(store.Sandbox) },
			func() (any, error) { return tx.Principals(store.Sandbox) },
			func() (any, error) { return tx.Accounts(store.Sandbox) },
			func() (any, error) { return tx.Bindings(store.Sandbox, "") },
			func() (any, error) { return tx.Grants(store.Sandbox, store.GrantFilter{}) },
			func() (any, error) { return tx.SigningKeys(store.Sandbox) },
			func() (any, error) { return tx.Audit(store.Sandbox, store.AuditFilter{Limit: 100_000}) },
		} {
			rows, err := read()
			if err != nil {
				return err
			}
			all += fmt.Sprintln(rows)
		}
		return nil
	}))
	revoked, _, err := w.app.runtime.store.Snapshot(w.t.Context())
	must(w.t, err)
	return all + fmt.Sprintln(revoked)
}

func (w *adminWorld) ending(method, path, body string) (e ending) {
	w.t.Helper()
	w.ok(method, path+"?dry_run=true", body).decode(w.t, &e)
	return e
}

// A dry run tells what the operation then does, and does nothing.
func TestDryRunsTellWhatWouldEnd(t *testing.T) {
	w := newRightsWorld(t)
	h := w.newHolder()
	w.personal(h.client, h.user, h.other) // not for the account
	ended := w.issueScopes(grantOf, h.client, h.user)
	w.ok("POST", "/grants/"+ended.grant+"/revoke", "")
	signed, personal := w.stream(h.signed.access), w.stream(h.personal)
	other := w.stream(w.issueScopes(grantOf, clientID, serviceID, "1").access)
	before := w.everything()

	for _, test := range []struct {
		name, method, path, body string
		want                     ending
	}{
		{"user disabled", "POST", "/users/USER/disable", "", ending{Kind: "principal", Target: "USER", Grants: 3, Tokens: 3, Streams: 2}},
		{"user revoked", "POST", "/users/USER/revoke", `{"reason":"x"}`, ending{Kind: "principal", Target: "USER", Grants: 3, Tokens: 3, Streams: 2}},
		{"client disabled", "POST", "/clients/CLIENT/disable", "", ending{Kind: "client", Target: "CLIENT", Grants: 3, Tokens: 3, Streams: 2}},
		{"client revoked", "POST", "/clients/CLIENT/revoke", "", ending{Kind: "client", Target: "CLIENT", Grants: 3, Tokens: 3, Streams: 2}},
		{"account disabled", "POST", "/accounts/ACCOUNT/disable", "", ending{Kind: "account", Target: "ACCOUNT", Grants: 2, Tokens: 2, Streams: 2}},
		{"account revoked", "POST", "/accounts/ACCOUNT/revoke", "", ending{Kind: "account", Target: "ACCOUNT", Grants: 2, Tokens: 2, Streams: 2}},
		{"account unbound", "DELETE", "/bindings/USER/ACCOUNT", "", ending{Kind: "binding", Target: "USER/ACCOUNT", Grants: 2, Tokens: 2, Streams: 2}},
		{"grant revoked", "POST", "/grants/GRANT/revoke", "", ending{Kind: "grant", Target: "GRANT", Grants: 1, Tokens: 1, Streams: 1}},
		{"refresh token revoked", "POST", "/tokens/revoke", `{"token":"REFRESH"}`, ending{Kind: "grant", Target: "GRANT", Grants: 1, Tokens: 1, Streams: 1}},
		{"access token revoked", "POST", "/tokens/revoke", `{"token":"ACCESS"}`, ending{Kind: "token", Target: "ID", Streams: 1}},
		{"token id revoked", "POST", "/tokens/revoke", `{"id":"ID"}`, ending{Kind: "token", Target: "ID", Streams: 1}},
		{"personal token revoked", "POST", "/tokens/revoke", `{"token":"PERSONAL"}`, ending{Kind: "token", Tokens: 1, Streams: 1}},
		{"declared client revoked", "POST", "/clients/" + clientID + "/revoke", "", ending{Kind: "client", Target: clientID, Grants: 1, Tokens: 1, Streams: 1}},
		{"declared service account revoked", "POST", "/service-accounts/" + serviceID + "/revoke", "", ending{Kind: "principal", Target: serviceID, Grants: 1, Tokens: 1, Streams: 1}},
	} {
		fill := strings.NewReplacer("USER", h.user, "CLIENT", h.client, "ACCOUNT", h.account, "GRANT", h.signed.grant,
			"REFRESH", h.signed.refresh, "ACCESS", h.signed.access, "PERSONAL", h.personal, "ID", h.signed.lease.ID).Replace
		got := w.ending(test.method, fill(test.path), fill(test.body))
		want := test.want
		want.Target = fill(want.Target)
		if want.Target == "" {
			want.Target = got.Target
		}
		if !got.DryRun || got.Kind != want.Kind || got.Target != want.Target || got.Grants != want.Grants || got.Tokens != want.Tokens ||
			got.Streams != want.Streams || got.Requests != 0 || len(got.GrantIDs) != want.Grants || got.More {
			t.Errorf("%s: %+v", test.name, got)
		}
		if len(got.UnderWay) != 1 || got.UnderWay[0].Streams != want.Streams {
			t.Errorf("%s: under way %+v", test.name, got.UnderWay)
		}
		if want.Grants > 0 && (len(got.Clients) != 1 || len(got.Principals) != 1) {
			t.Errorf("%s: clients %v, principals %v", test.name, got.Clients, got.Principals)
		}
	}
	// A key of signatures has no command here, but who makes one has this.
	if got := w.keyEnding(h.signed.lease.KeyID); got.Grants != 0 || got.Streams != 2 {
		t.Errorf("key: %+v", got)
	}

	if after := w.everything(); after != before {
		t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
	}
	for _, stream := range []events{signed, personal, other} {
		stream.check("under a dry run", onward)
	}
	w.ok("POST", "/users/"+h.user+"/disable?dry_run=false", "")
	signed.check("after dry_run=false", "revoked")
}

// keyEnding asks what the end of a signing key would end.
func (w *adminWorld) keyEnding(id string) ending {
	w.t.Helper()
	c := &adminCall{request: newAdminRequest(w.t, "POST", "http://localhost/", ""), app: w.app, env: store.Sandbox, authority: w.authority(), dry: true}
	answer, err := c.wouldEnd(func(store.Reader) (reach, error) { return reachOf(store.KindKey, id), nil })
	must(w.t, err)
	return answer.(ending)
}

// Who asks for a dry run and errs must not get a real one.
func TestDryRunsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	made := w.issue("bot", serviceID, "1")
	before := w.everything()
	for _, test := range []struct {
		call, body string
		status     int
		says       string
	}{
		{"POST /clients/bot/disable?dry-run=true", "", 400, "dry-run"},
		{"POST /clients/bot/disable?dryrun=true", "", 400, "dryrun"},
		{"POST /clients/bot/disable?dry_run=yes", "", 400, "expected true or false"},
		{"POST /clients/bot/disable?dry_run=", "", 400, "expected true or false"},
		{"POST /clients/bot/disable?dry_run", "", 400, "expected true or false"},
		{"POST /clients/bot/disable?dry_run=true&dry_run=false", "", 400, "twice"},
		{"POST /clients/bot/disable?dry_run=true&x=1", "", 400, ""},
		// What has no dry run does not run at all.
		{"PATCH /users/alice?dry_run=true", `{"scopes":[]}`, 400, "has no dry run"},
		{"POST /clients/bot/secret?dry_run=true", "", 400, "has no dry run"},
		{"POST /clients?dry_run=true", `{"id":"other"}`, 400, "has no dry run"},
		{"PUT /bindings/bot/1?dry_run=true", "", 400, "has no dry run"},
		{"POST /accounts?dry_run=true", `{"id":"9"}`, 400, "has no dry run"},
		{"GET /clients/bot/disable?dry_run=true", "", 405, "POST"},
		{"POST /nothing?dry_run=true", "", 404, "nothing at"},
		// What would be refused is refused.
		{"POST /clients/" + clientID + "/disable?dry_run=true", "", 409, "declared in the configuration"},
		{"POST /clients/nobody/disable?dry_run=true", "", 404, "no client"},
		{"POST /clients/nobody/revoke?dry_run=true", "", 404, "no client"},
		{"POST /grants/nothing/revoke?dry_run=true", "", 404, "no grant"},
		{"DELETE /bindings/" + serviceID + "/1?dry_run=true", "", 409, "declared in the configuration"},
		{"DELETE /bindings/bot/1?dry_run=true", "", 404, "does not own"},
		{"POST /tokens/revoke?dry_run=true", `{"token":"garbage"}`, 404, "malformed"},
		{"POST /clients/bot/disable?dry_run=true", `{"why":"x"}`, 400, "why"},
	} {
		method, path, _ := strings.Cut(test.call, " ")
		if got := w.try(method, path, test.body); got.status != test.status || !strings.Contains(got.body, test.says) {
			t.Errorf("%s: %d %s; want %d and %q", test.call, got.status, got.body, test.status, test.says)
		}
	}
	if after := w.everything(); after != before {
		t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
	}
	if got := w.verdict(made); got != token.Live {
		t.Errorf("the token is %s", got)
	}
}

// Of many grants the newest are named.
func TestDryRunOfManyGrants(t *testing.T) {
	w := newAdminWorld(t)
	for range maxNamed + 5 {
		w.issue(clientID, serviceID, "1")
	}
	newest := w.issue(clientID, serviceID, "1")
	got := w.ending("POST", "/clients/"+clientID+"/revoke", "")
	if got.Grants != maxNamed+6 || len(got.GrantIDs) != maxNamed || got.GrantIDs[0] != newest.grant {
		t.Errorf("%+v", got)
	}
}

func TestStreamsAreListed(t *testing.T) {
	w := newRightsWorld(t)
	h := w.newHolder()
	first := w.stream(h.signed.access)
	w.stream(h.personal)
	other := w.issueScopes(grantOf, clientID, serviceID, "1")
	w.stream(other.access)
	list := func(query string) (got streamList) {
		w.ok("GET", "/streams"+query, "").decode(t, &got)
		return got
	}
	all := list("")
	if all.Count != 3 || len(all.Streams) != 3 {
		t.Fatalf("listed %+v", all)
	}
	s := all.Streams[0]
	if s.Route != "events" || s.Method != "GET" || s.Kind != "stream" || s.Client != h.client || s.Principal != h.user || s.Grant != h.signed.grant ||
		s.TokenID != h.signed.lease.ID || !strings.HasPrefix(s.Remote, "127.0.0.1:") || s.Since.Before(h.signed.lease.Issued) {
		t.Errorf("%+v", s)
	}
	for query, want := range map[string]int{
		"?client=" + h.client: 2, "?principal=" + serviceID: 1, "?account=" + h.account: 2, "?grant=" + other.grant: 1,
		"?client=nobody": 0, "?client=" + h.client + "&grant=" + other.grant: 0, "?all=true": 3,
	} {
		if got := list(query); got.Count != want || len(got.Streams) != want {
			t.Errorf("%s: %+v", query, got)
		}
	}
	if got := list("?limit=1"); got.Count != 3 || len(got.Streams) != 1 || got.Streams[0].Grant != h.signed.grant {
		t.Errorf("limited: %+v", got)
	}
	body := w.ok("GET", "/streams?all=true", "").body
	for _, secret := range []string{h.signed.access, h.personal, other.access} {
		if strings.Contains(body, secret) {
			t.Error("a token is shown")
		}
	}
	for _, bad := range []string{"?all=maybe", "?limit=0", "?clinet=x", "?dry_run=true"} {
		if got := w.try("GET", "/streams"+bad, ""); got.status != 400 {
			t.Errorf("%s: %d", bad, got.status)
		}
	}
	w.ok("POST", "/grants/"+h.signed.grant+"/revoke", "")
	first.check("of a revoked grant", "revoked")
	if got := list("?grant=" + h.signed.grant); got.Count != 0 {
		t.Errorf("a cut stream is listed: %+v", got)
	}
}
