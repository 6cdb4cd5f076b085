package policy

import "strings"

// maxConflicts ends the search early: a file where everything collides would
// have a quadratic number of them.
const maxConflicts = 20

// checkConflicts reports routes that overlap without one being more specific.
// Both places of a pair in the trie move together, so only routes that share a
// path are ever compared.
func (c *compiler) checkConflicts(trie *trieNode) {
	s := conflictSearch{}
	s.join(trie, trie, false, false)
	for _, pair := range s.found {
		a, b := pair[0], pair[1]
		if b.at.compare(a.at) < 0 {
			a, b = b, a
		}
		c.errorf(b.at, "route-conflict",
			"route %q (%s) and route %q (%s) both match %s, and neither is more specific",
			b.ID, c.line(b.at), a.ID, c.line(a.at), c.policy.sample(a, b))
	}
}

// sample returns a request that two overlapping routes both match.
func (p *Policy) sample(a, b *Route) string {
	var path strings.Builder
	longer := a.segments
	if len(b.segments) > len(a.segments) {
		longer = b.segments
	}
	for i := range longer {
		path.WriteByte('/')
		s, t := segmentAt(a, i), segmentAt(b, i)
		if s.kind > t.kind { // kinds are ordered from narrow to wide
			s = t
		}
		if s.kind != restSegment { // {rest...} may be nothing
			path.WriteString(s.text)
		}
	}
	return p.methods.first(a.methods&b.methods) + " " + path.String()
}

// segmentAt returns the i-th segment of a route; {rest...} goes on for ever.
func segmentAt(r *Route, i int) segment { return r.segments[min(i, len(r.segments)-1)] }

// conflictSearch walks all pairs of nodes that some path leads to both of.
type conflictSearch struct{ found [][2]*Route }

// join looks at all pairs of a route under a and a route under b. aNarrow says
// that a's path was strictly narrower than b's at some segment so far, bNarrow
// the reverse. A node joined with itself has neither: both paths are the same
// so far, and each pair is looked at once.
func (s *conflictSearch) join(a, b *trieNode, aNarrow, bNarrow bool) {
	if a.below&b.below == 0 || len(s.found) >= maxConflicts {
		return
	}
	if a == b {
		s.compareAmong(a.routes)
		s.compareAmong(a.rest)
	} else {
		s.compare(a.routes, b.routes, aNarrow, bNarrow)
		s.compare(a.rest, b.rest, aNarrow, bNarrow)
	}
	s.joinLiterals(a, b, aNarrow, bNarrow)
	s.joinParam(a, b, aNarrow, bNarrow)
	if a != b {
		s.joinParam(b, a, bNarrow, aNarrow)
	}
	if a.param != nil && b.param != nil {
		s.join(a.param, b.param, aNarrow, bNarrow)
	}
	s.joinRest(a, b, aNarrow, bNarrow)
	if a != b {
		s.joinRest(b, a, bNarrow, aNarrow)
	}
}

// joinLiterals follows the literals that both nodes have.
func (s *conflictSearch) joinLiterals(a, b *trieNode, aNarrow, bNarrow bool) {
	if len(a.edges) > len(b.edges) {
		a, b, aNarrow, bNarrow = b, a, bNarrow, aNarrow
	}
	for _, e := range a.edges {
		if other := b.literals[e.segment]; other != nil {
			s.join(e.node, other, aNarrow, bNarrow)
		}
	}
}

// joinParam follows the literals of a together with {name} of b.
func (s *conflictSearch) joinParam(a, b *trieNode, aNarrow, bNarrow bool) {
	if b.param == nil {
		return
	}
	for _, e := range a.edges {
		if e.segment != "" {
			s.join(e.node, b.param, true, bNarrow)
		}
	}
}

// joinRest compares {rest...} of b with all that is below a and no {rest...} of a.
func (s *conflictSearch) joinRest(a, b *trieNode, aNarrow, bNarrow bool) {
	if len(b.rest) == 0 {
		return
	}
	for _, e := range a.edges {
		s.under(e.node, b.rest, bNarrow)
	}
	if a.param != nil {
		s.under(a.param, b.rest, bNarrow)
	}
}

// under compares all routes of a subtree with wider ones.
func (s *conflictSearch) under(n *trieNode, wider []*Route, widerNarrow bool) {
	if len(s.found) >= maxConflicts {
		return
	}
	s.compare(n.routes, wider, true, widerNarrow)
	s.compare(n.rest, wider, true, widerNarrow)
	for _, e := range n.edges {
		s.under(e.node, wider, widerNarrow)
	}
	if n.param != nil {
		s.under(n.param, wider, widerNarrow)
	}
}

// compareAmong compares the routes of one path with each other.
func (s *conflictSearch) compareAmong(routes []*Route) {
	for i, a := range routes {
		s.compare([]*Route{a}, routes[i+1:], false, false)
	}
}

// compare notes the conflicts between two lists of routes whose paths overlap.
func (s *conflictSearch) compare(as, bs []*Route, aNarrow, bNarrow bool) {
	for _, a := range as {
		for _, b := range bs {
			if len(s.found) >= maxConflicts {
				return
			}
			overlap := a.methods&b.methods != 0
			if overlap && !moreSpecific(a, b, aNarrow, bNarrow) && !moreSpecific(b, a, bNarrow, aNarrow) {
				s.found = append(s.found, [2]*Route{a, b})
			}
		}
	}
}

// moreSpecific reports whether a matches strictly less than b.
func moreSpecific(a, b *Route, aNarrow, bNarrow bool) bool {
	return !bNarrow && a.methods.subsetOf(b.methods) && (aNarrow || a.methods != b.methods)
}
