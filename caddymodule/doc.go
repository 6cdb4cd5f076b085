// Package caddymodule makes caddy-bearer a part of Caddy. It is the only
// package that imports Caddy.
//
// The app "bearer" owns the configuration. What must outlive a reload (store,
// keys, policies, caches, the record of what is revoked, live streams) belongs
// to a runtime, which all configurations that name the same store share. The
// handlers bearer_gate and bearer_issuer borrow from it.
//
//	New → JSON → Provision   policies are read and checked; nothing is opened
//	Start                    the store is opened once; settings and declared
//	                         rows are applied; the app becomes the live one
//	Stop                     the last configuration's streams are cut, or, if a
//	                         sibling app failed to start, its predecessor's
//	                         settings are applied again
//	Cleanup                  gives back the runtime
package caddymodule
