package caddymodule

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientIP is the client's address as Caddy's trusted_proxies decides it.
func clientIP(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// fromTrustedProxy reports whether the peer is one of Caddy's trusted_proxies.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// requestID is the id that Caddy gives the request, {http.request.uuid}.
func requestID(r *http.Request) string {
	id, _ := replacer(r).GetString("http.request.uuid")
	return id
}

func replacer(r *http.Request) *caddy.Replacer {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return caddy.NewEmptyReplacer() // outside a Caddy server: in a test of a handler alone
	}
	return repl
}

// hideFromAccessLog keeps the request out of Caddy's access log, which would
// show headers and targets that hold a secret. Handlers write a line of their
// own instead.
func hideFromAccessLog(r *http.Request) {
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
}
