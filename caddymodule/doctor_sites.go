package caddymodule

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// gated says which of the requests that come to a place have passed a gate.
type gated int

const (
	notGated  gated = iota
	someGated       // those that the gate's matcher has
	allAreGated
)

// siteWalk goes through routes as a request does.
type siteWalk struct {
	server    *siteServer
	site      string   // what tells the present site's address from others
	invoking  []string // named routes, the innermost last
	proxies   []placed
	rewritten []placed // behind a gate
}

// placed is a handler with where it is and what comes there.
type placed struct {
	siteHandler
	site  string
	gated gated
}

// routes goes through a list of routes, and returns what is true of requests that
// come out at its end.
func (w *siteWalk) routes(routes []siteRoute, state gated) gated {
	for i := range routes {
		r := &routes[i]
		if host := r.host(); host != "" {
			w.site = host
		}
		inside := w.handlers(r.Handle, state)
		switch {
		case len(r.Match) == 0 && r.Group == "":
			state = inside
		case inside > state && !r.Terminal && r.Group == "": // of a group one route is taken, and nobody knows which
			state = someGated
		}
	}
	return state
}

func (w *siteWalk) handlers(handlers []siteHandler, state gated) gated {
	for _, h := range handlers {
		switch h.Handler {
		case "bearer_gate":
			state = allAreGated
		case "subroute":
			state = w.routes(h.Routes, state)
		case "invoke":
			state = w.invoke(h.Name, state)
		case "rewrite":
			if state != notGated {
				w.rewritten = append(w.rewritten, placed{h, w.site, state})
			}
		case "reverse_proxy":
			w.proxies = append(w.proxies, placed{h, w.site, state})
			if state != notGated && h.Rewrite != nil {
				w.rewritten = append(w.rewritten, placed{h, w.site, state})
			}
		}
	}
	return state
}

// invoke goes through a named route, but not for ever.
func (w *siteWalk) invoke(name string, state gated) gated {
	route, known := w.server.Named[name]
	if !known || slices.Contains(w.invoking, name) {
		return state
	}
	w.invoking = append(w.invoking, name)
	state = w.routes([]siteRoute{route}, state)
	w.invoking = w.invoking[:len(w.invoking)-1]
	return state
}

// host is the first name that a route asks for, "" if it asks for none.
func (r *siteRoute) host() string {
	for _, match := range r.Match {
		var hosts []string
		if json.Unmarshal(match["host"], &hosts) == nil && len(hosts) > 0 {
			return hosts[0]
		}
	}
	return ""
}

// checkGates looks for ways around gates, and for what is changed behind them.
func (x *examination) checkGates() {
	var walk siteWalk
	for _, server := range x.servers() {
		// A site without a host has its port in the address.
		walk.server, walk.site = server, server.name()[strings.LastIndex(server.name(), ":")+1:]
		walk.routes(server.Routes, notGated)
	}
	behind := map[string]bool{} // a gate
	for _, p := range walk.proxies {
		for _, upstream := range p.Upstreams {
			behind[upstream.Dial] = behind[upstream.Dial] || p.gated != notGated
		}
	}
	for _, p := range walk.proxies {
		x.checkProxy(&p, behind)
	}
	for _, h := range walk.rewritten {
		x.find(levelWarning, "rewrite", x.whereOfRewrite(&h),
			"move it before the gate (rewrite and uri stand there by themselves outside of route and handle_path), and name in the policy what is sent",
			"%s behind bearer_gate: what was judged is not what is sent", h.kindOfRewrite())
	}
}

func (x *examination) checkProxy(p *placed, behind map[string]bool) {
	var dials []string
	for _, upstream := range p.Upstreams {
		dials = append(dials, upstream.Dial)
	}
	where := x.atSite(p.site, "reverse_proxy", dials...)
	switch p.gated {
	case notGated:
		for _, dial := range dials {
			if behind[dial] {
				x.find(levelError, "around-the-gate", where, "put bearer_gate into this site too, or remove the reverse_proxy",
					"a reverse_proxy to %s has no bearer_gate before it, and elsewhere one has: this is the way around it", dial)
			}
		}
		return
	case someGated:
		x.find(levelWarning, "matcher", x.atSite(p.site, "bearer_gate"), "remove the matcher, and name what is public in the policy",
			"requests that the matcher of bearer_gate leaves out reach %s ungated", strings.Join(dials, " "))
	}
	if p.StreamCloseDelay == nil {
		x.find(levelWarning, "stream-close-delay", where, "write in its block: stream_close_delay 24h",
			"the reverse_proxy to %s drops all WebSockets at each reload", strings.Join(dials, " "))
	}
}

// kindOfRewrite is what it is called in a Caddyfile.
func (h *siteHandler) kindOfRewrite() string {
	switch {
	case h.Handler == "reverse_proxy":
		return "a reverse_proxy that rewrites"
	case h.StripPathPrefix != "":
		return "uri strip_prefix (or handle_path)"
	case h.StripPathSuffix != "" || h.URISubstring != nil || h.PathRegexp != nil || h.Query != nil:
		return "uri"
	case h.Method != "":
		return "method"
	}
	return "rewrite"
}

// whereOfRewrite finds its line, whichever directive it was.
func (x *examination) whereOfRewrite(h *placed) string {
	directives := []string{"rewrite", "uri", "method"}
	if h.StripPathPrefix != "" {
		directives = []string{"uri", "handle_path"}
	}
	if h.Handler == "reverse_proxy" {
		directives = []string{"rewrite", "method"}
	}
	for _, directive := range directives {
		if place := x.atSite(h.site, directive, h.StripPathPrefix); place != x.file {
			return place
		}
	}
	return x.file
}

// checkServers looks at Caddy's servers that have a gate or an issuer.
func (x *examination) checkServers() {
	concerned := false
	for _, server := range x.servers() {
		if !server.has("bearer_gate") && !server.has("bearer_issuer") {
			continue
		}
		concerned = true
		if x.behindTLS() && server.plain(x.config.Apps.HTTP.HTTPPort) && server.TrustedProxies == nil {
			x.find(levelWarning, "trusted-proxies", x.file, "in the global options: servers { trusted_proxies static <its network>; trusted_proxies_strict }",
				"%s is plain HTTP and the public URLs are https://, so a proxy stands in front: all clients have its address, which throttling and allow-lists go by",
				server.name())
		}
	}
	if concerned && x.config.Apps.HTTP.GracePeriod != nil {
		x.find(levelWarning, "grace-period", x.at("grace_period"), "remove it: the gate ends its streams by itself at a stop",
			"with a grace_period each reload cuts event streams and long requests")
	}
}

// behindTLS reports whether the public knows the server by https://.
func (x *examination) behindTLS() bool {
	if x.app == nil {
		return false
	}
	for _, env := range x.app.Environments {
		if env == nil {
			continue
		}
		if at, err := url.Parse(env.Issuer); err == nil && at.Scheme == "https" {
			return true
		}
	}
	return false
}

// plain reports whether a server speaks no TLS at any of its addresses.
func (s *siteServer) plain(httpPort int) bool {
	if s.TLS != nil {
		return false
	}
	if httpPort == 0 {
		httpPort = 80
	}
	for _, listen := range s.Listen {
		address, err := caddy.ParseNetworkAddress(listen)
		if err != nil || address.IsUnixNetwork() {
			continue
		}
		if int(address.StartPort) != httpPort && !s.AutomaticHTTPS.Disable && s.namesHosts() {
			return false // Caddy gets certificates for them
		}
	}
	return true
}

// namesHosts reports whether sites have names for which Caddy gets certificates.
func (s *siteServer) namesHosts() bool {
	for i := range s.Routes {
		for _, match := range s.Routes[i].Match {
			var hosts []string
			if json.Unmarshal(match["host"], &hosts) == nil && slices.ContainsFunc(hosts, func(host string) bool {
				return !slices.Contains(s.AutomaticHTTPS.Skip, host)
			}) {
				return true
			}
		}
	}
	return false
}

// checkHealthDetail looks for details that strangers can read.
func (x *examination) checkHealthDetail() {
	for _, server := range x.servers() {
		if server.any(func(h *siteHandler) bool { return h.Handler == "bearer_health" && h.Detail }) && !server.local() {
			x.find(levelWarning, "health-detail", x.at("detail"), "have bearer_health with detail on a site that only operators reach, and without it here",
				"/readyz?verbose at %s names files and policies to whoever asks", server.name())
		}
	}
}

// local reports whether the server is reached from this machine alone.
func (s *siteServer) local() bool {
	return !slices.ContainsFunc(s.Listen, func(listen string) bool {
		address, err := caddy.ParseNetworkAddress(listen)
		return err != nil || !address.IsUnixNetwork() && !isLoopback(strings.Trim(address.Host, "[]"))
	})
}
