package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"
)

// family is a metric as operators know it. Its labels are bounded: ids of routes and
// keys, names of policies, and words of ours. A path, a client, a user, a token or an
// address never is one.
type family struct {
	name   string
	kind   prometheus.ValueType // but for a histogram
	bounds []float64            // of a histogram, in its unit; nil: it is none
	labels []string
	help   string // one sentence or two, for people
	desc   *prometheus.Desc
}

// Label names that several families have.
const (
	labelEnvironment = "environment"
	labelPolicy      = "policy"
)

// checkBounds are in seconds. A token in the cache is checked within a microsecond, a
// signature within a hundred, a look-up in the database within milliseconds.
var checkBounds = []float64{
	100e-9, 250e-9, 500e-9, 1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3,
}

// commitBounds are in seconds: from disks that lie to those that hang.
var commitBounds = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5}

func counter(name, help string, labels ...string) *family {
	return newFamily(&family{name: name, help: help, labels: labels, kind: prometheus.CounterValue})
}

func gauge(name, help string, labels ...string) *family {
	return newFamily(&family{name: name, help: help, labels: labels, kind: prometheus.GaugeValue})
}

func histogram(name, help string, bounds []float64, labels ...string) *family {
	return newFamily(&family{name: name, help: help, labels: labels, bounds: bounds})
}

// families are all that there are, in the order of the page about them.
var families = []*family{
	metricDecisions, metricDecisionDuration, metricCacheRequests, metricCacheBytes, metricCacheLimit, metricRevocations, metricRevocationsTotal, metricReuse, metricStaleness, metricStreams, metricStreamsClosed,
	metricTokensIssued, metricPolicyInfo, metricPolicyFailed, metricPolicyLoaded, metricKeyExpiry, metricWebhookDeliveries, metricShed, metricCommitDuration, metricEventsDropped, metricBuildInfo,
}

func newFamily(f *family) *family {
	f.desc = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	return f
}

// The families.
var (
	metricDecisions = counter("bearer_decisions_total",
		"Requests that the gate decided on. decision is allow, deny or error (503: nothing is known about the token); route is the id that the route has in the policy, empty where none matched. "+
			"A request that was let through and is cut before it has an answer counts a second time, as deny with a reason that begins with cut_.",
		labelEnvironment, "route", "decision", "reason")
	metricDecisionDuration = histogram("bearer_decision_duration_seconds",
		"How long the gate took to decide. One request in 16 is measured, and counts once.",
		checkBounds, labelEnvironment, "decision")
	metricCacheRequests = counter("bearer_cache_requests_total",
		"Tokens that the gate was asked about: hit, the facts were in the cache; miss, a signature was verified or the database was asked.",
		labelEnvironment, "result")
	metricCacheBytes = gauge("bearer_cache_bytes",
		"What the facts of tokens in the cache weigh.", labelEnvironment)
	metricCacheLimit = gauge("bearer_cache_limit_bytes",
		"What they may weigh: the setting cache_size.", labelEnvironment)
	metricRevocations = gauge("bearer_revocations",
		"Entries in the set of what is revoked, which is asked at each request.", labelEnvironment)
	metricRevocationsTotal = counter("bearer_revocations_total",
		"Revocations that this process put into effect, by what was revoked. Of the kinds rights and client_rights somebody may do less; of rights_given and client_rights_given somebody may do more.",
		labelEnvironment, "kind")
	metricReuse = counter("bearer_reuse_detected_total",
		"Codes and refresh tokens that came back after they had been used. What was made from them is revoked by that.", labelEnvironment)
	metricStaleness = gauge("bearer_staleness_seconds",
		"Since when a revocation that is committed waits to be put into effect. 0: none waits.", labelEnvironment)
	metricStreams = gauge("bearer_streams",
		"WebSockets, event streams and other connections taken over that are open behind a gate.", labelEnvironment)
	metricStreamsClosed = counter("bearer_streams_closed_total",
		"Streams that have ended: by themselves (ended), or cut for a reason.", labelEnvironment, "reason")
	metricTokensIssued = counter("bearer_tokens_issued_total",
		"Tokens that were issued, by the grant that they were issued for.", labelEnvironment, "grant")
	metricPolicyInfo = gauge("bearer_policy_info",
		"1. The revision of each policy that decides.", labelPolicy, "revision")
	metricPolicyFailed = gauge("bearer_policy_load_failed",
		"1 if the file of the policy is bad, so that the revision before it decides.", labelPolicy)
	metricPolicyLoaded = gauge("bearer_policy_loaded_timestamp_seconds",
		"When the revision that decides was taken over, in Unix time.", labelPolicy)
	metricKeyExpiry = gauge("bearer_signing_key_expiry_timestamp_seconds",
		"When a signing key ends, in Unix time: signing, when it stops to sign; published, when nothing that it signed can live any more, or when a key that comes next will stop; retired, when it was retired. Keys without an end are left out.",
		labelEnvironment, "key_id", "state")
	metricWebhookDeliveries = counter("bearer_webhook_deliveries_total",
		"Attempts to deliver a notification to a user's webhook, and messages that were given up (old).", labelEnvironment, "outcome")
	metricShed = counter("bearer_shed_total",
		"Work that was refused because too much of it was under way: verify, signatures; lookup, tokens in the database.", labelEnvironment, "work")
	metricCommitDuration = histogram("bearer_store_commit_duration_seconds",
		"How long the database took for each COMMIT.", commitBounds)
	metricEventsDropped = counter("bearer_events_dropped_total",
		"Events for Caddy's events app that were dropped because its handlers are too slow.")
	metricBuildInfo = gauge("bearer_build_info",
		"1. What was built.", "version", "go_version")
)

// typeName is the type in the words of Prometheus.
func (f *family) typeName() string {
	switch {
	case f.bounds != nil:
		return "histogram"
	case f.kind == prometheus.CounterValue:
		return "counter"
	}
	return "gauge"
}
