package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(Health))
}

// The paths that Health answers.
const (
	livePath  = "/livez"
	readyPath = "/readyz"
)

// Health answers GET and HEAD of /livez and /readyz, for who watches the process
// or sends it requests. All other requests go on to the next handler.
//
// The app that serves now is asked, whichever configuration the handler belongs
// to: after a rejected reload that is the old one.
type Health struct {
	// The checks that make /readyz answer 503 when they fail, of store, keys,
	// policies, journal, audit and clock. Default: none, because nobody else could
	// answer what this process can't.
	Require []string `json:"require,omitempty"`

	// Let /readyz?verbose say why a check fails. That names files and policies, so
	// only where nobody but operators can ask. Off by default.
	Detail bool `json:"detail,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Health) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bearer_health", New: func() caddy.Module { return new(Health) }}
}

// Provision checks the names of checks.
func (h *Health) Provision(ctx caddy.Context) error {
	for _, name := range h.Require {
		if !slices.Contains(checkNames, name) {
			return fmt.Errorf("bearer_health requires the check %q, which is unknown; known: %s", name, strings.Join(checkNames, ", "))
		}
	}
	_, err := bearerApp(ctx) // without one it would never be ready
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return next.ServeHTTP(w, r)
	}
	switch r.URL.Path {
	case livePath:
		return answerHealth(w, livenessOf(live.Load()))
	case readyPath:
		return answerHealth(w, readinessOf(live.Load(), h.Require, h.Detail && r.URL.Query().Has("verbose")))
	}
	return next.ServeHTTP(w, r)
}

// health is an answer. What it says comes from closed sets of words, but for
// Details.
type health struct {
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks,omitempty"`
	Details map[string]string `json:"details,omitempty"`

	code int
}

// What health.Status may be.
const (
	isAlive    = "alive"
	isStuck    = "stuck"    // riders can't be cut any more
	isReady    = "ready"    // all checks are ok
	isDegraded = "degraded" // requests are served, and something fails
	isNotReady = "not_ready"
	isStarting = "starting"
	isEnding   = "ending"
)

// What is said of each check.
const (
	checkOK      = "ok"
	checkFailing = "failing"
)

func answerHealth(w http.ResponseWriter, answer health) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if answer.code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(answer.code)
	_, _ = w.Write(append(body, '\n')) // who hung up needs no answer
	return nil
}

// livenessOf tells whether to leave the process alone. It says no only of what a
// restart mends: it does not look at the disk, without which a process that is
// started anew serves nobody, while this one serves whoever has a token.
func livenessOf(app *App) health {
	if app != nil && app.runtime.stuck() {
		return health{Status: isStuck, code: http.StatusServiceUnavailable}
	}
	return health{Status: isAlive, code: http.StatusOK}
}

// readinessOf tells whether to send requests here.
func readinessOf(app *App, require []string, detail bool) health {
	switch {
	case caddy.Exiting():
		return health{Status: isEnding, code: http.StatusServiceUnavailable}
	case app == nil || !app.runtime.ready.Load():
		return health{Status: isStarting, code: http.StatusServiceUnavailable}
	}
	found := app.runtime.health.look(app.runtime.checks)
	answer := health{Status: isReady, Checks: make(map[string]string, len(checkNames)), code: http.StatusOK}
	if detail {
		answer.Details = map[string]string{}
	}
	for _, name := range checkNames {
		err := found[name]
		answer.Checks[name] = checkOK
		if err == nil {
			continue
		}
		answer.Checks[name] = checkFailing
		if answer.Details != nil {
			answer.Details[name] = err.Error()
		}
		if answer.Status == isReady {
			answer.Status = isDegraded
		}
		if slices.Contains(require, name) {
			answer.Status, answer.code = isNotReady, http.StatusServiceUnavailable
		}
	}
	return answer
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Health)(nil)
	_ caddyhttp.MiddlewareHandler = (*Health)(nil)
)
