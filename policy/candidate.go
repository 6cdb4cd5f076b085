package policy

import (
	"cmp"
	"slices"
	"strings"
)

// maxNear is how many routes are shown whose path differs.
const maxNear = 8

// Outcome is what became of a route that could have decided.
type Outcome uint8

// The outcomes, in the order in which candidates are listed.
const (
	OutcomeDecides      Outcome = iota
	OutcomeLessSpecific         // it matches, and so does the route that decides
	OutcomeOtherMethod          // its path matches
	OutcomePathDiffers          // its methods match, its path does but for one segment
)

var outcomeNames = []string{"decides", "less_specific", "other_method", "path_differs"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// MarshalText lets an outcome be printed as JSON with its name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Candidate is a route that matches a request or nearly does.
type Candidate struct {
	Route   string      `json:"route"`
	Methods []string    `json:"methods"`
	Path    string      `json:"path"`
	Line    int         `json:"line"`
	Outcome Outcome     `json:"outcome"`
	Differs *Difference `json:"differs,omitempty"` // with path_differs
}

// Difference is the segment in which a path differs from a route's. Both are
// written with the slash before them, so that "/" is an empty segment, as after
// a trailing slash, and "" is none: the path, or the route's, has ended.
type Difference struct {
	Segment  int    `json:"segment"` // counts from 1
	Found    string `json:"found"`
	Expected string `json:"expected"`
}

// candidates lists the routes that match a request or nearly do, and counts
// those that were left out. Of routes whose path differs, those come first that
// a misspelt path was probably meant for.
func (p *Policy) candidates(method, path string, winner *Route) (list []Candidate, omitted int) {
	list = []Candidate{}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return list, 0
	}
	segments, bit := strings.Split(rest, "/"), p.methods.bit(method)
	for _, r := range p.routes {
		c := Candidate{Route: r.ID, Methods: slices.Clone(r.Methods), Path: r.Path, Line: r.at.line}
		differs, near := r.compare(segments)
		switch {
		case r == winner:
			c.Outcome = OutcomeDecides
		case differs == nil && r.methods&bit != 0:
			c.Outcome = OutcomeLessSpecific
		case differs == nil:
			c.Outcome = OutcomeOtherMethod
		case near && r.methods&bit != 0:
			c.Outcome, c.Differs = OutcomePathDiffers, differs
		default:
			continue
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Differs.distance(), b.Differs.distance()))
	})
	far := slices.IndexFunc(list, func(c Candidate) bool { return c.Differs != nil })
	if far >= 0 && len(list) > far+maxNear {
		omitted = len(list) - far - maxNear
		list = list[:far+maxNear]
	}
	return list, omitted
}

// compare returns the first segment in which a path differs from the route's,
// nil if the path matches. It is near if no other segment differs, and it was
// probably misspelt, or there is one too many or too few, or several others fit.
func (r *Route) compare(path []string) (first *Difference, near bool) {
	fitting, differing := 0, 0
	for i := range max(len(path), len(r.segments)) {
		var d Difference
		if i < len(path) {
			d.Found = "/" + path[i]
		}
		if i < len(r.segments) {
			s := r.segments[i]
			if s.kind == restSegment && i < len(path) {
				break // it takes anything, so that says nothing of nearness
			}
			if i < len(path) && s.fits(path[i]) {
				fitting++
				continue
			}
			d.Expected = "/" + s.String()
		}
		if differing++; first == nil {
			d.Segment = i + 1
			first = &d
		}
	}
	if differing != 1 {
		return first, false
	}
	oneMore := len(first.Found) <= 1 || len(first.Expected) <= 1
	return first, fitting > 1 || fitting > 0 && oneMore || nearest(first.Found, []string{first.Expected}) != ""
}

// fits reports whether a literal or {name} matches one segment of a path.
func (s segment) fits(part string) bool {
	if s.kind == paramSegment {
		return part != ""
	}
	return s.text == part
}

// String is the segment as in the file.
func (s segment) String() string {
	switch s.kind {
	case paramSegment:
		return "{" + s.text + "}"
	case restSegment:
		return "{" + s.text + "...}"
	default:
		return s.text
	}
}

// distance is how much would have to be retyped.
func (d *Difference) distance() int {
	if d == nil {
		return 0
	}
	return editDistance(d.Found, d.Expected)
}
