package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("bearer_health", parseHealth)
	// Before what rewrites, redirects, asks for credentials or, as the issuer does
	// until it is ready, refuses.
	httpcaddyfile.RegisterDirectiveOrder("bearer_health", httpcaddyfile.Before, "redir")
}

func parseHealth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	health := new(Health)
	return health, health.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive bearer_health, which answers GET and
// HEAD of /livez and /readyz. Other requests go on to the handlers behind it:
//
//	bearer_health [<matcher>] {
//		require <check> [<check>…]
//		detail
//	}
//
// All are optional:
//
//   - matcher: which requests it looks at. Default: all.
//   - require: the checks that make /readyz answer 503 when they fail: store, keys,
//     policies, journal, audit, clock. Default: none; what fails is named in the
//     answer, and requests go on to be served as far as they can be.
//   - detail: /readyz?verbose says why a check fails, which names files and
//     policies. For a site that only operators reach.
func (h *Health) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	return block("bearer_health",
		option{name: "require", args: "<check> [<check>…]", read: h.readRequire},
		option{name: "detail", read: h.readDetail},
	).readFrom(d)
}

func (h *Health) readRequire(d *caddyfile.Dispenser, checks []string) error {
	for _, name := range checks {
		if !slices.Contains(checkNames, name) {
			return unknown(d, "check", name, checkNames)
		}
	}
	h.Require = checks
	return nil
}

func (h *Health) readDetail(*caddyfile.Dispenser, []string) error {
	h.Detail = true
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Health)(nil)
