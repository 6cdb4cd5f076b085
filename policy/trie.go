package policy

import (
	"cmp"
	"slices"
)

// trieNode is a place in the trie of path segments in which a policy's routes
// are collected. Conflicts are searched in it; then it becomes a [matcher].
type trieNode struct {
	edges    []trieEdge // literal next segments, sorted by finish
	literals map[string]*trieNode
	param    *trieNode // {name}: any non-empty next segment
	rest     []*Route  // {rest...}: anything from here
	routes   []*Route  // patterns that end here
	below    methodSet // methods of all routes in this subtree
}

type trieEdge struct {
	segment string
	node    *trieNode
}

// newTrie indexes routes by path.
func newTrie(routes []*Route) *trieNode {
	root := &trieNode{}
	for _, r := range routes {
		root.insert(r)
	}
	root.finish()
	return root
}

func (n *trieNode) insert(r *Route) {
	n.below |= r.methods
	for _, s := range r.segments {
		switch s.kind {
		case restSegment:
			n.rest = append(n.rest, r)
			return
		case paramSegment:
			if n.param == nil {
				n.param = &trieNode{}
			}
			n = n.param
		default:
			n = n.child(s.text)
		}
		n.below |= r.methods
	}
	n.routes = append(n.routes, r)
}

// child returns the node of a literal, making it if needed.
func (n *trieNode) child(segment string) *trieNode {
	if next := n.literals[segment]; next != nil {
		return next
	}
	if n.literals == nil {
		n.literals = make(map[string]*trieNode)
	}
	next := &trieNode{}
	n.literals[segment] = next
	n.edges = append(n.edges, trieEdge{segment, next})
	return next
}

// finish puts the subtree in its final order: edges sorted, so that whatever
// walks them is deterministic, and among routes of one path the one with the
// fewest methods first, because it is the more specific.
func (n *trieNode) finish() {
	slices.SortFunc(n.edges, func(a, b trieEdge) int { return cmp.Compare(a.segment, b.segment) })
	fewestMethods := func(a, b *Route) int { return cmp.Compare(a.methods.size(), b.methods.size()) }
	slices.SortStableFunc(n.routes, fewestMethods)
	slices.SortStableFunc(n.rest, fewestMethods)
	for _, e := range n.edges {
		e.node.finish()
	}
	if n.param != nil {
		n.param.finish()
	}
}
