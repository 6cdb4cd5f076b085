// Package policy decides which scopes a request needs and whether a token's
// scopes suffice.
//
// A policy is one YAML (or JSON) file: the scopes that exist, the routes that
// need them, and tests of both. [Load] turns it into an immutable [Policy].
//
// # Laws
//
//  1. Default deny. A request that no route matches is denied. A route without
//     a requirement exists only where the file says "public: true".
//  2. One request, one route. Of all routes that match a request, the most
//     specific decides, as in [net/http.ServeMux]: route A is more specific
//     than B if A's methods and A's paths are both subsets of B's, and one of
//     them strictly. Two routes that overlap otherwise do not load.
//  3. Paths are segments: a literal, {name} for exactly one non-empty segment,
//     or, only at the end, {rest...} for any remainder. No regular expressions.
//     Case matters, and so does a trailing slash. GET covers HEAD.
//  4. A scope includes what it implies. The closure is taken once, at load, so
//     that holding a scope and holding what it implies never differ.
//  5. A decision is a pure function of policy, match and facts: no clock, no
//     I/O, no allocation. It carries its reason.
//  6. Missing scopes are found before an account that was not granted, so that
//     a token without the scope learns nothing about accounts.
//  7. A hidden scope is never named to anybody: not as missing, not as a
//     suggestion. Only [Policy.Explain] and the findings name it, to those who
//     have the file.
//  8. A file that is not understood completely is refused: an unknown key, a
//     setting without effect, an ambiguity. Each finding has file, line, column.
//
// # Use
//
//	p, err := policy.Load("trading.yaml", src)
//	m, ok := p.Match(r.Method, r.URL.Path) // the path was checked by the caller
//	if !ok { ... }                         // law 1
//	d := p.Decide(&m, policy.Facts{Scopes: p.Set(names), Accounts: accounts})
//	if !d.Allow { ... p.Missing(&m, set) ... }
//
// A [Set] is bits of one policy; any other policy reads it as empty. Keep scope
// names in what outlives a policy, and compute the set again after a swap.
//
// # The file
//
//	version: 1
//	cors: {origins: ["https://app.test"], headers: [authorization], max_age: 10m}
//	scopes:
//	  read:eft:  {title: See EFT payments, risk: read}
//	  write:eft: {title: Send EFT payments, risk: withdraw}
//	  all:eft:   {title: All of EFT, risk: withdraw, implies: [read:eft, write:eft]}
//	  admin:eft: {title: EFT desk, risk: admin, hidden: true}
//	routes:
//	  - id: send-eft
//	    match: {methods: [POST], path: "/v1/accounts/{account}/eft"}
//	    require:
//	      any_of: [[write:eft], [admin:eft]]  # or scopes: [a, b], which needs all
//	      bind: {account: token.account}      # {account} is one of the token's accounts
//	    credentials: [header]                 # the default; also subprotocol
//	    cors: {origins: []}                   # for no page of another origin
//	  - id: health
//	    match: {methods: [GET], path: /health}
//	    public: true
//	tests:
//	  - {request: "POST /v1/accounts/1/eft", scopes: [all:eft], accounts: ["1"], expect: allow}
//	  - {request: "POST /v1/accounts/1/eft", scopes: [read:eft], expect: deny, missing: [[write:eft]]}
//
// Routes may also come from elsewhere: see [Policy.WithRoutes].
//
// Anchors, aliases, merge keys, tags and several documents are refused: what a
// reviewer reads is what is enforced.
package policy
