package gate

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// admit is asked after the token was found alive and before its scopes are
// looked at: who holds it in the wrong place is told nothing of what it opens.
func (g *Gate) admit(r *http.Request, lease *token.Lease) *Refusal {
	if len(lease.Personal.Networks) == 0 || lease.Personal.Admits(g.clientIP(r)) {
		return nil
	}
	return g.refuse(r, flawAddress)
}

// spend takes an allowed request out of the token's rate and notes the use. A
// stream is one request, at its beginning. If spend refuses, the request has left.
func (g *Gate) spend(x *exchange, r *http.Request, d *Decision) *Refusal {
	now := g.now()
	var ok bool
	if x.quota, ok = g.authority.Spend(d.Lease, now); !ok {
		g.authority.Leave(&x.Ride)
		return g.refuseRate(r, d, x.quota)
	}
	if g.authority.UseIsNews(d.Lease, now) {
		g.authority.NoteUse(d.Lease, now, g.clientIP(r))
	}
	return nil
}

// refuseRate says how long to wait. A second is the least that can be said.
func (g *Gate) refuseRate(r *http.Request, d *Decision, quota token.Quota) *Refusal {
	refusal := g.refuse(r, flawRate)
	refusal.Route, refusal.Lease = d.Route, d.Lease
	refusal.quota = quota
	refusal.RetryAfter = wholeSeconds(quota.Reset)
	refusal.Detail = fmt.Sprintf("The token is good for %d requests in %d s.", quota.Rate.Requests, wholeSeconds(quota.Rate.Per)/time.Second)
	return refusal
}

// setQuota tells what a token's rate is and has left, as the IETF's draft has it
// (draft-ietf-httpapi-ratelimit-headers). The upstream may have fields of the
// same name: they are lists, and its entries stand beside ours.
func setQuota(h http.Header, q *token.Quota) {
	if q.Rate.Requests == 0 {
		return
	}
	h.Set("RateLimit-Policy", `"token";q=`+strconv.Itoa(q.Rate.Requests)+`;w=`+seconds(q.Rate.Per))
	h.Set("RateLimit", `"token";r=`+strconv.Itoa(q.Remaining)+`;t=`+seconds(q.Reset))
}

func seconds(d time.Duration) string { return strconv.Itoa(int(wholeSeconds(d) / time.Second)) }

// wholeSeconds rounds up: who comes a moment too early is refused.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1) / time.Second * time.Second
}

// peerIP is the address at the other end of the connection.
func peerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
