package caddymodule

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// recordRefusal leaves a line in the audit trail for a request that the gate
// refused. Who calls is known only if its token was proven. Nothing in the line
// comes from the request: neither path nor token. (Requests that are let through
// are for the access log.)
func (g *Gate) recordRefusal(r *http.Request, refusal *gate.Refusal) {
	e := store.Event{
		Environment: g.environment, At: time.Now().UTC(), Actor: "anonymous", Action: "request.refuse", Target: "route:none",
		Outcome: refusal.Code, Reason: refusal.Reason, RequestID: requestID(r),
	}
	if refusal.Route != nil {
		e.Target = "route:" + refusal.Route.ID
	}
	if lease := refusal.Lease; lease != nil {
		e.Actor = "client:" + lease.Client
		if lease.Subject != lease.Client {
			e.Reason += " for principal:" + lease.Subject
		}
	}
	g.runtime.trail.gathered.Add(e)
}

// recordRefusal leaves a line in the audit trail for a call of the admin API
// whose caller may not do what it asks for.
func (c *adminCall) recordRefusal(err error) {
	refusal, ok := errors.AsType[caddy.APIError](err)
	if !ok || c.app == nil {
		return
	}
	outcome := map[int]string{http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden"}[refusal.HTTPStatus]
	if outcome == "" {
		return
	}
	actor := c.actor
	if actor == "" {
		actor = "operator:" + roleNone.String()
	}
	c.app.runtime.trail.gathered.Add(store.Event{
		Environment: store.Everywhere, At: time.Now().UTC(), Actor: actor, Action: "request.refuse",
		Target:  "admin:" + c.request.Pattern, // ours, and not the path
		Outcome: outcome, Address: c.address(),
	})
}

// address is that of the peer; a Unix socket has none.
func (c *adminCall) address() string {
	peer, err := netip.ParseAddrPort(c.request.RemoteAddr)
	if err != nil {
		return ""
	}
	return peer.Addr().Unmap().WithZone("").String()
}
