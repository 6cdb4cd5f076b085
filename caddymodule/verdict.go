package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// verdict is what logs and traces say of one decision: words of ours, and ids that
// somebody was given. Nothing in it comes from the request or opens anything.
type verdict struct {
	environment store.Environment
	decision    string // gate.Allow, gate.Deny or gate.Fault
	reason      string
	route       string // empty: none matched
	user        string // the principal; this and the next two are known of proven tokens only
	client      string
	tokenID     string
}

func (g *Gate) verdict(decision, reason string, route *policy.Route, lease *token.Lease) *verdict {
	v := &verdict{environment: g.environment, decision: decision, reason: reason}
	if route != nil {
		v.route = route.ID
	}
	if lease != nil {
		v.user, v.client, v.tokenID = lease.Subject, lease.Client, lease.ID
	}
	return v
}

// fields are those of our own lines.
func (v *verdict) fields(r *http.Request, more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		zap.String("environment", string(v.environment)),
		zap.String("decision", v.decision), zap.String("reason", v.reason), zap.String("route", v.route),
		zap.String("user_id", v.user), zap.String("client", v.client), zap.String("token_id", v.tokenID),
		zap.String("client_ip", clientIP(r)), zap.String("request_id", requestID(r)),
	}, more...)
}

// The fields that a gate adds to Caddy's access log.
const (
	fieldDecision    = "bearer_decision"
	fieldReason      = "bearer_reason"
	fieldRoute       = "bearer_route"
	fieldClient      = "bearer_client"
	fieldTokenID     = "bearer_token_id"
	fieldEnvironment = "bearer_environment"
)

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (v *verdict) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString(fieldDecision, v.decision)
	e.AddString(fieldReason, v.reason)
	e.AddString(fieldRoute, v.route)
	e.AddString(fieldClient, v.client)
	e.AddString(fieldTokenID, v.tokenID)
	e.AddString(fieldEnvironment, string(v.environment))
	return nil
}

// attributes are those of a span.
func (v *verdict) attributes() []attribute.KeyValue {
	known := []attribute.KeyValue{
		attribute.String("bearer.decision", v.decision), attribute.String("bearer.reason", v.reason),
		attribute.String("bearer.route", v.route), attribute.String("bearer.environment", string(v.environment)),
	}
	if v.tokenID != "" {
		known = append(known, attribute.String("bearer.client", v.client),
			attribute.String("bearer.token_id", v.tokenID), attribute.String("enduser.id", v.user))
	}
	return known
}

// watchers are who wants to know of the decision on a request. Finding out costs a
// few look-ups in its context; what they are told is made for them alone.
type watchers struct {
	access *caddyhttp.ExtraLogFields // nil: the site has no access log
	span   trace.Span                // of Caddy's directive tracing; nil: nothing is recorded
}

func (g *Gate) watchers(r *http.Request) (w watchers) {
	ctx := r.Context()
	if g.logsAccess {
		w.access, _ = ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		w.span = span
	}
	return w
}

func (w watchers) any() bool { return w.access != nil || w.span != nil }

// tell gives them the verdict, in the place of an earlier one on the same request.
func (w watchers) tell(v *verdict) {
	if w.access != nil {
		w.access.Set(zap.Field{Key: "bearer", Type: zapcore.InlineMarshalerType, Interface: v})
	}
	if w.span != nil {
		w.span.SetAttributes(v.attributes()...)
	}
}

// hasAccessLog reports whether the server that is being provisioned has one.
func hasAccessLog(ctx caddy.Context) bool {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return !ok || server.Logs != nil
}

// sinceStart is how long ago the server got the request.
func sinceStart(r *http.Request) time.Duration {
	start, ok := caddyhttp.GetVar(r.Context(), "start_time").(time.Time)
	if !ok {
		return 0
	}
	return time.Since(start)
}

// logAllowed is a line for each request that is let through, for who looks for
// something.
func (g *Gate) logAllowed(r *http.Request, v *verdict) {
	if entry := g.log.Check(zap.DebugLevel, "allowed"); entry != nil {
		entry.Write(v.fields(r, zap.Duration("duration", sinceStart(r)))...)
	}
}

// logRefusal says for operators why a request was refused, in words that come
// from a closed set. A flood of refusals becomes a few lines, which count the others.
func (g *Gate) logRefusal(r *http.Request, refusal *gate.Refusal, v *verdict) {
	level := zap.InfoLevel
	if v.decision == gate.Fault {
		level = zap.ErrorLevel
	}
	if !g.log.Core().Enabled(level) {
		return
	}
	write, leftOut := g.refusals.admit(v.reason, time.Now())
	if !write {
		return
	}
	more := []zap.Field{
		zap.Int("status", refusal.Status), zap.String("code", refusal.Code), zap.Duration("duration", sinceStart(r)),
	}
	if leftOut > 0 {
		more = append(more, zap.Uint64("left_out", leftOut))
	}
	if cause := refusal.Unwrap(); cause != nil && v.decision == gate.Fault {
		more = append(more, zap.NamedError("cause", cause))
	}
	g.log.Log(level, "refused", v.fields(r, more...)...)
}

// logStream is a line for the beginning of a stream and one for its end.
func (g *Gate) logStream(r *http.Request, e gate.StreamEvent) {
	message := "stream begins"
	var more []zap.Field
	if e.Ended != "" {
		message = "stream has ended"
		more = []zap.Field{zap.String("ended", e.Ended), zap.Duration("lasted", e.Lasted)}
	}
	if entry := g.log.Check(zap.InfoLevel, message); entry != nil {
		v := g.verdict(gate.Allow, e.Decision.Reason, e.Decision.Route, e.Decision.Lease)
		entry.Write(v.fields(r, more...)...)
	}
}
