package caddymodule

import (
	"fmt"
	"strconv"
)

var partyProofs = []proof{
	{
		keys:    []string{"json bearer.environments.*.accounts", "json bearer.environments.*.accounts.*.id", "Caddyfile bearer environment account"},
		outcome: "the account that a command shows",
		see: func(v *variant) string {
			out, _, code := v.run("", "bearer", "account", "show", "7", "--environment", v.environment())
			return fmt.Sprint(out != "", code)
		},
		first: "true 0", second: "false 1",
	},
	{
		keys:    []string{"json bearer.environments.*.accounts.*.kind", "Caddyfile bearer environment account kind"},
		outcome: "kind in account show",
		see:     func(v *variant) string { return string(v.declared("account", "«7|8»").Kind) },
		first:   "trading", second: "bank",
	},
	{
		keys:    []string{"json bearer.environments.*.accounts.*.name", "Caddyfile bearer environment account name"},
		outcome: "name in account show",
		see:     func(v *variant) string { return v.declared("account", "«7|8»").Name },
		first:   "House", second: "Client",
	},
	{
		keys: []string{"json bearer.environments.*.service_accounts", "json bearer.environments.*.service_accounts.*.id",
			"Caddyfile bearer environment service_account"},
		outcome: "sub in the token",
		see:     func(v *variant) string { return v.inToken(1, "sub") },
		first:   "treasury", second: "desk",
	},
	{
		keys:    []string{"json bearer.environments.*.service_accounts.*.name", "Caddyfile bearer environment service_account name"},
		outcome: "name in service-account show",
		see:     func(v *variant) string { return v.declared("service-account", "«treasury|desk»").Name },
		first:   "Treasury", second: "Trading_desk",
	},
	{
		keys:    []string{"json bearer.environments.*.service_accounts.*.secret_hash", "Caddyfile bearer environment service_account secret_hash"},
		outcome: "the answer to a request for a code with the first secret, and with the second",
		see: func(v *variant) string {
			return fmt.Sprint(v.answerStatus(v.codeRequest(firstSecret, "base")), v.answerStatus(v.codeRequest(secondSecret, "base")))
		},
		first: "200 401", second: "401 200",
	},
	{
		keys:    []string{"json bearer.environments.*.service_accounts.*.scopes", "Caddyfile bearer environment service_account scopes"},
		outcome: "the answer to a request for a code with the scope extra, which the client may have",
		see:     func(v *variant) string { return strconv.Itoa(v.answerStatus(v.codeRequest(v.secret, "extra"))) },
		first:   "200", second: "400",
	},
	{
		keys:    []string{"json bearer.environments.*.service_accounts.*.accounts", "Caddyfile bearer environment service_account accounts"},
		outcome: "the accounts that the API is told of, with a token of the service account",
		see:     func(v *variant) string { return v.identity("Accounts") },
		first:   "X-First-Accounts: 1", second: "X-Second-Accounts: 2 3",
	},
	{
		keys:    []string{"json bearer.environments.*.clients", "json bearer.environments.*.clients.*.id", "Caddyfile bearer environment client"},
		outcome: "client_id in the token",
		see:     func(v *variant) string { return v.inToken(1, "client_id") },
		first:   "bot", second: "robot",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.name", "Caddyfile bearer environment client name"},
		outcome: "name in client show",
		see:     func(v *variant) string { return v.declared("client", "«bot|robot»").Name },
		first:   "Trading_bot", second: "Robot",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.secret_hash", "Caddyfile bearer environment client secret_hash"},
		outcome: "the token endpoint's answer with the first secret, and with the second",
		see: func(v *variant) string {
			const body = "grant_type=client_credentials&scope=base"
			return fmt.Sprint(v.answerStatus(v.ask("/oauth2/token", body, firstSecret)), v.answerStatus(v.ask("/oauth2/token", body, secondSecret)))
		},
		first: "200 401", second: "401 200",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.scopes", "Caddyfile bearer environment client scopes"},
		outcome: "the token endpoint's answer to a request for the scope sees",
		see: func(v *variant) string {
			return strconv.Itoa(v.answerStatus(v.ask("/oauth2/token", "grant_type=client_credentials&scope=sees", v.secret)))
		},
		first: "200", second: "400",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.accounts", "Caddyfile bearer environment client accounts"},
		outcome: "the accounts at /token/self, with a token of the client itself",
		see:     func(v *variant) string { return fmt.Sprint(v.own.Accounts) },
		first:   "[2]", second: "[1 3]",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.description", "Caddyfile bearer environment client description"},
		outcome: "description in client show",
		see:     func(v *variant) string { return v.declared("client", "«bot|robot»").Description },
		first:   "Trades", second: "Looks",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.public", "Caddyfile bearer environment client public"},
		outcome: "the token endpoint's answer to the client with the second secret, and public in client show",
		see: func(v *variant) string {
			request := v.form("/oauth2/token", "grant_type=client_credentials&scope=base")
			request.SetBasicAuth("desktop", secondSecret)
			return fmt.Sprint(v.answerStatus(request), v.declared("client", "desktop").Public)
		},
		first: "401 true", second: "200 false",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.redirect_uris", "Caddyfile bearer environment client redirect_uri"},
		outcome: "redirect URIs in client show",
		see:     func(v *variant) string { return fmt.Sprint(v.declared("client", "«bot|robot»").RedirectURIs) },
		first:   "[https://bot.test/callback]", second: "[https://robot.test/callback]",
	},
	{
		keys:    []string{"json bearer.environments.*.clients.*.pkce", "Caddyfile bearer environment client pkce"},
		outcome: "whether PKCE may be left out, in client show",
		see:     func(v *variant) string { return fmt.Sprint(v.declared("client", "«bot|robot»").PKCEOptional) },
		first:   "true", second: "false",
	},
}
