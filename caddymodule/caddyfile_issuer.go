package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("bearer_issuer", parseIssuer)
	// Its endpoints authenticate callers themselves.
	httpcaddyfile.RegisterDirectiveOrder("bearer_issuer", httpcaddyfile.Before, "basic_auth")
}

func parseIssuer(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	i := new(Issuer)
	return i, i.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive bearer_issuer, which serves the
// endpoints by which programs obtain, renew and revoke tokens. Requests for
// other paths go on to the handlers behind it:
//
//	bearer_issuer [<matcher>] {
//		environment production|sandbox
//	}
//
// Both are optional:
//
//   - matcher: which requests it looks at. Default: all.
//   - environment: the environment that it issues for. Default: the only one.
func (i *Issuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	return block("bearer_issuer",
		text("environment", "production|sandbox", &i.Environment),
	).readFrom(d)
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Issuer)(nil)
