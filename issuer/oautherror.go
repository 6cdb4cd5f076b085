package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Error codes of RFC 6749 §5.2; the last two are those of §4.1.2.1, and
// /token/self has one of its own (self.go).
const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidClient        = "invalid_client"
	codeInvalidGrant         = "invalid_grant"
	codeInvalidScope         = "invalid_scope"
	codeUnauthorizedClient   = "unauthorized_client"
	codeUnsupportedGrantType = "unsupported_grant_type"
	codeUnavailable          = "temporarily_unavailable"
	codeServerError          = "server_error"
)

// oauthError is an answer other than success. Code and description go out,
// cause stays inside. It names no secret, and of what the client sent at most a
// scope (see scopes.go): the description's characters are those of RFC 6749
// §5.2, which has neither double quote nor backslash.
type oauthError struct {
	status      int
	code        string
	description string

	// People, on pages, are told a text of the catalogue, in their language, with the
	// values that stand in it. Empty: they read the description.
	text   string
	values []any

	challenge  string        // WWW-Authenticate (RFC 9110 §11.6.1); empty: none
	retryAfter time.Duration // 0: do not say
	allow      string        // with 405

	cause error
}

func (e *oauthError) Error() string { return e.code + ": " + cmp.Or(e.description, e.text) }

func (e *oauthError) Unwrap() error { return e.cause }

// response is the answer in the form of RFC 6749 §5.2.
func (e *oauthError) response() response {
	answer, err := jsonResponse(e.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitzero"`
	}{e.code, e.description})
	if err != nil {
		panic(err) // two plain strings
	}
	answer.header = make(map[string]string)
	if e.challenge != "" {
		answer.header["WWW-Authenticate"] = e.challenge
	}
	if e.retryAfter > 0 {
		seconds := (e.retryAfter + time.Second - 1) / time.Second
		answer.header["Retry-After"] = strconv.FormatInt(int64(seconds), 10)
	}
	if e.allow != "" {
		answer.header["Allow"] = e.allow
	}
	return answer
}

// pageError is an error that people alone meet: it has a text for them, and no
// description.
func pageError(status int, code, text string, values ...any) *oauthError {
	return &oauthError{status: status, code: code, text: text, values: values}
}

// because adds the cause, which stays inside.
func (e *oauthError) because(cause error) *oauthError {
	e.cause = cause
	return e
}

// oauthRefusal is an error that has no other status than 400.
func oauthRefusal(code, description string) error {
	return &oauthError{status: http.StatusBadRequest, code: code, description: description}
}

func invalidRequest(format string, args ...any) error {
	return oauthRefusal(codeInvalidRequest, fmt.Sprintf(format, args...))
}

func invalidGrant(description string, cause error) error {
	return &oauthError{status: http.StatusBadRequest, code: codeInvalidGrant, description: description, cause: cause}
}

func invalidScope(format string, args ...any) error {
	return oauthRefusal(codeInvalidScope, fmt.Sprintf(format, args...))
}

// errInvalidClient is the one answer to credentials that are unknown, wrong or
// of somebody disabled. It challenges even where the credentials came in headers
// of their own: no 401 goes without (RFC 9110 §15.5.2).
var errInvalidClient error = &oauthError{
	status: http.StatusUnauthorized, code: codeInvalidClient, challenge: `Basic realm="oauth2", charset="UTF-8"`,
	description: "the credentials are not valid",
}

// errNoAssertions is the answer to a client that authenticates by private_key_jwt
// or client_secret_jwt (RFC 7523), which nobody here is registered for.
var errNoAssertions error = &oauthError{
	status: http.StatusUnauthorized, code: codeInvalidClient, challenge: `Basic realm="oauth2", charset="UTF-8"`,
	description: "client_assertion is not supported",
}

func methodNotAllowed(allow string) error {
	return &oauthError{status: http.StatusMethodNotAllowed, code: codeInvalidRequest, description: "use " + allow, allow: allow}
}

func slowDown(wait time.Duration) error {
	return &oauthError{
		status: http.StatusTooManyRequests, code: codeUnavailable, retryAfter: max(wait, time.Second),
		description: "too many attempts with wrong credentials: try again later", text: "error.says.throttled",
	}
}

// asOAuthError finds the answer to any error.
func asOAuthError(err error) *oauthError {
	var known *oauthError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, token.ErrBusy):
		return &oauthError{
			status: http.StatusTooManyRequests, code: codeUnavailable, retryAfter: time.Second,
			description: "too many secrets are being checked: try again later", text: "error.says.busy", cause: err,
		}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &oauthError{
			status: http.StatusServiceUnavailable, code: codeUnavailable, retryAfter: time.Second,
			description: "not available now: try again later", text: "error.says.unavailable", cause: err,
		}
	}
	return &oauthError{
		status: http.StatusInternalServerError, code: codeServerError,
		description: "internal error", text: "error.says.internal", cause: err,
	}
}
