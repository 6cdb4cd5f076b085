package policy

import (
	"path"
	"slices"
	"strings"
)

// Policy is a compiled policy file. It never changes after [Load] returned it
// and is safe for concurrent use.
type Policy struct {
	filename string
	revision string

	vocabulary vocabulary
	visible    []string // names of scopes that are not hidden

	cors *CORS // nil: nothing is said

	methods methodTable
	routes  []*Route // in file order
	root    *matcher // the same, indexed for matching

	tests []testDecl
}

// Name is the file's name without folders and extension.
func (p *Policy) Name() string {
	base := path.Base(p.filename)
	return strings.TrimSuffix(base, path.Ext(base))
}

// Filename is the name that was given to [Load].
func (p *Policy) Filename() string { return p.filename }

// Revision identifies the file's content: the first 12 hex digits of its
// SHA-256, so that "sha256sum trading.yaml" tells what a server enforces.
func (p *Policy) Revision() string { return p.revision }

// Routes returns all routes in file order.
func (p *Policy) Routes() []*Route { return slices.Clone(p.routes) }

// Credentials is where a route accepts a token, as bit flags.
type Credentials uint8

const (
	// Header is "Authorization: Bearer TOKEN", the default.
	Header Credentials = 1 << iota
	// Subprotocol is "Sec-WebSocket-Protocol: bearer, TOKEN".
	Subprotocol
)

var credentialNames = []string{"header", "subprotocol"}

// Has reports whether all of other is accepted.
func (c Credentials) Has(other Credentials) bool { return c&other == other }

func (c Credentials) String() string {
	var names []string
	for i, name := range credentialNames {
		if c.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// Route is one rule of a policy. Its fields are read-only.
type Route struct {
	ID          string
	Path        string   // the pattern as in the file
	Methods     []string // as in the file: HEAD is covered by GET without being listed
	Public      bool     // needs no token
	Credentials Credentials
	CORS        *CORS // what holds for web pages of other origins; nil: nothing is said
	Index       int   // its place in Policy.Routes

	owner        *Policy
	at           position
	segments     []segment
	params       []string // names of wildcards, left to right, {rest...} last
	methods      methodSet
	alternatives []alternative
	binds        []int // params that must be one of the token's accounts
}

// alternative is one set of scopes that satisfies a route.
type alternative struct {
	scopes []int // in the order of the file
	needs  bitset
	hidden bool // needs a hidden scope
}
