// Package gate decides, before a reverse proxy, whether a request may go on,
// and ends it when its token does.
//
// # Laws
//
//  1. What cannot be judged is refused. A path that two parsers could read
//     differently, a second credential, a Connection header that would make the
//     proxy delete our own headers: 400, never a guess.
//  2. A name that the upstream trusts is ours alone. Every inbound header or
//     trailer that could pass for an identity header is deleted, in each
//     spelling that some server folds to it, and then all of them are set,
//     empty ones too.
//  3. A request rides first and is judged afterwards, under a policy that was
//     loaded after it joined. So a revocation or a policy that comes in between
//     finds the rider, or the judgement finds it.
//  4. It fails closed. What cannot be found out is 503; no error of the
//     authority ever becomes a pass.
//  5. After the cut no byte passes, in either direction, except the farewell of
//     the protocol: a close frame between two frames, an event after an event.
//
// # The eight steps
//
// Each is one function: sanitize (1), judgePath (2), match (3), credential (4),
// prove (5), judge (6), decide (7), forward (8). Gate.check is steps 2 to 7,
// and allocates nothing for a token that is in the cache. A personal token is
// asked two questions more (limits.go): from where, after step 6, and how
// often, after step 7.
//
// A browser's question what a page may send (CORS) is answered before all that,
// if the policy says who may (cors.go). What is larger than the limits is refused
// before anything is read of it (size.go).
//
// # Riding
//
// An allowed request is served by the next handler with a derived context, which
// ends when the token does, and a response writer that knows streams. See
// exchange.go, response.go, stream.go (events), frames.go and conn.go (WebSocket).
package gate
