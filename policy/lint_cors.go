package policy

import (
	"slices"
	"strings"
)

// cors looks at what is said of web pages: for all routes, and for each that says
// something of its own.
func (l *linter) cors() {
	all := l.policy.cors
	if all != nil && !slices.ContainsFunc(l.policy.routes, func(r *Route) bool { return r.CORS == all }) {
		l.warnf(all.at, "unused-cors", "cors holds for no route: there is none that says nothing of its own")
	}
	under := make(map[*CORS][]*Route)
	for _, r := range l.policy.routes {
		under[r.CORS] = append(under[r.CORS], r)
	}
	delete(under, nil)
	for c, routes := range under {
		l.corsRule(c, routes)
	}
}

// corsRule looks at what is said for some routes.
func (l *linter) corsRule(c *CORS, routes []*Route) {
	for _, origin := range c.Origins {
		if strings.HasPrefix(origin, "http://") {
			l.warnf(c.at, "cors-loopback", "cors lets in %s, which is whatever program listens there on the user's machine: right for development only", origin)
		}
	}
	needsToken := slices.ContainsFunc(routes, func(r *Route) bool { return !r.Public && r.Credentials.Has(Header) })
	if needsToken && len(c.Origins) > 0 && !slices.Contains(c.Headers, "authorization") {
		l.warnf(c.at, "cors-without-token", "no page can send its token: headers lack authorization")
	}
}
