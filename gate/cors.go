package gate

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// CORS (Fetch standard, §3.2) is a promise to browsers and no access control:
// whoever is no browser sends what he likes. A request is decided by its token,
// and the policy says which pages may read the answer.

const (
	allowOrigin   = "Access-Control-Allow-Origin"
	exposeHeaders = "Access-Control-Expose-Headers"
)

// corsAnswers are the headers that only the gate sets where the policy says
// something: two values of the first make browsers refuse both, and what the
// upstream means for itself may be more than the policy allows.
var corsAnswers = [...]string{
	allowOrigin, exposeHeaders, "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Headers", "Access-Control-Max-Age", "Access-Control-Allow-Private-Network",
}

// exposed are the headers of the gate's own answers that tell a program what to
// do, and where something new was made. Each is in the list of those that a
// policy need not expose.
const exposed = "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, Location"

// originOf is the origin of the page that made the request, "" if it does not
// come from one, or from two.
func originOf(r *http.Request) string {
	if values := r.Header["Origin"]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// isPreflight reports whether a browser asks what a page may send (Fetch
// standard, §4.8). Any other OPTIONS is a request like all.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// preflight answers for the routes of the path, without a token: browsers send
// none with that question. It reports false if the policy says nothing of pages
// there, and the request has to be judged as any other.
//
// A page that may not gets 403, which to its browser is the same as an answer
// without permission, and which operators see.
func (g *Gate) preflight(w http.ResponseWriter, r *http.Request) (answered bool, refusal *Refusal) {
	p := g.policy()
	if p == nil || judgePath(r) != nil {
		return false, nil
	}
	m, _ := p.Match(r.Header.Get("Access-Control-Request-Method"), r.URL.Path)
	c, origin := corsOf(p, m.Route), originOf(r)
	switch {
	case c == nil:
		return false, nil
	case !c.Allows(origin):
		refusal = g.refuse(r, flawOrigin)
		refusal.Route = m.Route
		return false, refusal
	}
	h := w.Header()
	setCORS(h, c, origin)
	delete(h, exposeHeaders)
	addVary(h, "Access-Control-Request-Method")
	addVary(h, "Access-Control-Request-Headers")
	if methods := p.MethodsUnder(c, r.URL.Path); len(methods) > 0 {
		h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	}
	h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
	h.Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAge))
	w.WriteHeader(http.StatusNoContent)
	return true, nil
}

// corsOf is what the policy says of pages for a route, or for requests without
// one. Nil: nothing.
func corsOf(p *policy.Policy, route *policy.Route) *policy.CORS {
	switch {
	case route != nil:
		return route.CORS
	case p != nil:
		return p.CORS()
	}
	return nil
}

// setCORS says in the header of an answer which page may read it. Where the
// policy says nothing, the header stays as it is.
func setCORS(h http.Header, c *policy.CORS, origin string) {
	if c == nil {
		return
	}
	for _, name := range corsAnswers {
		delete(h, name)
	}
	if len(c.Origins) == 0 {
		return
	}
	addVary(h, "Origin") // to answers for nobody's page too: caches keep those
	if !c.Allows(origin) {
		return
	}
	h[allowOrigin] = []string{origin}
	all := exposed
	if len(c.Expose) > 0 {
		all += ", " + strings.Join(c.Expose, ", ")
	}
	h[exposeHeaders] = []string{all}
}

// addVary names a request header on which the answer depends, once.
func addVary(h http.Header, name string) {
	for _, list := range h["Vary"] {
		for field := range strings.SplitSeq(list, ",") {
			if field = trim(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h["Vary"] = append(h["Vary"], name)
}

// readable lets a page read a refusal if it could have read the answer: it says
// what is wrong and what to do.
func (g *Gate) readable(r *http.Request, refusal *Refusal) *Refusal {
	refusal.cors, refusal.origin = corsOf(g.policy(), refusal.Route), originOf(r)
	return refusal
}

// SetCORS is for an answer that is given in place of the gate's: pages may read
// it that the policy lets in everywhere.
func (g *Gate) SetCORS(h http.Header, r *http.Request) {
	setCORS(h, corsOf(g.policy(), nil), originOf(r))
}

// foreignSocket reports whether a page that may not use the route opens a
// WebSocket to it. Browsers ask nobody before they do (RFC 6455 §10.2), and let
// the page read what comes. Programs that are no page often claim to be one of the
// very server that they call.
func foreignSocket(r *http.Request, c *policy.CORS) bool {
	if len(r.Header["Origin"]) == 0 || upgradeOf(r) == noUpgrade {
		return false
	}
	origin := originOf(r)
	_, host, _ := strings.Cut(origin, "://")
	return !c.Allows(origin) && (host == "" || plainHost(host) != plainHost(r.Host))
}
