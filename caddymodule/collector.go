package caddymodule

import (
	"cmp"
	"errors"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// metricsCollector tells Prometheus what a runtime knows, when it asks: counting so costs
// nothing but the counters that the rooms have anyway. It belongs to the runtime, so
// what was counted outlives a reload, for which Caddy makes another registry.
type metricsCollector struct{ rt *runtime }

// registerMetrics enters the runtime's metrics into the registry of a configuration.
func registerMetrics(registry *prometheus.Registry, rt *runtime) error {
	err := registry.Register(metricsCollector{rt})
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (c metricsCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector. Nothing in it waits for the store.
func (c metricsCollector) Collect(out chan<- prometheus.Metric) {
	metricBuildInfo.send(out, 1, builtVersion, goruntime.Version())
	app := c.rt.applied.Load()
	if app == nil {
		return // nothing serves yet
	}
	routes := c.rt.policies.collect(out)
	c.rt.commits.send(out, metricCommitDuration)
	metricEventsDropped.send(out, float64(c.rt.events.dropped.Load()))
	for _, name := range sortedKeys(app.Environments) {
		w, env := c.rt.worlds[name], string(name)
		w.seen.decisions.Forget(func(route string) bool { return routes[route] })
		w.collectDecisions(out, env)
		w.collectTokens(out, env)
		w.collectKeys(out, env)
		c.rt.collectDeliveries(out, name)
	}
}

// send sends the present value, for values of the labels in their order.
func (f *family) send(out chan<- prometheus.Metric, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// collectDecisions is what the gates do.
func (w *world) collectDecisions(out chan<- prometheus.Metric, env string) {
	counts := w.seen.decisions
	for kind, n := range counts.Decisions() {
		metricDecisions.send(out, float64(n), env, kind.Route, kind.Decision, kind.Reason)
	}
	for decision, took := range w.seen.took {
		took.send(out, metricDecisionDuration, env, decision)
	}
	hits, misses := counts.Tokens()
	metricCacheRequests.send(out, float64(hits), env, "hit")
	metricCacheRequests.send(out, float64(misses), env, "miss")
	metricStreams.send(out, float64(counts.Streams()), env)
	for reason, n := range counts.StreamsEnded() {
		metricStreamsClosed.send(out, float64(n), env, reason)
	}
}

// collectTokens is what is known, issued and revoked.
func (w *world) collectTokens(out chan<- prometheus.Metric, env string) {
	used, limit := w.authority.CacheUse()
	metricCacheBytes.send(out, float64(used), env)
	metricCacheLimit.send(out, float64(limit), env)
	metricRevocations.send(out, float64(w.authority.Revocations()), env)
	metricStaleness.send(out, w.seen.staleness(time.Now()).Seconds(), env)
	for kind, n := range w.seen.revoked {
		metricRevocationsTotal.send(out, float64(n.Load()), env, string(kind))
	}
	metricReuse.send(out, float64(w.seen.reused.Load()), env)
	verify, lookup := w.authority.Work()
	metricShed.send(out, float64(verify.Shed), env, "verify")
	metricShed.send(out, float64(lookup.Shed), env, "lookup")
	for grant, n := range w.seen.issued {
		metricTokensIssued.send(out, float64(n.Load()), env, grant)
	}
}

func (w *world) collectKeys(out chan<- prometheus.Metric, env string) {
	words := map[token.KeyState]string{
		token.KeyFuture: "published", token.KeySigning: "signing", token.KeyVerifying: "published", token.KeyRetired: "retired",
	}
	for id, end := range w.authority.KeyEnds() {
		metricKeyExpiry.send(out, float64(end.Ends.Unix()), env, id, words[end.State])
	}
}

func (rt *runtime) collectDeliveries(out chan<- prometheus.Metric, env store.Environment) {
	counted := rt.notifier.Deliveries(env)
	for _, outcome := range notify.Outcomes() {
		metricWebhookDeliveries.send(out, float64(counted[outcome]), string(env), string(outcome))
	}
}

// collect is what is in force. It returns the ids of all routes that decide.
func (p *policies) collect(out chan<- prometheus.Metric) (routes map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	routes = map[string]bool{}
	for name, slot := range p.slots {
		present := slot.present.Load()
		if present == nil {
			continue
		}
		failed := 0.0
		if slot.bad() {
			failed = 1
		}
		metricPolicyInfo.send(out, 1, name, present.policy.Revision())
		metricPolicyFailed.send(out, failed, name)
		metricPolicyLoaded.send(out, float64(slot.since.Load())/1e9, name)
		for _, route := range present.policy.Routes() {
			routes[route.ID] = true
		}
	}
	for _, slot := range p.routes {
		if present := slot.get(); present != nil {
			for _, route := range present.Routes() {
				routes[route.ID] = true
			}
		}
	}
	return routes
}

// builtVersion is the version of this module in the program that runs.
var builtVersion = func() string {
	const ours, unknown = "github.com/caddy-bearer/caddy-bearer", "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == ours {
			return cmp.Or(module.Version, unknown)
		}
	}
	return unknown
}()

var _ prometheus.Collector = metricsCollector{}
