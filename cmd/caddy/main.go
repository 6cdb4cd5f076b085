// Command caddy is Caddy with its standard modules and caddy-bearer.
//
// default.pgo is a profile of it under the load of the benchmarks, by which Go
// builds it (`make pgo` records it anew). It is the one file here that is not text.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
)

func main() {
	collectLessOften()
	caddycmd.Main()
}
