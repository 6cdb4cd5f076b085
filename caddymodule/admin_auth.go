package caddymodule

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// authorize refuses a call unless its caller may do what it asks for. Reads
// need an operator too: who owns which account is nobody else's business.
func (c *adminCall) authorize(need role) error {
	if !confidential(c.request) {
		return refuse(http.StatusForbidden, "this listener is open to the network without client certificates, where an operator's token could be overheard; use the machine itself, a Unix socket or Caddy's remote administration")
	}
	if c.app == nil || !c.app.runtime.ready.Load() {
		c.header.Set("Retry-After", "1")
		return refuse(http.StatusServiceUnavailable, "no configuration with the app %q is running", appName)
	}
	have := roleNone
	switch {
	case ownersSocket(c.request):
		have, c.actor = roleAdmin, "operator:socket"
	default:
		if scheme, presented, _ := strings.Cut(c.request.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
			have = c.app.runtime.operators.Load().role(presented)
		}
		c.actor = "operator:" + have.String()
	}
	switch {
	case have == roleNone:
		c.header.Set("WWW-Authenticate", `Bearer realm="operators"`)
		return refuse(http.StatusUnauthorized, "an operator token is needed; it is in %s on the server", c.app.OperatorTokenFile)
	case have < need:
		return refuse(http.StatusForbidden, "this needs the role %s, and the operator token has the role %s", need, have)
	}
	return nil
}

// confidential reports whether nobody on the way can read the token: the call
// stayed on this machine, or came through TLS with a client certificate. A
// loopback peer of a listener on all interfaces is refused as well, so that
// such a listener is found out at once and not by a stranger.
func confidential(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return local.IP.IsLoopback() && loopbackListener(r)
	}
	return false
}

func loopbackListener(r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return false
	}
	address, err := caddy.ParseNetworkAddress(server.Addr)
	return err == nil && isLoopback(address.Host)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// ownersSocket reports whether the call came in over a Unix socket that its
// owner alone can open. (Abstract sockets have no file, and so no owner.)
func ownersSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	if !ok || local.Name == "" || strings.HasPrefix(local.Name, "@") {
		return false
	}
	info, err := os.Stat(local.Name)
	return err == nil && info.Mode().Type() == os.ModeSocket && info.Mode().Perm()&0o077 == 0
}
