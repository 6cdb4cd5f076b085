// Package token makes, judges and kills the tokens of one environment.
//
// # Laws
//
//  1. A cached value is facts about a token, never a verdict. Whether a token
//     lives is asked of the exact revocation set at each request.
//  2. A request rides first and is judged afterwards. So a revocation that
//     comes in between finds the rider, or the judgement finds the revocation.
//  3. There is one way to kill: Authority.Revoke. The store commits; then, in
//     commit order and before the caller is woken, Authority.Apply enters the
//     revocation in the set, raises the generation and sweeps the riders.
//  4. Losing the cache costs speed and nothing else.
//
// # Parts
//
// RootKey and Keyring derive every key in use. ParseOpaque and SigningKeys
// verify strictly. Authority joins them with the cache (cache.go), the exact
// set (revoked.go), the leases (lease.go) and the riders (riders.go). What
// limits personal tokens is in personal.go, rate.go and used.go. What strangers
// can make it work is bounded: how much at a time (work.go), how often for
// nothing (failures.go), and twice for the same (refused.go).
//
// The package knows nothing of HTTP: an exchange under way is a Rider, and how
// it is cut is the gate's business.
package token
