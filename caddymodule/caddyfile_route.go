package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// readRoute reads a route in the block of bearer_gate, which means what it
// means in a policy file:
//
//	route <id> <METHOD> [<METHOD>…] <path> {
//		scopes      <scope> [<scope>…]
//		any_of      <scope> [<scope>…]
//		bind        <param> token.account
//		public
//		credentials header|subprotocol [header|subprotocol]
//		cors        [off] …
//	}
//
// One of scopes, any_of and public is needed:
//
//   - id: a-z, 0-9 and hyphen, once in the block.
//   - METHOD: upper case. GET covers HEAD.
//   - path: segments, each a literal or {name}, and at the end {name...}.
//   - scopes: all of them are needed. They are those of the environment's policy.
//   - any_of: all scopes of the line are needed, or those of another such line.
//   - bind: the segment {param} must be one of the token's accounts. Once for
//     each param.
//   - public: no token is needed.
//   - credentials: where a token is accepted. Default: header.
//   - cors: which web pages of other origins may use the route: none, or what the
//     block says, see [readCORS]. Default: what the gate's cors says.
func (g *Gate) readRoute(d *caddyfile.Dispenser, args []string) error {
	if g.Policy != "" {
		return d.Errf("bearer_gate %s takes its routes from that policy; remove the name, or the routes", g.Policy)
	}
	last := len(args) - 1
	rule := policy.Rule{
		ID: args[0], Match: policy.RuleMatch{Methods: args[1:last], Path: args[last]},
		Source: fmt.Sprintf("%s:%d", d.File(), d.Line()),
	}
	if err := readBlock(d, "route", ruleOptions(&rule)); err != nil {
		return err
	}
	switch needs := rule.Require; {
	case rule.Public && needs != nil:
		return d.Errf("route %s is public and needs a token too; choose one", rule.ID)
	case !rule.Public && (needs == nil || needs.Scopes == nil && needs.AnyOf == nil):
		return d.Errf("route %s needs one of: scopes, any_of, public", rule.ID)
	case !rule.Public && needs.Scopes != nil && needs.AnyOf != nil:
		return d.Errf("route %s has both scopes and any_of; write each alternative as a line any_of", rule.ID)
	}
	g.Routes = append(g.Routes, rule)
	return nil
}

func ruleOptions(rule *policy.Rule) []option {
	require := func() *policy.RuleRequire {
		if rule.Require == nil {
			rule.Require = new(policy.RuleRequire)
		}
		return rule.Require
	}
	return []option{
		{name: "scopes", args: "<scope> [<scope>…]", read: func(_ *caddyfile.Dispenser, args []string) error {
			require().Scopes = args
			return nil
		}},
		{name: "any_of", args: "<scope> [<scope>…]", repeat: addsUp, read: func(_ *caddyfile.Dispenser, args []string) error {
			require().AnyOf = append(require().AnyOf, args)
			return nil
		}},
		{name: "bind", args: "<param> token.account", repeat: onceEach, read: func(_ *caddyfile.Dispenser, args []string) error {
			if require().Bind == nil {
				require().Bind = map[string]string{}
			}
			require().Bind[args[0]] = args[1]
			return nil
		}},
		{name: "public", read: func(*caddyfile.Dispenser, []string) error {
			rule.Public = true
			return nil
		}},
		{name: "credentials", args: "header|subprotocol [header|subprotocol]", read: func(_ *caddyfile.Dispenser, args []string) error {
			rule.Credentials = args
			return nil
		}},
		{name: "cors", args: "[off]", read: func(d *caddyfile.Dispenser, args []string) (err error) {
			if len(args) > 0 {
				rule.CORS = &policy.RuleCORS{Origins: []string{}}
				return nil
			}
			rule.CORS, err = readCORS(d)
			return err
		}},
	}
}
