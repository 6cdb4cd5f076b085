package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate lets a request through only if its bearer token carries the scopes that
// the policy asks for. Put it before reverse_proxy.
type Gate struct {
	// The policy that decides. Default: the environment's.
	Policy string `json:"policy,omitempty"`

	// Routes that decide instead of a policy's, with the keys that they have in a
	// policy file. Their scopes are those of the environment's policy.
	Routes []policy.Rule `json:"routes,omitempty"`

	// Which web pages of other origins may use the routes that stand here, but for
	// those that say something of their own. Default: nothing is said.
	CORS *policy.RuleCORS `json:"cors,omitempty"`

	// The environment whose tokens are accepted. Default: the only one.
	Environment store.Environment `json:"environment,omitempty"`

	// The realm in challenges (RFC 6750 §3). Default: api.
	Realm string `json:"realm,omitempty"`

	// Hand the token on to the upstream. Off by default: the upstream learns who
	// calls from the identity headers and can not replay what it never saw.
	ForwardToken bool `json:"forward_token,omitempty"`

	// The names of the headers that tell the upstream who calls.
	IdentityHeaders *IdentityHeaders `json:"identity_headers,omitempty"`

	// The sizes that requests may have.
	Limits *GateLimits `json:"limits,omitempty"`

	log         *zap.Logger
	runtime     *runtime
	environment store.Environment
	seen        *seen
	gate        *gate.Gate
	debug       bool // requests that are let through get a line
	logsAccess  bool // the server has an access log
	refusals    refusalLog
}

// IdentityHeaders names the headers that a gate sets on every request that it
// lets through. What clients send under these names is removed.
type IdentityHeaders struct {
	// Who allowed the request: the principal. Default: X-Auth-Subject.
	Subject string `json:"subject,omitempty"`

	// The OAuth client. Default: X-Auth-Client.
	Client string `json:"client,omitempty"`

	// The accounts that the token opens, separated by blanks. Default: X-Auth-Accounts.
	Accounts string `json:"accounts,omitempty"`

	// The scopes of the token, separated by blanks. Default: X-Auth-Scope.
	Scope string `json:"scope,omitempty"`

	// The environment of the token. Default: X-Auth-Environment.
	Environment string `json:"environment,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bearer_gate", New: func() caddy.Module { return new(Gate) }}
}

// Provision builds the gate on the runtime of the app.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := bearerApp(ctx)
	if err != nil {
		return err
	}
	name, env, err := app.environment(g.Environment)
	if err != nil {
		return err
	}
	g.log, g.runtime, g.environment = ctx.Logger(), app.runtime, name
	present, err := g.policy(app, env)
	if err != nil {
		return err
	}
	world := app.runtime.worlds[name]
	authority := world.authority
	g.seen = world.seen
	g.debug, g.logsAccess = g.log.Core().Enabled(zap.DebugLevel), hasAccessLog(ctx)
	headers := IdentityHeaders{}
	if g.IdentityHeaders != nil {
		headers = *g.IdentityHeaders
	}
	limits, err := g.Limits.checked()
	if err != nil {
		return err
	}
	g.gate, err = gate.New(gate.Options{
		Authority: authority, Policy: present,
		Resource: gate.Resource{URL: env.Audience, Issuer: env.Issuer},
		Realm:    g.Realm, Problems: env.Issuer + "/problems/",
		Identity:     gate.IdentityHeaders(headers),
		Limits:       limits,
		ForwardToken: g.ForwardToken, TrustedProxy: fromTrustedProxy, ClientIP: clientIP, RequestID: requestID,
		Allowed: g.allowed, Hold: app.runtime.hold,
		Counts: g.seen.decisions, Took: g.seen.tookFor, Streams: g.logStream,
	})
	if err != nil {
		return err
	}
	endStreamsAtExit(ctx, authority)
	warnOfDroppedStreams(ctx, g.log)
	return nil
}

// policy returns where the present revision of what decides is found.
func (g *Gate) policy(app *App, env *Environment) (func() *policy.Policy, error) {
	if len(g.Routes) > 0 {
		if g.Policy != "" {
			return nil, fmt.Errorf("bearer_gate has both the policy %s and routes of its own; choose one", g.Policy)
		}
		slot, err := app.addRoutes(g.Routes, g.CORS, env.Policy)
		if err != nil {
			return nil, err
		}
		return slot.get, nil
	}
	if g.CORS != nil {
		return nil, errors.New("bearer_gate has cors without routes of its own; write it into the policy")
	}
	g.Policy = cmp.Or(g.Policy, env.Policy)
	if app.policies[g.Policy] == nil {
		return nil, fmt.Errorf("policy %q is not configured; configured: %s", g.Policy, strings.Join(sortedKeys(app.policies), ", "))
	}
	return app.runtime.policies.slot(g.Policy).get, nil
}

// endStreamsAtExit cuts live streams when the process ends, because the server
// would wait for them for ever. A reload leaves them alone.
func endStreamsAtExit(ctx caddy.Context, authority *token.Authority) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		server.RegisterOnShutdown(func() {
			if caddy.Exiting() {
				authority.CutAll(token.CauseShutdown)
			}
		})
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !gate.CarriesSecret(r) {
		return g.serve(w, r, next, false)
	}
	hideFromAccessLog(r)
	defer g.logHidden(r, time.Now(), r.URL.Path)
	if err := g.serve(w, r, next, true); err != nil {
		answerError(w, g.log, err)
	}
	return nil
}

// serve decides and hands on. Refusals are left to the operator's error routes, if
// there are any and the request is not hidden from Caddy's logs.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, hidden bool) error {
	if !g.runtime.ready.Load() {
		g.gate.RefuseUnready(r)
		w.Header().Set("Retry-After", "1")
		g.gate.SetCORS(w.Header(), r)
		return caddyhttp.Error(http.StatusServiceUnavailable, errNotReady)
	}
	err := g.gate.ServeHTTP(w, r, next)
	var refusal *gate.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	if !hidden && gate.MisplacesSecret(r) {
		hidden = true
		hideFromAccessLog(r)
		defer g.logHidden(r, time.Now(), r.URL.Path)
	}
	g.refused(r, refusal)
	if !hidden && handlesErrors(r) {
		refusal.SetHeaders(w.Header())
		return caddyhttp.Error(refusal.Status, refusal)
	}
	refusal.Respond(w, r)
	return nil
}

var errNotReady = errors.New("bearer: not ready yet")

// allowed tells Caddy who calls: for the access log and for handlers behind.
func (g *Gate) allowed(r *http.Request, d gate.Decision) {
	repl := replacer(r)
	repl.Set("http.auth.bearer.route", d.Route.ID)
	if d.Lease != nil {
		repl.Set("http.auth.user.id", d.Lease.Subject)
		repl.Set("http.auth.user.client", d.Lease.Client)
		repl.Set("http.auth.user.token_id", d.Lease.ID)
	}
	if who := g.watchers(r); g.debug || who.any() {
		v := g.verdict(gate.Allow, d.Reason, d.Route, d.Lease)
		who.tell(v)
		g.logAllowed(r, v)
	}
}

// refused tells everybody who wants to know that a request was refused.
func (g *Gate) refused(r *http.Request, refusal *gate.Refusal) {
	v := g.verdict(refusal.Decision(), refusal.Reason, refusal.Route, refusal.Lease)
	repl := replacer(r)
	repl.Set("http.auth.bearer.route", v.route)
	repl.Set("http.auth.bearer.decision", v.decision)
	repl.Set("http.auth.bearer.reason", v.reason)
	g.watchers(r).tell(v)
	g.logRefusal(r, refusal, v)
	g.recordRefusal(r, refusal)
}

// logHidden is our line for a request that Caddy's access log must not show. It
// is written when the request is over, and so is that of a stream.
func (g *Gate) logHidden(r *http.Request, begin time.Time, path string) {
	repl := replacer(r)
	known := func(name string) string {
		value, _ := repl.GetString("http.auth." + name)
		return value
	}
	g.log.Info("handled request with a credential outside Authorization",
		zap.String("method", r.Method), zap.String("path", path), zap.String("client_ip", clientIP(r)),
		zap.String("user_id", known("user.id")), zap.String("client", known("user.client")), zap.String("token_id", known("user.token_id")),
		zap.String("route", known("bearer.route")),
		zap.String("decision", cmp.Or(known("bearer.decision"), gate.Allow)), zap.String("reason", known("bearer.reason")),
		zap.Duration("duration", time.Since(begin)), zap.String("request_id", requestID(r)))
}

// handlesErrors reports whether the operator has error routes, which then
// write the body of a refusal.
func handlesErrors(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Errors != nil && len(server.Errors.Routes) > 0
}

// bearerApp returns the app that owns what handlers borrow.
func bearerApp(ctx caddy.Context) (*App, error) {
	module, err := ctx.App(appName)
	app, _ := module.(*App) // nil beside an error
	return app, err
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
