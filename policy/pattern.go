package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxParams is how many wildcards one route may have: the captured values fit
// an array in [Match], so matching allocates nothing.
const maxParams = 8

type segmentKind uint8

const (
	literalSegment segmentKind = iota
	paramSegment               // {name}: exactly one non-empty segment
	restSegment                // {name...}: what remains, last only
)

// segment is one part of a path pattern. A pattern that ends with a slash has
// an empty literal as its last segment.
type segment struct {
	kind segmentKind
	text string // the literal, or the wildcard's name
}

// parsePattern splits a path pattern into segments.
func parsePattern(pattern string) ([]segment, error) {
	if err := checkPath(pattern); err != nil {
		return nil, err
	}
	var segments []segment
	var params []string
	parts := strings.Split(pattern[1:], "/")
	for i, part := range parts {
		s, err := parseSegment(part)
		if err != nil {
			return nil, err
		}
		if s.kind == restSegment && i != len(parts)-1 {
			return nil, fmt.Errorf("{%s...} may only be the last segment", s.text)
		}
		if s.kind != literalSegment {
			if slices.Contains(params, s.text) {
				return nil, fmt.Errorf("wildcard name %q is used twice", s.text)
			}
			params = append(params, s.text)
		}
		segments = append(segments, s)
	}
	if len(params) > maxParams {
		return nil, fmt.Errorf("%d wildcards; a route may have at most %d", len(params), maxParams)
	}
	return segments, nil
}

func parseSegment(part string) (segment, error) {
	if !strings.ContainsAny(part, "{}") {
		return segment{literalSegment, part}, nil
	}
	inner, opened := strings.CutPrefix(part, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || strings.ContainsAny(inner, "{}") {
		return segment{}, fmt.Errorf("%q: a wildcard is a whole segment, as in /{name}/", part)
	}
	kind := paramSegment
	if trimmed, ok := strings.CutSuffix(inner, "..."); ok {
		inner, kind = trimmed, restSegment
	}
	if !isParamName(inner) {
		return segment{}, fmt.Errorf("%q: a wildcard's name is a letter or _, then letters, digits or _", part)
	}
	return segment{kind, inner}, nil
}

func isParamName(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// checkPath says what is wrong with a path that is meant to be clean and
// decoded. A gate refuses requests for any other path, so a pattern or test
// with one could never match and would only look like protection.
func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("a path begins with /")
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("a path is valid UTF-8")
	}
	for _, c := range path {
		switch {
		case c == '%':
			return fmt.Errorf("a path is written decoded, without %%")
		case strings.ContainsRune(`\;#?`, c):
			return fmt.Errorf("a path has no %q", c)
		case unicode.IsControl(c):
			return fmt.Errorf("a path has no control characters")
		}
	}
	if strings.Contains(path, "//") {
		return fmt.Errorf("a path has no empty segments (//)")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("a path has no dot segments (%s)", part)
		}
	}
	return nil
}

// methodSet is a set of HTTP methods as bits of a policy's [methodTable]. The
// limit of 64 makes "do these routes share a method" one AND.
type methodSet uint64

const maxMethods = 64

func (s methodSet) subsetOf(t methodSet) bool { return s&^t == 0 }
func (s methodSet) size() int                 { return bits.OnesCount64(uint64(s)) }

// methodTable numbers the methods of a policy in the order they first appear.
type methodTable []string

// bit returns the set that holds just method; it is empty for a method that no
// route names.
func (t methodTable) bit(method string) methodSet {
	for i, known := range t {
		if known == method {
			return 1 << i
		}
	}
	return 0
}

// set numbers the methods of a route and adds what they cover. It fails if
// the policy names too many.
func (t *methodTable) set(methods []string) (methodSet, bool) {
	var set methodSet
	for _, method := range methods {
		set |= t.add(method)
		if method == "GET" {
			set |= t.add("HEAD")
		}
	}
	return set, len(*t) <= maxMethods
}

func (t *methodTable) add(method string) methodSet {
	if !slices.Contains(*t, method) {
		*t = append(*t, method)
	}
	return t.bit(method)
}

// first returns the method of the lowest bit: the first to appear in the file.
func (t methodTable) first(set methodSet) string {
	return t[bits.TrailingZeros64(uint64(set))]
}

// checkMethod says what is wrong with a method: it is an upper-case token.
func checkMethod(method string) error {
	for _, c := range strings.ToUpper(method) {
		token := 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
		if !token {
			return fmt.Errorf("method %q is not a token", method)
		}
	}
	if method == "" {
		return fmt.Errorf("method is empty")
	}
	if upper := strings.ToUpper(method); method != upper {
		return fmt.Errorf("method %q is not upper-case; did you mean %q?", method, upper)
	}
	return nil
}
