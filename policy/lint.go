package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Lint looks for what is allowed in a policy but probably not meant. All its
// findings are warnings.
func (p *Policy) Lint() Findings {
	l := linter{reporter{file: p.filename}, p}
	l.unusedScopes()
	l.understatedRisks()
	l.slashGaps()
	l.cors()
	depth := p.depth()
	for _, r := range p.routes {
		l.publicWrite(r)
		l.redundantScopes(r)
		l.redundantAlternatives(r)
		if !p.reachable(r, depth) {
			l.warnf(r.at, "unreachable-route", "route %q never decides: more specific routes match all its requests", r.ID)
		}
	}
	return l.sorted()
}

type linter struct {
	reporter
	policy *Policy
}

// unusedScopes reports scopes that the file only declares. Being part of
// implies counts as use: a bundle and its parts may be offered on consent pages
// although a service behind the gate is who tells them apart.
func (l *linter) unusedScopes() {
	v := &l.policy.vocabulary
	var used bitset
	for i, s := range v.scopes {
		if len(s.Implies) > 0 {
			used = used.with(v.closure[i])
		}
	}
	for _, r := range l.policy.routes {
		for _, a := range r.alternatives {
			used = used.with(a.needs)
		}
	}
	for i, s := range v.scopes {
		if !used.has(i) && len(l.policy.routes) > 0 {
			l.warnf(s.at, "unused-scope", "no route needs scope %q", s.Name)
		}
	}
}

// understatedRisks reports scopes that call themselves more harmless than what
// they imply: a consent page would mislead.
func (l *linter) understatedRisks() {
	v := &l.policy.vocabulary
	for i, s := range v.scopes {
		for _, j := range v.closure[i].members() {
			if implied := v.scopes[j]; implied.Risk > s.Risk {
				l.warnf(s.at, "understated-risk", "scope %q has risk %s but implies %q of risk %s",
					s.Name, s.Risk, implied.Name, implied.Risk)
			}
		}
	}
}

// slashGaps reports /x/ that is guarded otherwise than /x. Many upstreams treat
// the two as one, so the weaker rule would be the one that counts.
func (l *linter) slashGaps() {
	byShape := make(map[string][]*Route)
	for _, r := range l.policy.routes {
		shape := shapeOf(r.segments)
		byShape[shape] = append(byShape[shape], r)
	}
	for _, r := range l.policy.routes {
		last := len(r.segments) - 1
		if last == 0 || r.segments[last] != (segment{}) {
			continue
		}
		for _, other := range byShape[shapeOf(r.segments[:last])] {
			if r.methods&other.methods != 0 && !r.sameAccess(other) {
				l.warnf(r.at, "slash-gap", "%s has other requirements than %s (line %d), and an upstream may treat both as one",
					r.Path, other.Path, other.at.line)
			}
		}
	}
}

// shapeOf is the same for patterns that match the same paths.
func shapeOf(segments []segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case literalSegment:
			b.WriteString(s.text)
		case paramSegment:
			b.WriteString("{}")
		case restSegment:
			b.WriteString("{...}")
		}
	}
	return b.String()
}

// sameAccess reports whether two routes of one shape ask for the same.
func (r *Route) sameAccess(other *Route) bool {
	return r.Public == other.Public &&
		slices.Equal(r.accessKey(), other.accessKey()) &&
		slices.Equal(slices.Sorted(slices.Values(r.binds)), slices.Sorted(slices.Values(other.binds)))
}

func (r *Route) accessKey() []string {
	var key []string
	for _, a := range r.alternatives {
		key = append(key, fmt.Sprint(a.needs.members()))
	}
	slices.Sort(key)
	return slices.Compact(key)
}

func (l *linter) publicWrite(r *Route) {
	if !r.Public {
		return
	}
	for _, method := range r.Methods {
		if slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
			l.warnf(r.at, "public-write", "route %q lets anybody %s", r.ID, method)
		}
	}
}

func (l *linter) redundantScopes(r *Route) {
	v := &l.policy.vocabulary
	for _, a := range r.alternatives {
		for _, i := range a.scopes {
			for _, j := range a.scopes {
				if i != j && v.closure[i].has(j) {
					l.warnf(r.at, "redundant-scope", "route %q needs both %q and %q, which the first implies",
						r.ID, v.scopes[i].Name, v.scopes[j].Name)
				}
			}
		}
	}
}

// redundantAlternatives reports an alternative whose holders always hold
// another one too.
func (l *linter) redundantAlternatives(r *Route) {
	v := &l.policy.vocabulary
	for i, other := range v.redundant(r) {
		if other >= 0 {
			l.warnf(r.at, "redundant-alternative", "route %q: who holds [%s] holds [%s] too, which is enough",
				r.ID, list(v.named(r.alternatives[i].scopes)), list(v.named(r.alternatives[other].scopes)))
		}
	}
}

// depth is the number of segments of the longest pattern.
func (p *Policy) depth() int {
	depth := 0
	for _, r := range p.routes {
		depth = max(depth, len(r.segments))
	}
	return depth
}

// reachable reports whether some request is decided by r. It tries the requests
// that the fewest other routes match: those whose wildcards capture something
// that is no literal anywhere. For {rest...} that is done for each length up to
// one at which only other {rest...} can match.
func (p *Policy) reachable(r *Route, depth int) bool {
	const noLiteral = "{}"
	last := len(r.segments) - 1
	rest := r.segments[last].kind == restSegment
	var prefix strings.Builder
	for _, s := range r.segments[:last] {
		prefix.WriteByte('/')
		if s.kind == literalSegment {
			prefix.WriteString(s.text)
		} else {
			prefix.WriteString(noLiteral)
		}
	}
	paths := []string{prefix.String() + "/" + noLiteral}
	if !rest && r.segments[last].kind == literalSegment {
		paths = []string{prefix.String() + "/" + r.segments[last].text}
	}
	for n := 0; rest && n <= depth-last; n++ {
		path := prefix.String() + strings.Repeat("/"+noLiteral, n)
		paths = append(paths, path+"/", path+"/"+noLiteral)
	}
	return slices.ContainsFunc(paths, func(path string) bool { return p.decides(r, path) })
}

// decides reports whether r is what a path leads to with one of its methods.
func (p *Policy) decides(r *Route, path string) bool {
	for i, method := range p.methods {
		if r.methods&(1<<i) != 0 {
			if m, _ := p.Match(method, path); m.Route == r {
				return true
			}
		}
	}
	return false
}
