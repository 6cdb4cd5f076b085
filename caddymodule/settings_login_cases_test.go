package caddymodule

import (
	"fmt"
	"strings"
	"testing"
)

// withProvider observes two ways to sign in at one provider: the lines of the
// block login may be different.
func withProvider(see func(*adminWorld, *openID) string, first, second string) func(*testing.T) (string, string) {
	return func(t *testing.T) (string, string) {
		look := func(lines string) (seen string) {
			t.Run(lines, func(t *testing.T) {
				o := newOpenID(t)
				lines = strings.NewReplacer("RIGHT", secretFile(t, openIDSecret), "WRONG", secretFile(t, "another"), "PROVIDER", o.URL).Replace(lines)
				seen = strings.ReplaceAll(see(withLogin(t, lines), o), o.URL, "PROVIDER")
			})
			return seen
		}
		return look(first), look(second)
	}
}

// asksFor is a parameter with which people are sent to the provider.
func asksFor(name string) func(*adminWorld, *openID) string {
	return func(w *adminWorld, _ *openID) string {
		_, at := w.leave()
		return at.Query().Get(name)
	}
}

const loginHead = "login oidc PROVIDER {\nclient_id gateway\nclient_secret_file RIGHT\n"

var loginProofs = []proof{
	{
		keys: []string{
			"json bearer.environments.*.login", "json bearer.environments.*.login.issuer", "Caddyfile bearer environment login",
		},
		outcome: "status of a form without a user id, and where it leads",
		apart: withProvider(func(w *adminWorld, _ *openID) string {
			answer, at := w.leave()
			at.RawQuery = ""
			return fmt.Sprint(answer.Code, " ", at)
		}, "login local", loginHead+"}"),
		first: "400 ", second: "303 PROVIDER/authorize",
	},
	{
		keys:    []string{"json bearer.environments.*.login.client_id", "Caddyfile bearer environment login client_id"},
		outcome: "client_id at the provider",
		apart: withProvider(asksFor("client_id"),
			loginHead+"}", "login oidc PROVIDER {\nclient_id bank\nclient_secret_file RIGHT\n}"),
		first: "gateway", second: "bank",
	},
	{
		keys:    []string{"json bearer.environments.*.login.client_secret_file", "Caddyfile bearer environment login client_secret_file"},
		outcome: "who is signed in by the provider's answer, or the status",
		apart: withProvider((*adminWorld).through,
			loginHead+"}", "login oidc PROVIDER {\nclient_id gateway\nclient_secret_file WRONG\n}"),
		first: "alice", second: "403",
	},
	{
		keys:    []string{"json bearer.environments.*.login.claim", "Caddyfile bearer environment login claim"},
		outcome: "who is signed in by the provider's answer",
		apart:   withProvider((*adminWorld).through, loginHead+"claim sub\n}", loginHead+"claim preferred_username\n}"),
		first:   "alice", second: "bob",
	},
	{
		keys:    []string{"json bearer.environments.*.login.scopes", "Caddyfile bearer environment login scopes"},
		outcome: "scope at the provider",
		apart:   withProvider(asksFor("scope"), loginHead+"}", loginHead+"scopes profile\nscopes groups\n}"),
		first:   "openid", second: "openid profile groups",
	},
}
