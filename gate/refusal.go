package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// The codes of problem documents. Each has a page of its own: the prefix
// Options.Problems with the code's underscores as hyphens.
const (
	CodeInvalidRequest    = "invalid_request"         // 400
	CodeNoCredentials     = "no_credentials"          // 401
	CodeInvalidToken      = "invalid_token"           // 401
	CodeInsufficientScope = "insufficient_scope"      // 403
	CodeAccountNotGranted = "account_not_granted"     // 403
	CodeAddressNotAllowed = "address_not_allowed"     // 403
	CodeOriginNotAllowed  = "origin_not_allowed"      // 403
	CodeNoRoute           = "no_route"                // 403
	CodeMethodNotAllowed  = "method_not_allowed"      // 405
	CodeContentTooLarge   = "content_too_large"       // 413
	CodeURITooLong        = "uri_too_long"            // 414
	CodeRateLimited       = "rate_limited"            // 429
	CodeTooManyInvalid    = "too_many_invalid_tokens" // 429
	CodeHeaderTooLarge    = "header_too_large"        // 431
	CodeUnavailable       = "temporarily_unavailable" // 503
)

// retryAfter is what a 503 asks for: the store is back, or busy, within that.
const retryAfter = time.Second

// flaw is a reason for a refusal that is the same for every request. Code goes
// to clients, reason to logs and metrics.
type flaw struct {
	status    int
	code      string
	reason    string
	title     string
	detail    string
	challenge bool // send WWW-Authenticate, with an error unless the code is no_credentials
}

// The flaws. Their reasons, those of token.Invalid and the token.Verdict words
// are all values that Refusal.Reason can have, with "cut" before the latter
// where an exchange was ended.
var (
	flawConnection = malformed("connection_header", "The Connection header may name close, keep-alive, upgrade, te and http2-settings only.")
	flawMethod     = malformed("method", "The method is not an upper-case word.")
	flawTarget     = malformed("target", "The request target must be a path, or a URL with one and without userinfo.")
	flawPath       = malformed("path", "The path can be read in more than one way: it has dot segments, empty segments, an encoded separator, or bytes that are not UTF-8 text.")

	flawConnect = &flaw{status: http.StatusMethodNotAllowed, code: CodeMethodNotAllowed, reason: "connect",
		title: "The method is not allowed", detail: "CONNECT is accepted for WebSocket over HTTP/2 and HTTP/3 only."}
	flawTooLong = &flaw{status: http.StatusRequestURITooLong, code: CodeURITooLong, reason: "path_length",
		title: "The path is too long", detail: "A path may have 8192 bytes."}

	flawTwo       = ambiguous("two_credentials", "Send one token, in one place.")
	flawMalformed = ambiguous("malformed_credential", "The header must be Authorization: Bearer TOKEN, with one blank and nothing after the token.")

	flawNone   = anonymous("no_credentials", "This route needs a token: Authorization: Bearer TOKEN.")
	flawScheme = anonymous("scheme", "This route needs the scheme Bearer: Authorization: Bearer TOKEN.")
	flawPlace  = anonymous("not_in_subprotocol", "This route takes its token from a WebSocket handshake alone: Sec-WebSocket-Protocol: bearer, TOKEN.")
	flawQuery  = anonymous("query_token", "A token in the URL is not accepted. Send Authorization: Bearer TOKEN.")

	flawInvalid = &flaw{status: http.StatusUnauthorized, code: CodeInvalidToken,
		title: "The token is not valid", challenge: true, detail: "The token is not valid here."}
	flawAlien = &flaw{status: http.StatusUnauthorized, code: CodeInvalidToken, reason: string(token.ReasonMalformed),
		title: "The token is not valid", challenge: true, detail: "The token has characters that no token has."}
	flawScope = &flaw{status: http.StatusForbidden, code: CodeInsufficientScope, reason: CodeInsufficientScope,
		title: "The token lacks a scope", challenge: true}
	flawAccount = &flaw{status: http.StatusForbidden, code: CodeAccountNotGranted, reason: CodeAccountNotGranted,
		title: "The token is not for this account", detail: "The token was not granted for the account that the path names."}
	flawNoRoute = &flaw{status: http.StatusForbidden, code: CodeNoRoute, reason: CodeNoRoute,
		title: "No route allows this request", detail: "The policy has no route for this method and path."}

	flawAddress = &flaw{status: http.StatusForbidden, code: CodeAddressNotAllowed, reason: CodeAddressNotAllowed,
		title: "The token may not be used from here", detail: "The token has a list of networks that it may be used from, and the address of this request is in none of them."}
	flawOrigin = &flaw{status: http.StatusForbidden, code: CodeOriginNotAllowed, reason: CodeOriginNotAllowed,
		title: "The page may not use this route", detail: "The policy names the origins whose pages may use this route, and the page's is none of them."}
	flawRate = &flaw{status: http.StatusTooManyRequests, code: CodeRateLimited, reason: CodeRateLimited,
		title: "The token is used too often"}

	flawFailures = &flaw{status: http.StatusTooManyRequests, code: CodeTooManyInvalid, reason: "failed_tokens",
		title: "Too many tokens from this address were not valid", detail: "Tokens of this address are looked at slowly, because too many were none of ours. This one was not looked at."}

	flawOverloaded = unavailable("overloaded", "Whether the token is valid was not found out, because too many others are to be looked at.")

	flawStore   = unavailable("store", "Whether the token is valid cannot be found out at the moment.")
	flawRights  = unavailable("rights", "The rights of the token are being changed.")
	flawFault   = unavailable("fault", "Whether the token is valid cannot be found out at the moment.")
	flawUnready = unavailable("not_ready", "The server is starting.")
	flawEnding  = unavailable("cut_shutdown", "The server is shutting down.")
)

func malformed(reason, detail string) *flaw {
	return &flaw{status: http.StatusBadRequest, code: CodeInvalidRequest, reason: reason, title: "The request cannot be judged", detail: detail}
}

func ambiguous(reason, detail string) *flaw {
	f := malformed(reason, detail)
	f.challenge = true
	return f
}

func anonymous(reason, detail string) *flaw {
	return &flaw{status: http.StatusUnauthorized, code: CodeNoCredentials, reason: reason, title: "No token was presented", detail: detail, challenge: true}
}

func unavailable(reason, detail string) *flaw {
	return &flaw{status: http.StatusServiceUnavailable, code: CodeUnavailable, reason: reason, title: "Try again", detail: detail}
}

// Refusal is the error for a request that was refused. Nothing in it comes from
// the token, nor from the request except its method.
type Refusal struct {
	Status int
	Code   string // one of the Code constants
	Reason string // more exact, for logs and metrics; the set is closed
	Title  string
	Detail string
	// Missing are, with insufficient_scope, the alternatives that would do, each
	// with the scopes that the token lacks. Hidden scopes are not named.
	Missing    [][]string
	RetryAfter time.Duration // 0: none
	Route      *policy.Route // nil: none was matched
	Lease      *token.Lease  // nil: no token was proven

	challenge string // empty: none
	quota     token.Quota
	cors      *policy.CORS // what the policy says of pages; nil: nothing
	origin    string       // of the page that asked
	problems  string
	requestID string
	closes    bool
	cause     error
}

// Decision is Fault if nothing is known about the token, or too much is asked of the
// server, and Deny otherwise.
func (f *Refusal) Decision() string {
	if f.Status >= http.StatusInternalServerError {
		return Fault
	}
	return Deny
}

// Error is for logs.
func (f *Refusal) Error() string {
	s := fmt.Sprintf("%d %s: %s", f.Status, f.Code, f.Reason)
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

// Unwrap returns what went wrong with a request that could not be judged, or
// the error of next for one that was cut.
func (f *Refusal) Unwrap() error { return f.cause }

func (g *Gate) refuse(r *http.Request, f *flaw) *Refusal {
	refusal := &Refusal{
		Status: f.status, Code: f.code, Reason: f.reason, Title: f.title, Detail: f.detail,
		problems: g.problems, closes: g.closes(r, f),
	}
	if f.status == http.StatusServiceUnavailable {
		refusal.RetryAfter = retryAfter
	}
	if g.requestID != nil {
		refusal.requestID = g.requestID(r)
	}
	if f.challenge {
		refusal.challenge = g.challenge
		if f.code != CodeNoCredentials {
			refusal.challenge += ", error=" + quote(f.code)
		}
		if f.status == http.StatusUnauthorized && g.resource != nil {
			refusal.challenge += ", resource_metadata=" + quote(g.resource.metadata) // RFC 9728 §5.1
		}
	}
	return refusal
}

// closes reports whether a refusal of r ends its connection: over HTTP/1.0, while
// the rest of a body that is too large is still to come, and when a body waits to be
// asked for (RFC 9110 §10.1.1). In an open connection that would be asked for and
// read before the client hears anything.
func (g *Gate) closes(r *http.Request, f *flaw) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || f == g.sizes.body || len(r.Header["Expect"]) > 0)
}

// RefuseUnready counts a request that somebody else answers with 503, because there
// is nothing yet to judge it by.
func (g *Gate) RefuseUnready(r *http.Request) { g.counts.Refuse(g.refuse(r, flawUnready)) }

func (f *Refusal) because(err error) *Refusal {
	f.cause = err
	return f
}

// refuseInvalid answers for a token that was not accepted. What is wrong with
// it is told to none but its owner.
func (g *Gate) refuseInvalid(r *http.Request, invalid *token.Invalid) *Refusal {
	refusal := g.refuse(r, flawInvalid).because(invalid)
	refusal.Reason = string(invalid.Reason)
	if invalid.Reason == token.ReasonSize {
		refusal.Detail = "The token is longer than any of ours."
	}
	if invalid.Proven && invalid.Detail != "" {
		refusal.Detail = "The token is not valid: " + invalid.Detail + "; server time " + stamp(g.now()) + "."
	}
	return refusal
}

// refuseVerdict answers for a token that was proven to be ours and is dead.
func (g *Gate) refuseVerdict(r *http.Request, v token.Verdict, lease *token.Lease, now time.Time) *Refusal {
	refusal := g.refuse(r, flawInvalid)
	refusal.Reason = v.String()
	switch v {
	case token.Expired:
		refusal.Detail = fmt.Sprintf("The token expired %d s ago, server time %s.",
			max(0, now.Unix()-lease.Expires.Unix()), stamp(now))
	case token.Revoked:
		refusal.Detail = "The token was revoked."
	case token.RightsChanged:
		refusal.Detail = "The rights behind the token have changed: renew it."
	case token.Live, token.Stale: // are not refused
	}
	return refusal
}

// refuseScope names what the token lacks: the first alternative in the
// challenge, which has room for one, and all of them in the body.
func (g *Gate) refuseScope(r *http.Request, what string, missing [][]string) *Refusal {
	refusal := g.refuse(r, flawScope)
	refusal.Missing = missing
	needs := "a scope that the token lacks"
	if len(missing) > 0 {
		refusal.challenge += ", scope=" + quote(strings.Join(missing[0], " "))
		alternatives := make([]string, len(missing))
		for i, scopes := range missing {
			alternatives[i] = strings.Join(scopes, " ")
		}
		needs = strings.Join(alternatives, ", or ")
	} else {
		refusal.Missing = [][]string{}
	}
	refusal.Detail = what + " needs " + needs
	return refusal
}

// refuseCut answers for an exchange that was cut before it had an answer.
func (g *Gate) refuseCut(r *http.Request, cause token.Cause, err error) *Refusal {
	var refusal *Refusal
	switch cause {
	case token.CauseShutdown:
		refusal = g.refuse(r, flawEnding)
	case token.CauseForbidden:
		refusal = g.refuse(r, flawNoRoute)
		refusal.Reason, refusal.Detail = "cut_forbidden", "The policy changed and no longer allows this request."
	case causeBody:
		refusal = g.refuse(r, g.sizes.body)
	default:
		refusal = g.refuse(r, flawInvalid)
		refusal.Reason = "cut_" + eventOf(cause)
		refusal.Detail = "The request was ended: " + string(cause) + "."
	}
	return refusal.because(err)
}

// SetHeaders sets the headers of the answer, and removes those that describe
// another body.
func (f *Refusal) SetHeaders(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Trailer"} {
		delete(h, name)
	}
	h.Set("Cache-Control", "no-store")
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	setQuota(h, &f.quota)
	setCORS(h, f.cors, f.origin)
	if f.Status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if f.closes {
		h.Set("Connection", "close")
	}
}

// problem is the body (RFC 9457).
type problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      string     `json:"code"`
	Detail    string     `json:"detail"`
	Missing   [][]string `json:"missing,omitzero"`
	RequestID string     `json:"request_id,omitempty"`
}

// Respond writes the answer.
func (f *Refusal) Respond(w http.ResponseWriter, r *http.Request) {
	doc := problem{
		Type: "about:blank", Title: f.Title, Status: f.Status, Code: f.Code,
		Detail: f.Detail, Missing: f.Missing, RequestID: f.requestID,
	}
	if f.problems != "" {
		doc.Type = f.problems + strings.ReplaceAll(f.Code, "_", "-")
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings and integers can always be encoded
	}
	body = append(body, '\n')
	f.SetHeaders(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may have gone; nobody is left to tell
	}
}

// quote returns s as a quoted-string that every client can read: what is not
// printable ASCII becomes a question mark.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, byte(c))
		}
	}
	return string(append(b, '"'))
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
