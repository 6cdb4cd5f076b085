package issuer

import (
	"net/http"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

const (
	maxScopeList  = 4 << 10 // bytes of a scope header
	maxNamedScope = 64      // bytes of a scope that a description repeats
)

// scopeHeader reads the scope request header: names separated by blanks, in the
// order in which they will be granted. A name given twice counts once.
func scopeHeader(h http.Header) ([]string, error) {
	values := h.Values("scope")
	switch {
	case len(values) > 1:
		return nil, invalidRequest("the scope header is repeated")
	case len(values) == 0 || strings.Trim(values[0], " ") == "":
		return nil, invalidRequest("the scope header is missing")
	}
	return parseScopes(values[0])
}

// parseScopes splits a list of scopes (RFC 6749 §3.3), of which more than one
// blank in between is forgiven.
func parseScopes(list string) ([]string, error) {
	if len(list) > maxScopeList {
		return nil, invalidScope("the scope list is longer than 4 KiB")
	}
	var names []string
	seen := make(map[string]bool)
	for name := range strings.SplitSeq(list, " ") {
		switch {
		case name == "" || seen[name]:
			continue
		case !isScopeToken(name):
			return nil, invalidScope("the scope list holds characters that no scope has")
		}
		seen[name] = true
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, invalidScope("the scope list is empty")
	}
	return names, nil
}

// isScopeToken knows the characters of a scope. They are among those that an
// error description may have.
func isScopeToken(name string) bool {
	for k := range len(name) {
		if c := name[k]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return name != ""
}

// checkScopes refuses scopes that do not exist and those that are too high for
// any of the ceilings. A hidden scope that is too high does not exist.
func checkScopes(p *policy.Policy, names []string, ceilings ...[]string) error {
	for _, name := range names {
		scope, known := p.Scope(name)
		allowed := known
		for _, ceiling := range ceilings {
			allowed = allowed && p.Covers(ceiling, name)
		}
		switch {
		case allowed:
		case known && !scope.Hidden:
			return invalidScope("scope %s is more than is allowed here", quoted(name))
		default:
			return unknownScope(name, p.Nearest(name))
		}
	}
	return nil
}

func unknownScope(name, nearest string) error {
	if nearest != "" && isScopeToken(nearest) {
		return invalidScope("scope %s is not known; did you mean %s?", quoted(name), quoted(nearest))
	}
	return invalidScope("scope %s is not known", quoted(name))
}

func quoted(name string) string {
	if len(name) > maxNamedScope {
		name = name[:maxNamedScope] + "..."
	}
	return "'" + name + "'"
}
