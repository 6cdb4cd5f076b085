// Command stock is Caddy as it comes: its standard modules, Go's own settings
// and no profile. It is what the benchmarks are held against.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
