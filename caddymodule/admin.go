package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func init() {
	caddy.RegisterModule(new(AdminAPI))
}

// AdminAPI is the part of Caddy's admin API by which operators look at records,
// change them and revoke. `caddy bearer` is its client.
//
// Every call needs an operator token (Authorization: Bearer), or must come in
// over a Unix socket that only its owner can open. Bodies are JSON both ways;
// an error is {"error": "…"}.
type AdminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.bearer", New: func() caddy.Module { return new(AdminAPI) }}
}

// adminRoot is what all paths of the admin API begin with.
const adminRoot = "/bearer"

// inEnvironment is what the paths of an environment's records begin with.
const inEnvironment = "/environments/{env}"

// adminRoute is one operation.
type adminRoute struct {
	method string
	path   string // below adminRoot
	need   role
	answer func(*adminCall) (any, error)
}

// adminRoutes is all that the admin API can do.
func adminRoutes() []adminRoute {
	return slices.Concat(
		[]adminRoute{
			{"GET", "/environments", roleRead, listEnvironments},
			{"GET", "/policies", roleRead, listPolicies},
			{"GET", "/health", roleRead, showHealth},
			{"POST", "/backup", roleAdmin, makeBackup},
			{"GET", inEnvironment + "/revocations", roleRead, listRevocations},
			{"GET", inEnvironment + "/grants", roleRead, listGrants},
			{"GET", inEnvironment + "/grants/{id}", roleRead, showGrant},
			{"POST", inEnvironment + "/grants/{id}/revoke", roleRevoke, revokeGrant},
			{"POST", inEnvironment + "/tokens/show", roleRead, showToken},
			{"POST", inEnvironment + "/tokens/revoke", roleRevoke, revokeToken},
			{"GET", inEnvironment + "/personal-tokens", roleRead, listPersonal},
			{"POST", inEnvironment + "/personal-tokens", roleAdmin, issuePersonal},
			{"POST", inEnvironment + "/personal-tokens/{id}/rotate", roleAdmin, rotatePersonal},
			{"GET", inEnvironment + "/trading-tokens", roleRead, listTrading},
			{"POST", inEnvironment + "/clients", roleAdmin, addClient},
			{"POST", inEnvironment + "/service-accounts", roleAdmin, addServiceAccount},
			{"PUT", inEnvironment + "/service-accounts/{id}/accounts/{account}", roleAdmin, binder{serviceAccountOwner}.bind},
			{"DELETE", inEnvironment + "/service-accounts/{id}/accounts/{account}", roleAdmin, binder{serviceAccountOwner}.unbind},
			{"POST", inEnvironment + "/users", roleAdmin, addUser},
			{"PATCH", inEnvironment + "/users/{id}", roleAdmin, users.set},
			{"GET", inEnvironment + "/bindings", roleRead, listBindings},
			{"PUT", inEnvironment + "/bindings/{id}/{account}", roleAdmin, binder{anyOwner}.bind},
			{"DELETE", inEnvironment + "/bindings/{id}/{account}", roleAdmin, binder{anyOwner}.unbind},
			{"GET", inEnvironment + "/streams", roleRead, listStreams},
			{"GET", "/operators", roleRead, listOperators},
			{"POST", "/operators/rotate", roleAdmin, rotateOperators},
			{"POST", inEnvironment + "/accounts", roleAdmin, addAccount},
		},
		auditRoutes(), keyRoutes(), peopleRoutes(), appRoutes(),
		clients.routes(), partyRoutes(clients.path, setClient, rotateClientSecret), users.routes(),
		serviceAccounts.routes(), partyRoutes(serviceAccounts.path, serviceAccounts.set, serviceAccounts.rotateSecret),
		accounts.routes(),
	)
}

// Routes implements caddy.AdminRouter. Each operation has a pattern of its own,
// so that Caddy's metrics count them apart; the others say what is wrong to who
// has the method or the path wrong.
func (*AdminAPI) Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	methods := map[string][]string{}
	for _, route := range adminRoutes() {
		routes = append(routes, caddy.AdminRoute{Pattern: route.method + " " + adminRoot + route.path, Handler: route})
		methods[route.path] = append(methods[route.path], route.method)
	}
	for _, path := range sortedKeys(methods) {
		routes = append(routes, caddy.AdminRoute{Pattern: adminRoot + path, Handler: wrongMethod(methods[path])})
	}
	unknown := adminRoute{need: roleRead, answer: func(c *adminCall) (any, error) {
		return nil, refuse(http.StatusNotFound, "there is nothing at %s", c.request.URL.Path)
	}}
	return append(routes, caddy.AdminRoute{Pattern: adminRoot + "/", Handler: unknown})
}

func wrongMethod(allowed []string) adminRoute {
	return adminRoute{need: roleRead, answer: func(c *adminCall) (any, error) {
		list := strings.Join(slices.Sorted(slices.Values(allowed)), ", ")
		c.header.Set("Allow", list)
		return nil, refuse(http.StatusMethodNotAllowed, "%s is not possible here; possible: %s", c.request.Method, list)
	}}
}

// adminCall is one request to the admin API.
type adminCall struct {
	request *http.Request
	header  http.Header // of the answer
	app     *App        // live when the call came in
	actor   string      // who calls, for the audit trail
	status  int         // of a good answer; 0: 200
	dry     bool        // tell what would end, and end nothing

	// Of the environment that the path names.
	env       store.Environment
	authority *token.Authority
}

// ServeHTTP implements caddy.AdminHandler. The app is looked up for each call:
// after a configuration was rejected, Caddy's new admin server must still reach
// the app that serves.
func (route adminRoute) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	c := &adminCall{request: r, header: w.Header(), app: live.Load()}
	answer, err := c.perform(route)
	if err != nil {
		return c.failure(err)
	}
	if file, ok := answer.(*answerFile); ok {
		return file.send(w)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(cmp.Or(c.status, http.StatusOK))
	_, err = w.Write(append(body, '\n'))
	return err
}

func (c *adminCall) perform(route adminRoute) (any, error) {
	if err := c.authorize(route.need); err != nil {
		c.recordRefusal(err)
		return nil, err
	}
	if name := c.request.PathValue("env"); name != "" {
		env, _, err := c.app.environment(store.Environment(name))
		if err != nil {
			return nil, refuse(http.StatusNotFound, "%v", err)
		}
		c.env, c.authority = env, c.app.runtime.worlds[env].authority
	}
	if err := c.readDryRun(&route); err != nil {
		return nil, err
	}
	return route.answer(c)
}

// refuse is the answer to a call that is not carried out.
func refuse(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Message: fmt.Sprintf(format, args...)}
}

// failure is where errors become statuses, and the only place.
func (c *adminCall) failure(err error) error {
	if refusal, ok := errors.AsType[caddy.APIError](err); ok {
		return refusal
	}
	if invalid, ok := errors.AsType[*token.Invalid](err); ok {
		return refuse(http.StatusNotFound, "this is no token of %s that could be ended: %s", c.env, invalid.Reason)
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) { // the caller hung up in time
		c.header.Set("Retry-After", "1")
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err, Message: "the store does not answer; nothing was changed"}
	}
	return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err, Message: "this went wrong inside; the server's log says more"}
}

func (c *adminCall) store() store.Store { return c.app.runtime.store }

// view reads in one snapshot.
func (c *adminCall) view(read func(store.Reader) error) error {
	return c.store().View(c.request.Context(), read)
}

// change carries out a change, of which a line in the audit trail is part. Once
// the transaction has begun, the caller may hang up: the store finishes it.
func (c *adminCall) change(action, target, reason string, do func(*change) error) error {
	if err := c.refuseDryRun(); err != nil {
		return err
	}
	now := c.authority.Now().UTC()
	err := c.store().Update(c.request.Context(), func(tx store.Writer) error {
		made := &change{tx, c.env, now, c.authority.Retention(), reason}
		if err := do(made); err != nil {
			return err
		}
		event := c.event(action, target)
		event.Environment, event.At, event.Reason = c.env, now, made.reason
		var err error
		if event.Subject, err = subjectOf(tx, c.env, target); err != nil {
			return err
		}
		return tx.Record(event)
	})
	if err == nil {
		c.app.runtime.note(c.env, action, target)
	}
	return err
}

// event is a line of the audit trail that says who did what.
func (c *adminCall) event(action, target string) store.Event {
	return store.Event{Actor: c.actor, Action: action, Target: target, Outcome: "ok", Address: c.address()}
}

// Interface guards.
var (
	_ caddy.AdminRouter  = (*AdminAPI)(nil)
	_ caddy.AdminHandler = adminRoute{}
)
