package caddymodule

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	maxAdminBody = 64 << 10 // bytes
	maxText      = 200      // bytes of a name or a reason
)

// decode reads the body, of which nothing may be left over: a member that is
// misspelt would otherwise change nothing without a word.
func (c *adminCall) decode(into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.request.Body, maxAdminBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d KiB", maxAdminBody>>10)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body could not be read")
	}
	if media, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "the body must be of Content-Type application/json")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return refuse(http.StatusBadRequest, "the body is not what is expected here: %v", err)
	}
	return nil
}

// decodeReason reads the body of a call that needs none but may say why.
func (c *adminCall) decodeReason() (string, error) {
	if c.request.ContentLength == 0 {
		return defaultReason, nil
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := c.decode(&in); err != nil {
		return "", err
	}
	return checkReason(in.Reason)
}

// defaultReason is what a revocation says when the operator gave no reason.
const defaultReason = "by an operator"

func checkReason(reason string) (string, error) {
	if reason == "" {
		return defaultReason, nil
	}
	return reason, checkText("reason", reason)
}

// checkText refuses what could not stand in a line of a log or a table.
func checkText(what, text string) error {
	if len(text) > maxText {
		return refuse(http.StatusBadRequest, "%s of %d bytes; at most %d", what, len(text), maxText)
	}
	for _, c := range text {
		if !unicode.IsPrint(c) {
			return refuse(http.StatusBadRequest, "%s %q: only printable characters", what, text)
		}
	}
	return nil
}

// checkNewID refuses an id that a new record should not have.
func (c *adminCall) checkNewID(what, id string) error {
	if err := checkID(what, id, map[string]bool{}); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if id == "." || id == ".." {
		return refuse(http.StatusBadRequest, "%s id %q: no path could name it", what, id)
	}
	if what != accounts.word {
		if err := refuseBuiltIn(id); err != nil {
			return refuse(http.StatusConflict, "%v", err)
		}
	}
	if c.env == store.Production {
		if err := refusePublishedID(id); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
	}
	return nil
}

// checkScopes refuses scopes that the environment's policy does not define.
func (c *adminCall) checkScopes(scopes []string) error {
	vocabulary := c.vocabulary()
	if vocabulary == nil {
		return refuse(http.StatusConflict, "environment %s has no policy at present, so no scope is known", c.env)
	}
	if err := checkScopes(vocabulary, scopes); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	for i, scope := range scopes {
		if slices.Contains(scopes[:i], scope) {
			return refuse(http.StatusBadRequest, "scope %q is named twice", scope)
		}
	}
	return nil
}

func (c *adminCall) vocabulary() *policy.Policy {
	return c.app.runtime.policies.slot(c.app.Environments[c.env].Policy).get()
}

// query returns the parameters of a list. One that is not known, or that cannot
// be read, is refused: without it more would be listed than was asked for.
func (c *adminCall) query(known ...string) (map[string]string, error) {
	asked, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query is not well-formed; separate parameters by &, and percent-encode what stands in them")
	}
	given := map[string]string{}
	for name, values := range asked {
		if !slices.Contains(known, name) || len(values) != 1 {
			return nil, refuse(http.StatusBadRequest, "query parameter %q is unknown or stands twice; known: %s", name, strings.Join(known, ", "))
		}
		given[name] = values[0]
	}
	return given, nil
}

// listQuery returns the filters of a list, whether what is left out otherwise is
// asked for too, and how long the list may be.
func (c *adminCall) listQuery(filters ...string) (asked map[string]string, all bool, limit int, err error) {
	if asked, err = c.query(append(filters, "all", "limit")...); err != nil {
		return nil, false, 0, err
	}
	if limit, err = parseLimit(asked["limit"]); err != nil {
		return nil, false, 0, err
	}
	all, err = parseAll(asked["all"])
	return asked, all, limit, err
}

// Lists that grow without end are cut.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func parseLimit(given string) (int, error) {
	if given == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(given)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, refuse(http.StatusBadRequest, "limit %q: expected a number from 1 to %d", given, maxLimit)
	}
	return limit, nil
}

// parseAll reads the parameter of a list that leaves most out.
func parseAll(given string) (bool, error) {
	if given == "" {
		return false, nil
	}
	all, err := strconv.ParseBool(given)
	if err != nil {
		return false, refuse(http.StatusBadRequest, "all %q: expected true or false", given)
	}
	return all, nil
}
