// Package freeport finds ports for the servers that tests start.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// handedOut are the ports that Find has returned already.
var handedOut sync.Map

// Find finds a port that nobody listens on, and that it has given to nobody else
// in this process. It lies below those that the system gives to outgoing
// connections: one of them could take it in between.
func Find(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(10_000 + rand.N(20_000)) //nolint:gosec // a port is no secret
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}
