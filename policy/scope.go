package policy

import (
	"math/bits"
	"slices"
)

// Risk is what a scope can do at worst. It is ordered: each includes the harm
// of those below it.
type Risk uint8

// The risks, from the least to the worst.
const (
	RiskRead     Risk = iota // sees
	RiskTrade                // changes positions, but moves nothing out
	RiskWithdraw             // moves money out
	RiskAdmin                // acts on others
)

var riskNames = []string{"read", "trade", "withdraw", "admin"}

func (r Risk) String() string {
	if int(r) < len(riskNames) {
		return riskNames[r]
	}
	return "unknown"
}

// Scope is one right that a token can hold. Its fields are read-only.
type Scope struct {
	Name    string
	Title   string   // for people, on consent pages; the name if the file has none
	Risk    Risk     // of this scope alone
	Hidden  bool     // never named in an error or a suggestion
	Implies []string // direct, in file order

	at position
}

// Set is an immutable set of scopes of one policy, closed under implies. The
// zero Set is empty. A policy reads another policy's Set as empty, so a stale
// one grants nothing.
type Set struct {
	owner *Policy
	bits  bitset
}

// bitset holds scope indexes, as few words as the highest one needs.
type bitset []uint64

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]>>(i%64)&1 == 1 }

// contains reports whether all of other is in b.
func (b bitset) contains(other bitset) bool {
	for i, word := range other {
		if i < len(b) {
			word &^= b[i]
		}
		if word != 0 {
			return false
		}
	}
	return true
}

// with returns b with all of other added, reusing b's memory if it suffices.
func (b bitset) with(other bitset) bitset {
	for len(b) < len(other) {
		b = append(b, 0)
	}
	for i, word := range other {
		b[i] |= word
	}
	return b
}

func (b bitset) withBit(i int) bitset {
	for len(b) <= i/64 {
		b = append(b, 0)
	}
	b[i/64] |= 1 << (i % 64)
	return b
}

// members lists the indexes in b, ascending: the order of the file.
func (b bitset) members() []int {
	var list []int
	for i, word := range b {
		for ; word != 0; word &= word - 1 {
			list = append(list, i*64+bits.TrailingZeros64(word))
		}
	}
	return list
}

// vocabulary is the scopes of a policy and what each one includes.
type vocabulary struct {
	scopes  []Scope
	index   map[string]int
	closure []bitset // by index: the scope itself and all that it implies
}

func (v *vocabulary) names() []string {
	names := make([]string, len(v.scopes))
	for i := range v.scopes {
		names[i] = v.scopes[i].Name
	}
	return names
}

// closed returns the closure of names; unknown ones grant nothing.
func (v *vocabulary) closed(names []string) bitset {
	var set bitset
	for _, name := range names {
		if i, ok := v.index[name]; ok {
			set = set.with(v.closure[i])
		}
	}
	return set
}

// largest returns those of set that no other member of set implies.
func (v *vocabulary) largest(set bitset) []int {
	members := set.members()
	return slices.DeleteFunc(slices.Clone(members), func(i int) bool {
		return slices.ContainsFunc(members, func(j int) bool {
			return j != i && v.closure[j].has(i)
		})
	})
}

func (v *vocabulary) named(indexes []int) []string {
	names := make([]string, len(indexes))
	for k, i := range indexes {
		names[k] = v.scopes[i].Name
	}
	return names
}

// rights is all that holding an alternative amounts to.
func (v *vocabulary) rights(a alternative) bitset {
	var rights bitset
	for _, i := range a.scopes {
		rights = rights.with(v.closure[i])
	}
	return rights
}

// redundant returns, for each alternative of a route, the index of one that
// whoever holds it holds too, or -1. Of two equal ones the later is redundant.
func (v *vocabulary) redundant(r *Route) []int {
	rights := make([]bitset, len(r.alternatives))
	others := make([]int, len(r.alternatives))
	for i, a := range r.alternatives {
		rights[i], others[i] = v.rights(a), -1
	}
	for i, a := range r.alternatives {
		for j, other := range r.alternatives {
			equal := rights[j].contains(a.needs)
			if i != j && rights[i].contains(other.needs) && (!equal || j < i) {
				others[i] = j
				break
			}
		}
	}
	return others
}

// Scopes returns all scopes in file order.
func (p *Policy) Scopes() []Scope { return slices.Clone(p.vocabulary.scopes) }

// Scope returns the scope of that name.
func (p *Policy) Scope(name string) (Scope, bool) {
	i, ok := p.vocabulary.index[name]
	if !ok {
		return Scope{}, false
	}
	return p.vocabulary.scopes[i], true
}

// Set returns the scopes that holding names amounts to. Unknown names are
// ignored: a token may carry scopes of other services.
func (p *Policy) Set(names []string) Set {
	return Set{owner: p, bits: p.vocabulary.closed(names)}
}

// Covers reports whether a holder of granted holds scope. It does not allocate.
func (p *Policy) Covers(granted []string, scope string) bool {
	wanted, ok := p.vocabulary.index[scope]
	if !ok {
		return false
	}
	for _, name := range granted {
		if i, ok := p.vocabulary.index[name]; ok && p.vocabulary.closure[i].has(wanted) {
			return true
		}
	}
	return false
}

// Cut reduces asked to what allowed covers. Holding the result amounts to
// exactly what asked and allowed have in common:
//
//   - the order of asked is kept, and nothing is listed twice;
//   - a scope that allowed covers stays as it is;
//   - any other is replaced by the largest of the scopes it implies that
//     allowed covers, in file order;
//   - unknown names are dropped.
func (p *Policy) Cut(asked, allowed []string) []string {
	v := &p.vocabulary
	ceiling := v.closed(allowed)
	var cut []string
	add := func(i int) {
		if name := v.scopes[i].Name; !slices.Contains(cut, name) {
			cut = append(cut, name)
		}
	}
	for _, name := range asked {
		i, known := v.index[name]
		switch {
		case !known:
		case ceiling.has(i):
			add(i)
		default:
			for _, part := range v.largest(intersection(v.closure[i], ceiling)) {
				add(part)
			}
		}
	}
	return cut
}

func intersection(a, b bitset) bitset {
	both := slices.Clone(a[:min(len(a), len(b))])
	for i := range both {
		both[i] &= b[i]
	}
	return both
}

// Nearest returns the known scope that a misspelt name was probably meant to
// be, or "" if none is near. It never returns a hidden scope.
func (p *Policy) Nearest(scope string) string {
	return nearest(scope, p.visible)
}
