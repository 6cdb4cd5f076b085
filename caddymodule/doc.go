// Package caddymodule makes caddy-bearer a part of Caddy. It is the only
// package that imports Caddy.
//
// The app "bearer" owns the configuration. What must outlive a reload (store,
// keys, policies, caches, the record of what is revoked, live streams) belongs
// to a runtime, which all configurations that name the same store share. The
// handlers bearer_gate, bearer_issuer and bearer_health borrow from it.
//
//	New → JSON → Provision   policies are read and checked; nothing is opened
//	Start                    the store is opened once; settings and declared
//	                         rows are applied; the app becomes the live one
//	Stop                     the last configuration's streams are cut, or, if a
//	                         sibling app failed to start, its predecessor's
//	                         settings are applied again
//	Cleanup                  gives back the runtime
//
// What operators see is of the runtime, too, and goes on over a reload: metrics
// (metrics.go says which, collector.go collects them), events for Caddy's events
// app (events.go), the audit trail (trail.go).
package caddymodule
