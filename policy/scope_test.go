package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCovers(t *testing.T) {
	tests := []struct {
		granted, scope string
		want           bool
	}{
		{"read:a", "read:a", true},
		{"read:a", "trade:a", false},
		{"trade:a", "read:a", true},
		{"all:a", "read:a", true},
		{"all:a", "admin:a", false},
		{"send:a read:a", "trade:a", false}, // the parts are not the bundle
		{"trade:a send:a", "all:a", false},
		{"x send:a", "send:a", true},
		{"x", "x", false}, // not a scope of this policy
		{"", "read:a", false},
		{"READ:A", "read:a", false},
	}
	p := mustLoad(t, decidePolicy)
	for _, test := range tests {
		if got := p.Covers(strings.Fields(test.granted), test.scope); got != test.want {
			t.Errorf("Covers([%s], %s) = %t", test.granted, test.scope, got)
		}
	}
}

func TestCut(t *testing.T) {
	tests := []struct{ asked, allowed, want string }{
		{"read:a", "read:a", "read:a"},
		{"read:a", "all:a", "read:a"},
		{"all:a", "all:a", "all:a"},
		{"all:a", "read:a", "read:a"},
		{"all:a", "trade:a", "trade:a"},                    // the largest part, not read:a besides
		{"all:a", "read:a send:a", "read:a send:a"},        // in file order
		{"root:a", "send:a trade:a", "trade:a send:a"},     // over two steps
		{"send:a read:a", "all:a", "send:a read:a"},        // the order of asked
		{"trade:a read:a", "all:a", "trade:a read:a"},      // what was asked stays, implied or not
		{"read:a read:a", "all:a", "read:a"},               // once
		{"read:a all:a", "read:a send:a", "read:a send:a"}, // once, also by replacement
		{"read:a unknown", "unknown read:a", "read:a"},     // dropped
		{"admin:a", "all:a", ""},
		{"read:a", "", ""},
		{"", "all:a", ""},
	}
	p := mustLoad(t, decidePolicy)
	for _, test := range tests {
		if got := strings.Join(p.Cut(strings.Fields(test.asked), strings.Fields(test.allowed)), " "); got != test.want {
			t.Errorf("Cut([%s], [%s]) = [%s], want [%s]", test.asked, test.allowed, got, test.want)
		}
	}
}

// Holding what Cut returns is exactly what asked and allowed have in common.
func TestCutIsTheIntersection(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var b strings.Builder
		b.WriteString("version: 1\nscopes:\n")
		var all []string
		const n = 70 // more than one word of bits
		for i := range n {
			all = append(all, fmt.Sprintf("s%d", i))
			fmt.Fprintf(&b, "  s%d: {risk: read", i)
			if i > 2 {
				implied := []string{all[random.IntN(i)], all[random.IntN(i)]}
				slices.Sort(implied)
				fmt.Fprintf(&b, ", implies: [%s]", strings.Join(slices.Compact(implied), ", "))
			}
			b.WriteString("}\n")
		}
		p := mustLoad(t, b.String())
		pick := func() []string {
			var names []string
			for range 1 + random.IntN(4) {
				names = append(names, all[random.IntN(n)])
			}
			return names
		}
		asked, allowed := pick(), pick()
		cut := p.Cut(asked, allowed)
		for _, scope := range all {
			want := p.Covers(asked, scope) && p.Covers(allowed, scope)
			if got := p.Covers(cut, scope); got != want {
				t.Fatalf("Cut(%v, %v) = %v covers %s: %t, want %t", asked, allowed, cut, scope, got, want)
			}
		}
		if twice := slices.Clone(cut); len(twice) > 0 {
			slices.Sort(twice)
			if len(slices.Compact(twice)) != len(cut) {
				t.Fatalf("Cut(%v, %v) = %v lists one twice", asked, allowed, cut)
			}
		}
	}
}

// More than 64 scopes take more than one word of bits.
func TestSetWithManyScopes(t *testing.T) {
	p := largePolicy(t, 100)
	for _, s := range p.Scopes() {
		set := p.Set([]string{s.Name})
		if want := 1 + len(s.Implies); len(set.bits.members()) != want {
			t.Errorf("Set(%s) has %d members, want %d", s.Name, len(set.bits.members()), want)
		}
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ scope, want string }{
		{"trade:a", "trade:a"},
		{"tarde:a", "trade:a"},
		{"trade:b", "trade:a"},
		{"trades:a", "trade:a"},
		{"TRADE:A", ""},
		{"x", ""},
		{"", ""},
		{"adnin:a", ""}, // admin:a is hidden
		{strings.Repeat("trade:a", 1000), ""},
	}
	p := mustLoad(t, decidePolicy)
	for _, test := range tests {
		if got := p.Nearest(test.scope); got != test.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", test.scope, got, test.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "abd", 1}, {"abc", "acb", 1}, {"abc", "abcd", 1}, {"abcd", "abc", 1},
		{"scpoes", "scopes", 1}, {"kitten", "sitting", 3},
	}
	for _, test := range tests {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
