// Command caddy is Caddy with its standard modules and caddy-bearer.
package main

import (
	"os"
	"runtime/debug"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bearer/caddy-bearer/caddymodule"
)

// garbagePercent lets the heap grow to five times what is alive before it is
// collected. What lives here is small and what requests leave behind is much:
// with Go's default of 100 a fifth of the processor's time goes into collecting.
// Near a memory limit (Caddy takes the container's) Go collects more often.
const garbagePercent = 400

func main() {
	collectLessOften()
	caddycmd.Main()
}

// collectLessOften leaves the choice to operators who made one.
func collectLessOften() {
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		debug.SetGCPercent(garbagePercent)
	}
}
