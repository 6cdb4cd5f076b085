// Package issuer is the authorization server: the endpoints at which programs
// get, renew and end tokens. It is plain net/http.
//
// # Laws
//
//  1. One file is one endpoint or one grant; each parses, then authenticates,
//     then acts, then answers. Nothing is consumed before the request was
//     understood completely and its client is known.
//  2. An error is an *oauthError or is internal. Only handle turns one into an
//     answer; what caused it goes to the log and never to the client.
//  3. Unknown, wrong and disabled are one answer at one price.
//  4. A token is signed after the transaction that allows it has committed.
//  5. Nothing is taken from the query or derived from the Host header.
//  6. A log line holds no secret, no token, no code and no raw header.
//
// # Endpoints
//
// All are below the path of the issuer's URL, but for the metadata, whose
// well-known prefix comes before that path (RFC 8414 §3):
//
//	GET POST /api/v1/s2s-oauth2/code                  s4_code.go
//	GET POST /api/v1/s2s-oauth2/token                 s4_token.go, refresh.go
//	POST     /oauth2/token                            token.go, client_credentials.go, refresh.go (RFC 6749)
//	POST     /oauth2/introspect                       introspect.go (RFC 7662)
//	POST     /oauth2/revoke                           revoke.go     (RFC 7009)
//	GET      /oauth2/jwks                             jwks.go       (RFC 7517)
//	GET      /token/self                              self.go       (RFC 6750)
//	GET POST /oauth2/authorize                        authorize.go, consent.go (RFC 6749 §4.1)
//	POST     /trading/token                           trading_token.go
//	GET POST /connect                                 connect.go
//	POST     /auth/ExchangeToken                      exchange.go
//	POST     /users/DelinkUser                        exchange_delink.go
//	GET      /.well-known/oauth-authorization-server  metadata.go   (RFC 8414)
//	GET      /problems/{code}                         problems.go   (RFC 9457 §3.1.1)
//
// The pages for people:
//
//	GET      /                                        home.go
//	GET POST /login, /logout                          signin.go, login_oidc.go (with /login/callback)
//	GET POST /settings/…                              security.go, connected.go, activity.go, integrations.go, notifications.go
//	GET POST /applications/…, /static-tokens/…        application.go, application_own.go, statictoken.go
//	GET      /developer                               developer.go
//	GET POST /trading/tokens/…                        trading.go
//
// The first two are the bank's server-to-server dialect. What is odd about it
// (a GET with a form body, credentials and scope in headers of their own, Basic
// that is not form-decoded) is odd on purpose: its users' programs exist.
//
// # Errors
//
// They are those of RFC 6749 §5.2. Two more codes are needed there and taken
// from §4.1.2.1: temporarily_unavailable, with 503 if the store cannot answer
// and with 429 if somebody has to slow down (both with Retry-After), and
// server_error, with 500. At /token/self there is invalid_token of RFC 6750 §3.1,
// and the gate's address_not_allowed with 403. The access code exchange has a form
// of its own for the same errors (exchange_json.go), and people see pages.
package issuer
