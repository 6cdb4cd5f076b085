package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// caddyConfig is what the checks need of Caddy's configuration.
type caddyConfig struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Logging struct {
		Logs map[string]struct {
			Level string `json:"level"`
		} `json:"logs"`
	} `json:"logging"`
	Apps struct {
		HTTP   httpConfig      `json:"http"`
		Bearer json.RawMessage `json:"bearer"`
	} `json:"apps"`
}

type httpConfig struct {
	HTTPPort    int                    `json:"http_port"`
	GracePeriod any                    `json:"grace_period"`
	Servers     map[string]*siteServer `json:"servers"`
}

// siteServer is one of Caddy's servers: the sites that share addresses.
type siteServer struct {
	Listen         []string             `json:"listen"`
	Routes         []siteRoute          `json:"routes"`
	Named          map[string]siteRoute `json:"named_routes"`
	TLS            json.RawMessage      `json:"tls_connection_policies"`
	TrustedProxies json.RawMessage      `json:"trusted_proxies"`
	AutomaticHTTPS struct {
		Disable bool     `json:"disable"`
		Skip    []string `json:"skip"`
	} `json:"automatic_https"`
	Logs *struct {
		Credentials bool `json:"should_log_credentials"`
	} `json:"logs"`
}

type siteRoute struct {
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []siteHandler                `json:"handle"`
	Terminal bool                         `json:"terminal"`
	Group    string                       `json:"group"`
}

// siteHandler has the members of all handlers that the checks know.
type siteHandler struct {
	Handler          string          `json:"handler"`
	Routes           []siteRoute     `json:"routes"`  // of subroute
	Name             string          `json:"name"`    // of invoke: a named route
	Rewrite          json.RawMessage `json:"rewrite"` // of reverse_proxy
	StreamCloseDelay any             `json:"stream_close_delay"`
	Upstreams        []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Detail bool `json:"detail"` // of bearer_health

	URI             string `json:"uri"` // of rewrite, as are the rest
	Method          string `json:"method"`
	StripPathPrefix string `json:"strip_path_prefix"`
	StripPathSuffix string `json:"strip_path_suffix"`
	URISubstring    any    `json:"uri_substring"`
	PathRegexp      any    `json:"path_regexp"`
	Query           any    `json:"query"`
}

// readFile reads a configuration file. What is wrong with what it says is a
// finding; a file that can't be read, or be in no known language, is an error.
func (x *examination) readFile(file, adapter string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	x.file, x.raw = file, source
	if adapter == "" && isCaddyfile(file) {
		adapter = "caddyfile"
	}
	if adapter != "" {
		known := caddyconfig.GetAdapter(adapter)
		if known == nil {
			return fmt.Errorf("no adapter %q; known: caddyfile", adapter)
		}
		if x.raw, _, err = known.Adapt(source, map[string]any{"filename": file}); err != nil {
			x.find(levelError, "config", file, "mend it; caddy adapt says the same", "the configuration can't be read: %s", err)
			return nil
		}
	}
	if adapter == "caddyfile" {
		x.readLines(source)
	}
	return x.decode()
}

// isCaddyfile goes by the name, as Caddy does.
func isCaddyfile(file string) bool {
	name := strings.ToLower(filepath.Base(file))
	return filepath.Ext(name) != ".json" && (strings.HasPrefix(name, "caddyfile") || strings.HasSuffix(name, ".caddyfile"))
}

// readLines remembers what stands where, also in files that are imported.
func (x *examination) readLines(source []byte) {
	blocks, err := caddyfile.Parse(x.file, source)
	if err != nil {
		return // it was adapted: without lines it goes as well
	}
	add := func(keys []string, t caddyfile.Token) {
		if last := len(x.lines) - 1; last >= 0 && x.lines[last].file == t.File && x.lines[last].number == t.Line {
			x.lines[last].words = append(x.lines[last].words, t.Text)
			return
		}
		x.lines = append(x.lines, configLine{t.File, t.Line, keys, []string{t.Text}})
	}
	for _, block := range blocks {
		for _, segment := range block.Segments {
			for _, t := range segment {
				add(block.GetKeysText(), t)
			}
		}
	}
}

// decode takes over the configuration in raw.
func (x *examination) decode() error {
	if err := json.Unmarshal(x.raw, &x.config); err != nil {
		return fmt.Errorf("%s is no configuration of Caddy: %w", x.file, err)
	}
	if x.config.Apps.Bearer == nil {
		return fmt.Errorf("there is no app %q in %s", appName, x.source())
	}
	app := new(App)
	if err := caddy.StrictUnmarshalJSON(x.config.Apps.Bearer, app); err != nil {
		x.find(levelError, "config", x.file, "mend it; docs/settings.md has every key", "the app %q can't be read: %s", appName, err)
		return nil
	}
	app.fillDefaults()
	x.app = app
	return nil
}

// source names the configuration.
func (x *examination) source() string {
	if x.file == "" {
		return "the running configuration"
	}
	return x.file
}

// checkApp does what Caddy does with the app before a start.
func (x *examination) checkApp() {
	if x.app == nil {
		return
	}
	if x.app.Store.Driver != "sqlite" {
		x.find(levelError, "config", x.at("store"), "write: store sqlite <path>", "store driver %q is unknown", x.app.Store.Driver)
		return
	}
	errs := []error{checkCacheSize(x.app.CacheSize), x.app.checkFiles()}
	switch err := x.app.readPolicies(); {
	case err == nil:
		errs = append(errs, x.app.provisionEnvironments())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		x.checkPolicies() // says so, and without policies more can't be said
	}
	for _, err := range errs {
		if err != nil {
			x.unreadable("config", x.file, x.file, "mend it: Caddy refuses to start with it", err)
		}
	}
}

// checkIssuers looks for secrets that would travel in plain text. Production
// refuses such a URL by itself.
func (x *examination) checkIssuers() {
	if x.app == nil {
		return
	}
	for _, name := range sortedKeys(x.app.Environments) {
		env := x.app.Environments[name]
		if env == nil || name == store.Production {
			continue
		}
		if at, err := url.Parse(env.Issuer); err == nil && at.Scheme == "http" && !isLoopback(at.Hostname()) {
			x.find(levelWarning, "plain-issuer", x.at("issuer", env.Issuer), "write https://, and have a certificate for the site",
				"environment %s: secrets and tokens travel in plain text to %s", name, env.Issuer)
		}
	}
}

// checkLogs looks at what the logs would show, and whether there are any.
func (x *examination) checkLogs() {
	for _, name := range sortedKeys(x.config.Logging.Logs) {
		if strings.EqualFold(x.config.Logging.Logs[name].Level, "DEBUG") {
			x.find(levelNote, "log-level", x.at("level"), "write level INFO once you have seen what you look for",
				"the log %s is at level debug: each refused request is a line", name)
		}
	}
	for _, server := range x.servers() {
		switch logs := server.Logs; {
		case !server.has("bearer_gate") && !server.has("bearer_issuer"):
		case logs == nil:
			x.find(x.inEarnest(), "access-log", x.file, "write log in the sites of gate and issuer",
				"no access log at %s: nobody can tell afterwards who called what", server.name())
		case logs.Credentials:
			x.find(levelError, "log-credentials", x.at("log_credentials"), "remove it, and treat the tokens in the log as stolen",
				"the access log shows Authorization and Cookie as they are")
		}
	}
}

// checkMetrics looks at whether somebody can collect them, and who. The admin
// endpoint has them too, but no Prometheus can read a Unix socket.
func (x *examination) checkMetrics() {
	const site = "write a site for it: http://:9180 { bind 127.0.0.1; metrics }, see docs/monitoring.md"
	collected := false
	for _, server := range x.servers() {
		if !server.has("metrics") {
			continue
		}
		collected = true
		if !server.local() {
			x.find(levelNote, "metrics-open", x.at("metrics"), "bind the site to an address that only your monitoring reaches",
				"whoever reaches %s can read the metrics: no secrets, but who has how much to do", server.name())
		}
	}
	admin, err := caddy.ParseNetworkAddress(x.config.Admin.Listen)
	if !collected && (x.config.Admin.Disabled || err == nil && admin.IsUnixNetwork()) {
		x.find(levelNote, "metrics", x.file, site, "nobody can collect the metrics, so no alert will come")
	}
}

// checkAdmin looks at who can reach Caddy's admin endpoint, which asks for no
// token where it loads a configuration.
func (x *examination) checkAdmin() {
	admin := x.config.Admin
	if admin.Disabled {
		x.find(levelWarning, "admin-off", x.at("admin", "off"), "write: admin unix//run/caddy/admin.sock|0600",
			"the admin endpoint is off: no command reaches the server, not even to revoke")
		return
	}
	if admin.Listen == "" {
		admin.Listen = caddy.DefaultAdminListen
	}
	const onSocket = "write: admin unix//run/caddy/admin.sock|0600"
	where := x.at("admin")
	address, err := caddy.ParseNetworkAddress(admin.Listen)
	switch {
	case err != nil:
		x.find(levelError, "admin-address", where, onSocket, "%q is no address for the admin endpoint", admin.Listen)
	case address.IsUnixNetwork():
		if _, mode, given := strings.Cut(address.Host, "|"); given && !strings.HasSuffix(mode, "00") {
			x.find(levelWarning, "admin-socket", where, onSocket, "others than its owner may open the admin socket, and load a configuration")
		}
	case !isLoopback(address.Host):
		x.find(levelError, "admin-open", where, onSocket, "whoever reaches %s can load another configuration: Caddy asks for no token there", admin.Listen)
	default:
		x.find(levelNote, "admin-local", where, onSocket, "every user of this machine can load another configuration at %s", admin.Listen)
	}
}

// servers are those of the configuration, in the order of their names.
func (x *examination) servers() (servers []*siteServer) {
	for _, name := range sortedKeys(x.config.Apps.HTTP.Servers) {
		if server := x.config.Apps.HTTP.Servers[name]; server != nil {
			servers = append(servers, server)
		}
	}
	return servers
}

// name is the first address of the server, by which people know it.
func (s *siteServer) name() string {
	if len(s.Listen) == 0 {
		return "a server without an address"
	}
	return s.Listen[0]
}

// has reports whether a handler stands anywhere in the server.
func (s *siteServer) has(handler string) bool {
	return s.any(func(h *siteHandler) bool { return h.Handler == handler })
}

// any reports whether one of the server's handlers is of a kind, however deep it is
// nested.
func (s *siteServer) any(kind func(*siteHandler) bool) bool {
	for _, route := range s.Named {
		if anyHandler([]siteRoute{route}, kind) {
			return true
		}
	}
	return anyHandler(s.Routes, kind)
}

func anyHandler(routes []siteRoute, kind func(*siteHandler) bool) bool {
	return slices.ContainsFunc(routes, func(r siteRoute) bool {
		return slices.ContainsFunc(r.Handle, func(h siteHandler) bool { return kind(&h) || anyHandler(h.Routes, kind) })
	})
}
