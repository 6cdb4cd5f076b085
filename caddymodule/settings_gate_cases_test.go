package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

var gateProofs = []proof{
	{
		keys:    []string{"json bearer_gate.policy"},
		outcome: "what the gate answers to requests that one of the two policies allows",
		see: func(v *variant) string {
			return v.get("/gate-policy/rights", true) + " " + v.get("/gate-policy/narrow", true)
		},
		first: "200 403", second: "403 200",
	},
	{
		keys:    []string{"json bearer_gate.environment", "Caddyfile bearer_gate environment"},
		outcome: "the environment that the API is told",
		see:     func(v *variant) string { return after(": ", v.identity("Environment")) },
		first:   "sandbox", second: "production",
	},
	{
		keys:    []string{"json bearer_gate.realm", "Caddyfile bearer_gate realm"},
		outcome: "the challenge to a request without a token",
		see: func(v *variant) string {
			challenge, _, _ := strings.Cut(v.header("/echo", "WWW-Authenticate"), ", resource_metadata=")
			return challenge
		},
		first: `Bearer realm="api"`, second: `Bearer realm="trading"`,
	},
	{
		keys:    []string{"json bearer_gate.forward_token", "Caddyfile bearer_gate forward_token"},
		outcome: "whether the API gets the token",
		see: func(v *variant) string {
			return fmt.Sprint(v.seen.Headers.Get("Authorization") == "Bearer "+v.issued.Access)
		},
		first: "false", second: "true",
	},
	{
		keys: []string{"json bearer_gate.identity_headers", "json bearer_gate.identity_headers.subject",
			"Caddyfile bearer_gate identity_headers", "Caddyfile bearer_gate identity_headers subject"},
		outcome: "the header that tells the API who calls",
		see:     func(v *variant) string { return v.identity("Subject") },
		first:   "X-First-Subject: treasury", second: "X-Second-Subject: desk",
	},
	{
		keys:    []string{"json bearer_gate.identity_headers.client", "Caddyfile bearer_gate identity_headers client"},
		outcome: "the header that tells the API by which client",
		see:     func(v *variant) string { return v.identity("Client") },
		first:   "X-First-Client: bot", second: "X-Second-Client: robot",
	},
	{
		keys:    []string{"json bearer_gate.identity_headers.accounts", "Caddyfile bearer_gate identity_headers accounts"},
		outcome: "the header that tells the API with which accounts",
		see:     func(v *variant) string { return v.identity("Accounts") },
		first:   "X-First-Accounts: 1", second: "X-Second-Accounts: 2 3",
	},
	{
		keys:    []string{"json bearer_gate.identity_headers.scope", "Caddyfile bearer_gate identity_headers scope"},
		outcome: "the header that tells the API with which scopes",
		see:     func(v *variant) string { return v.identity("Scope") },
		first:   "X-First-Scope: base broad", second: "X-Second-Scope: base broad",
	},
	{
		keys:    []string{"json bearer_gate.identity_headers.environment", "Caddyfile bearer_gate identity_headers environment"},
		outcome: "the header that tells the API in which environment",
		see:     func(v *variant) string { return v.identity("Environment") },
		first:   "X-First-Environment: sandbox", second: "X-Second-Environment: production",
	},
	{
		keys:    []string{"json bearer_gate.routes.*.source"},
		outcome: "the place that caddy validate names in a complaint about a route",
		apart: func(t *testing.T) (first, second string) {
			from := func(source string) string {
				app, gate := sound(t)
				gate.Policy, gate.Routes = "", []policy.Rule{{
					ID: "a", Match: policy.RuleMatch{Methods: []string{"GET"}, Path: "no path"}, Public: true, Source: source,
				}}
				place, _, _ := strings.Cut(after("routes of bearer_gate: ", fmt.Sprint(validate(app, gate))), ": ")
				return place
			}
			return from("a.conf:7"), from("b.conf:8")
		},
		first: "a.conf:7", second: "b.conf:8",
	},
}

// routeProofs are about routes, which mean the same in a policy and in the block
// of a gate. Those of the block have paths that begin with /own.
func routeProofs() (all []proof) {
	for _, p := range []struct {
		keys, options []string
		outcome       string
		see           func(v *variant, base string) string
		first, second string
	}{
		{
			keys: []string{"routes", "routes.*.id"}, options: []string{"route"},
			outcome: "the route that the placeholder http.auth.bearer.route names",
			see:     func(v *variant, base string) string { return v.header(base+"/id", "X-Route") },
			first:   "first", second: "second",
		},
		{
			keys:    []string{"routes.*.match", "routes.*.match.methods"},
			outcome: "the answer to a GET",
			see:     func(v *variant, base string) string { return v.get(base+"/methods", true) },
			first:   "200", second: "403",
		},
		{
			keys:    []string{"routes.*.match.path"},
			outcome: "the answers for two paths",
			see: func(v *variant, base string) string {
				return v.get(base+"/path/first", true) + " " + v.get(base+"/path/second", true)
			},
			first: "200 403", second: "403 200",
		},
		{
			keys: []string{"routes.*.require.scopes", "routes.*.require"}, options: []string{"route scopes"},
			outcome: "the answer to a token with the scope base",
			see:     func(v *variant, base string) string { return v.get(base+"/scopes", true) },
			first:   "200", second: "403",
		},
		{
			keys: []string{"routes.*.require.any_of"}, options: []string{"route any_of"},
			outcome: "the answer to a token with the scope base",
			see:     func(v *variant, base string) string { return v.get(base+"/any-of", true) },
			first:   "200", second: "403",
		},
		{
			keys: []string{"routes.*.require.bind"}, options: []string{"route bind"},
			outcome: "the answer for an account that the token does not open",
			see:     func(v *variant, base string) string { return v.get(base+"/bind/9", true) },
			first:   "200", second: "403",
		},
		{
			keys: []string{"routes.*.public"}, options: []string{"route public"},
			outcome: "the answer to a request without a token",
			see:     func(v *variant, base string) string { return v.get(base+"/public", false) },
			first:   "200", second: "401",
		},
		{
			keys: []string{"routes.*.credentials"}, options: []string{"route credentials"},
			outcome: "the answer to a token in the Authorization header",
			see:     func(v *variant, base string) string { return v.get(base+"/credentials", true) },
			first:   "200", second: "401",
		},
	} {
		own := prefixed("json bearer_gate.", p.keys)
		own = append(own, prefixed("Caddyfile bearer_gate ", p.options)...)
		all = append(all,
			proof{
				keys: own, outcome: p.outcome, first: p.first, second: p.second,
				see: func(v *variant) string { return p.see(v, "/own") },
			},
			proof{
				keys: prefixed("policy ", p.keys), outcome: p.outcome, first: p.first, second: p.second,
				see: func(v *variant) string { return p.see(v, "") },
			})
	}
	return all
}

func prefixed(prefix string, words []string) (list []string) {
	for _, word := range words {
		list = append(list, prefix+word)
	}
	return list
}
