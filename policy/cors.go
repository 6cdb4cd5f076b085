package policy

// CORS says which web pages of other origins may use a route, and how (Fetch
// standard, §3.2). Its fields are read-only.
type CORS struct {
	// Origins as browsers write them. None: no page of another origin may.
	Origins []string `json:"origins"`
	// Headers are the request headers that pages may send beyond those that need
	// no permission, in small letters.
	Headers []string `json:"headers"`
	// Expose are the response headers that pages may read beyond those that they
	// always can and those of the gate.
	Expose []string `json:"expose"`
	// MaxAge is how many seconds a browser may remember a permission.
	MaxAge int `json:"max_age"`

	at      position
	allowed map[string]bool // Origins
}

// Allows reports whether pages of an origin may use the route.
func (c *CORS) Allows(origin string) bool { return c.allowed[origin] }

// CORS is what the policy says for routes that say nothing of their own, and for
// requests without a route. Nil: it says nothing.
func (p *Policy) CORS() *CORS { return p.cors }

// CORSOf is what holds for a request: what its route says, and what the policy
// says if it has none. Nil: nothing is said.
func (p *Policy) CORSOf(method, path string) *CORS {
	if m, ok := p.Match(method, path); ok {
		return m.Route.CORS
	}
	return p.cors
}

// MethodsUnder are the methods of the path's routes for which c is what holds, in
// the order of the file. The path is one that [Policy.Match] takes.
func (p *Policy) MethodsUnder(c *CORS, path string) []string {
	var methods []string
	for _, method := range p.methods {
		if m, ok := p.Match(method, path); ok && m.Route.CORS == c {
			methods = append(methods, method)
		}
	}
	return methods
}
