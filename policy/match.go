package policy

import (
	"math/bits"
	"strings"
)

// Match is a request's route and what its wildcards captured.
type Match struct {
	Route  *Route
	values [maxParams]string
}

// Param returns what the wildcard of that name captured.
func (m *Match) Param(name string) (string, bool) {
	if m.Route != nil {
		for i, param := range m.Route.params {
			if param == name {
				return m.values[i], true
			}
		}
	}
	return "", false
}

// Match finds the route of a request. The caller has judged and decoded path:
// it has no dot segments, no encoded slash, and no empty segments other than
// after a trailing slash. Match does not allocate.
func (p *Policy) Match(method, path string) (m Match, ok bool) {
	ok = p.MatchTo(&m, method, path)
	return m, ok
}

// MatchTo is Match into a zero Match, which is large, and copied otherwise.
func (p *Policy) MatchTo(m *Match, method, path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	m.Route = p.root.find(path, p.methods.bit(method), m, 0)
	return m.Route != nil
}

// matcher is a trie of path segments, made for speed: chains of literals are
// one comparison, other literals one probe of a hash table.
type matcher struct {
	below  methodSet // methods of all routes in this subtree
	skip   string    // the literals that come first, as in "/api/v1"
	shift  uint8     // of the hash, to index table
	table  []slot    // literal next segments: open addressing, never full
	param  *matcher  // {name}: any non-empty next segment
	routes []leaf    // patterns that end here, the most specific first
	rest   []leaf    // {rest...}: anything from here, the most specific first
}

type slot struct {
	hash    uint64
	segment string
	next    *matcher // nil in a free slot
}

// leaf has a route's methods beside it, so that others are not touched.
type leaf struct {
	methods methodSet
	route   *Route
}

// find returns the most specific route in the subtree that matches what
// remains of a path: nothing, or a slash and more.
//
// Trying the literal, then {name}, then {rest...} finds the most specific first,
// because routes that overlap are ordered (conflicts do not load). Each node is
// visited at most once per request, and the methods below it prune the search.
func (n *matcher) find(path string, method methodSet, m *Match, depth int) *Route {
	if n.below&method == 0 || !strings.HasPrefix(path, n.skip) {
		return nil
	}
	path = path[len(n.skip):]
	if path == "" {
		return pick(n.routes, method)
	}
	if path[0] != '/' {
		return nil // skip ended inside a segment
	}
	end, hash := 1, uint64(0)
	for end < len(path) && path[end] != '/' {
		hash = addByte(hash, path[end])
		end++
	}
	if next := n.literal(path[1:end], hash); next != nil {
		if r := next.find(path[end:], method, m, depth); r != nil {
			return r
		}
	}
	if n.param != nil && end > 1 {
		if r := n.param.find(path[end:], method, m, depth+1); r != nil {
			m.values[depth] = path[1:end]
			return r
		}
	}
	if r := pick(n.rest, method); r != nil {
		m.values[depth] = path[1:]
		return r
	}
	return nil
}

// pick returns the first route, and so the most specific, that has method.
func pick(leaves []leaf, method methodSet) *Route {
	for i := range leaves {
		if leaves[i].methods&method != 0 {
			return leaves[i].route
		}
	}
	return nil
}

// literal returns the node after a literal segment, or nil.
func (n *matcher) literal(segment string, hash uint64) *matcher {
	if len(n.table) == 0 {
		return nil
	}
	for i := spread(hash) >> n.shift; ; i++ {
		s := &n.table[i&uint64(len(n.table)-1)]
		if s.next == nil {
			return nil
		}
		if s.hash == hash && s.segment == segment {
			return s.next
		}
	}
}

// addByte and spread are a hash that costs two cycles per byte. It need not
// withstand an attacker: the operator chose what is in the table, and a
// stranger can only choose which of its short runs to read.
func addByte(hash uint64, b byte) uint64 { return bits.RotateLeft64(hash, 5) ^ uint64(b) }

func spread(hash uint64) uint64 { return hash * 0x9e3779b97f4a7c15 }

func hashOf(segment string) uint64 {
	hash := uint64(0)
	for i := range len(segment) {
		hash = addByte(hash, segment[i])
	}
	return hash
}

// newMatcher compiles a trie.
func newMatcher(t *trieNode) *matcher {
	n := &matcher{below: t.below}
	for len(t.edges) == 1 && t.param == nil && len(t.rest) == 0 && len(t.routes) == 0 {
		n.skip += "/" + t.edges[0].segment
		t = t.edges[0].node
	}
	n.routes, n.rest = leaves(t.routes), leaves(t.rest)
	if t.param != nil {
		n.param = newMatcher(t.param)
	}
	if len(t.edges) > 0 {
		size := bits.Len(uint(len(t.edges))) + 1 // twice the edges or more, as a power of 2
		n.shift, n.table = uint8(64-size), make([]slot, 1<<size)
		for _, e := range t.edges {
			n.put(e.segment, newMatcher(e.node))
		}
	}
	return n
}

func leaves(routes []*Route) []leaf {
	var list []leaf
	for _, r := range routes {
		list = append(list, leaf{r.methods, r})
	}
	return list
}

func (n *matcher) put(segment string, next *matcher) {
	hash := hashOf(segment)
	i := spread(hash) >> n.shift
	for n.table[i].next != nil {
		i = (i + 1) & uint64(len(n.table)-1)
	}
	n.table[i] = slot{hash, segment, next}
}
