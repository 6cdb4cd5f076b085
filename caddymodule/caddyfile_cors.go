package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// readCORS reads which web pages of other origins may use a route, or all routes
// of a gate, which means what it means in a policy file:
//
//	cors {
//		origins <origin> [<origin>…]
//		headers <header> [<header>…]
//		expose  <header> [<header>…]
//		max_age <duration>
//	}
//
// Only origins is needed:
//
//   - origins: as browsers write them: https, a host, and a port if it is not 443.
//     Http only for a loopback host.
//   - headers: the request headers that pages may send. Default: authorization and
//     content-type.
//   - expose: the response headers that pages may read, beyond those of the gate.
//   - max_age: how long a browser may remember a permission. Default: 10m.
func readCORS(d *caddyfile.Dispenser) (*policy.RuleCORS, error) {
	c := new(policy.RuleCORS)
	err := readBlock(d, "cors", []option{
		list("origins", "<origin> [<origin>…]", &c.Origins),
		list("headers", "<header> [<header>…]", &c.Headers),
		list("expose", "<header> [<header>…]", &c.Expose),
		text("max_age", "<duration>", &c.MaxAge),
	})
	if err == nil && c.Origins == nil {
		err = d.Err("cors needs origins; write for example: origins https://app.example.com")
	}
	return c, err
}

func (g *Gate) readCORS(d *caddyfile.Dispenser, _ []string) (err error) {
	g.CORS, err = readCORS(d)
	return err
}
