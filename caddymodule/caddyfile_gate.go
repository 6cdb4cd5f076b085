package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("bearer_gate", parseGate)
	// Before anything that answers or proxies, and behind what authenticates
	// people, so that a site can ask for both.
	httpcaddyfile.RegisterDirectiveOrder("bearer_gate", httpcaddyfile.After, "forward_auth")
}

func parseGate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	g := new(Gate)
	return g, g.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive bearer_gate, which lets a request
// through to the handlers behind it only if its token carries the scopes that
// the policy asks for:
//
//	bearer_gate [<matcher>] [<policy>] {
//		environment production|sandbox
//		realm       <text>
//		forward_token
//		identity_headers {
//			subject     <header>
//			client      <header>
//			accounts    <header>
//			scope       <header>
//			environment <header>
//		}
//		limits {
//			target        <size>
//			header        <size>
//			header_fields <number>
//			body          <size>|off
//		}
//		route <id> <METHOD> [<METHOD>…] <path> {
//			scopes      <scope> [<scope>…]
//			any_of      <scope> [<scope>…]
//			bind        <param> token.account
//			public
//			credentials header|subprotocol [header|subprotocol]
//			cors        [off] …
//		}
//		cors {
//			origins <origin> [<origin>…]
//			headers <header> [<header>…]
//			expose  <header> [<header>…]
//			max_age <duration>
//		}
//	}
//
// All are optional:
//
//   - matcher: which requests are gated. Default: all. What does not match goes
//     on ungated; public routes are better named in the policy.
//   - policy: the name of the policy that decides. Default: the environment's.
//   - environment: whose tokens are accepted. Default: the only one.
//   - realm: the realm in challenges (RFC 6750 §3). Default: api.
//   - forward_token: hands the token on to the upstream. Without it the token is
//     removed.
//   - identity_headers: the names of the headers that tell the upstream who
//     calls; what clients send under them is removed. Defaults: X-Auth-Subject,
//     X-Auth-Client, X-Auth-Accounts, X-Auth-Scope, X-Auth-Environment.
//   - limits: the sizes that requests may have, in a block that is described there
//     (GateLimits.options).
//   - route: a route that stands here instead of in a policy file, see
//     [readRoute]. A gate that has any is decided by these alone, and takes no
//     policy.
//   - cors: which web pages of other origins may use these routes, see [readCORS].
//     Only beside routes: a policy says it itself.
func (g *Gate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	return option{name: "bearer_gate", args: "[<policy>]", read: g.readDirective}.readFrom(d)
}

func (g *Gate) readDirective(d *caddyfile.Dispenser, args []string) error {
	if len(args) > 0 {
		g.Policy = args[0]
	}
	err := readBlock(d, "bearer_gate", []option{
		text("environment", "production|sandbox", &g.Environment),
		text("realm", "<text>", &g.Realm),
		{name: "forward_token", read: g.readForwardToken},
		{name: "identity_headers", read: g.readIdentityHeaders},
		{name: "limits", read: g.readLimits},
		{name: "route", args: "<id> <METHOD> [<METHOD>…] <path>", repeat: onceEach, read: g.readRoute},
		{name: "cors", read: g.readCORS},
	})
	if err == nil && g.CORS != nil && len(g.Routes) == 0 {
		err = d.Err("bearer_gate has cors without routes of its own; write it into the policy")
	}
	return err
}

func (g *Gate) readForwardToken(*caddyfile.Dispenser, []string) error {
	g.ForwardToken = true
	return nil
}

func (g *Gate) readIdentityHeaders(d *caddyfile.Dispenser, _ []string) error {
	h := new(IdentityHeaders)
	g.IdentityHeaders = h
	return readBlock(d, "identity_headers", []option{
		text("subject", "<header>", &h.Subject),
		text("client", "<header>", &h.Client),
		text("accounts", "<header>", &h.Accounts),
		text("scope", "<header>", &h.Scope),
		text("environment", "<header>", &h.Environment),
	})
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Gate)(nil)
