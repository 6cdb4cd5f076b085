// Command caddy is Caddy with its standard modules and caddy-bearer.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
)

func main() {
	caddycmd.Main()
}
