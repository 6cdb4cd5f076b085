package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
)

func init() {
	caddy.RegisterModule(new(Issuer))
}

// Issuer serves the endpoints by which programs obtain, renew and revoke
// tokens. Requests for other paths go on to the next handler.
type Issuer struct {
	// The environment that it issues for. Default: the only one.
	Environment store.Environment `json:"environment,omitempty"`

	log     *zap.Logger
	runtime *runtime
	world   *world
}

// CaddyModule returns the Caddy module information.
func (*Issuer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bearer_issuer", New: func() caddy.Module { return new(Issuer) }}
}

// Provision finds the environment.
func (i *Issuer) Provision(ctx caddy.Context) error {
	app, err := bearerApp(ctx)
	if err != nil {
		return err
	}
	name, _, err := app.environment(i.Environment)
	if err != nil {
		return err
	}
	i.log, i.runtime, i.world = ctx.Logger(), app.runtime, app.runtime.worlds[name]
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	is := i.world.issuer.Load()
	if is == nil || !i.runtime.ready.Load() {
		hideFromAccessLog(r)
		w.Header().Set("Retry-After", "1")
		answerError(w, i.log, caddyhttp.Error(http.StatusServiceUnavailable, errNotReady))
		return nil
	}
	if is.Handles(r) {
		hideFromAccessLog(r)
		is.ServeHTTP(w, r)
		return nil
	}
	if !issuer.CarriesSecret(r) {
		return next.ServeHTTP(w, r)
	}
	hideFromAccessLog(r)
	if err := next.ServeHTTP(w, r); err != nil {
		answerError(w, i.log, err)
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Issuer)(nil)
	_ caddyhttp.MiddlewareHandler = (*Issuer)(nil)
)
