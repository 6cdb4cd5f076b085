package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Rule is a route that stands elsewhere than in a policy file. It has the keys
// that it would have there, and the same meaning.
type Rule struct {
	// The route's name: a-z, 0-9, hyphen.
	ID string `json:"id" yaml:"id"`

	// The requests that the route is for.
	Match RuleMatch `json:"match" yaml:"match"`

	// What a token needs.
	Require *RuleRequire `json:"require,omitempty" yaml:"require,omitempty"`

	// Needs no token. A route has either this or require.
	Public bool `json:"public,omitempty" yaml:"public,omitempty"`

	// Where a token is accepted: "header", "subprotocol". Default: header.
	Credentials []string `json:"credentials,omitempty" yaml:"credentials,omitempty"`

	// Which web pages of other origins may use the route. Default: what is said
	// for all routes.
	CORS *RuleCORS `json:"cors,omitempty" yaml:"cors,omitempty"`

	// Where the rule was written, for messages.
	Source string `json:"source,omitempty" yaml:"-"`
}

// RuleMatch says which requests a rule is for.
type RuleMatch struct {
	// Upper case. GET covers HEAD.
	Methods []string `json:"methods" yaml:"methods"`

	// The pattern of the path.
	Path string `json:"path" yaml:"path"`
}

// RuleRequire says what a token needs.
type RuleRequire struct {
	// All of these scopes.
	Scopes []string `json:"scopes,omitempty" yaml:"scopes,omitempty"`

	// All scopes of one of these alternatives.
	AnyOf [][]string `json:"any_of,omitempty" yaml:"any_of,omitempty"`

	// Wildcards of the path that must be one of the token's accounts, each with
	// the value "token.account".
	Bind map[string]string `json:"bind,omitempty" yaml:"bind,omitempty"`
}

// RuleCORS says which web pages of other origins may use a route.
type RuleCORS struct {
	// The origins as browsers write them. None: no page of another origin may.
	Origins []string `json:"origins" yaml:"origins"`

	// The request headers that pages may send. Default: authorization and
	// content-type.
	Headers []string `json:"headers,omitempty" yaml:"headers,omitempty"`

	// The response headers that pages may read, beyond those of the gate.
	Expose []string `json:"expose,omitempty" yaml:"expose,omitempty"`

	// How long a browser may remember a permission, as in 10m, the default.
	MaxAge string `json:"max_age,omitempty" yaml:"max_age,omitempty"`
}

// WithRoutes compiles a policy that has the scopes of p, and these rules instead
// of p's routes and tests. CORS is what holds for rules that say nothing of it,
// instead of what p says; it may be nil. An error is [Findings], in which File is
// the rule's Source. The revision tells scopes, rules and CORS, but not where they
// were written.
func (p *Policy) WithRoutes(rules []Rule, cors *RuleCORS) (*Policy, error) {
	r := &reader{}
	digest := sha256.New()
	digest.Write([]byte(p.revision))
	var decls []routeDecl
	for i, rule := range rules {
		r.sources = append(r.sources, cmp.Or(rule.Source, fmt.Sprintf("routes[%d]", i)))
		node, err := nodeOf(rule, i+1)
		if err != nil {
			r.errorf(position{i + 1, 0}, "syntax", "%v", err)
			continue
		}
		decls = append(decls, r.route(node, i))
		rule.Source = ""
		_ = json.NewEncoder(digest).Encode(rule) // strings alone: it can't fail
	}
	_ = json.NewEncoder(digest).Encode(cors) // as above
	q := &Policy{
		filename: p.filename, cors: r.ruleCORS(cors), revision: hex.EncodeToString(digest.Sum(nil)[:6]),
		vocabulary: p.vocabulary, visible: p.visible,
	}
	c := compiler{&r.reporter, q, false}
	c.routes(decls)
	trie := newTrie(q.routes)
	c.checkConflicts(trie)
	if len(r.findings) > 0 {
		return nil, r.sorted()
	}
	q.root = newMatcher(trie)
	return q, nil
}

// ruleCORS reads what holds for all rules, as if it were one rule more.
func (r *reader) ruleCORS(cors *RuleCORS) *CORS {
	if cors == nil {
		return nil
	}
	r.sources = append(r.sources, "cors")
	node, err := nodeOf(cors, len(r.sources))
	if err != nil {
		r.errorf(position{len(r.sources), 0}, "syntax", "%v", err)
		return nil
	}
	return r.cors(node, false)
}

// nodeOf is a rule, or a part of one, as the reader of policy files takes it, with
// the rule's number for a line.
func nodeOf(rule any, number int) (*yaml.Node, error) {
	var n yaml.Node
	if err := n.Encode(rule); err != nil {
		return nil, err
	}
	setLine(&n, number)
	return &n, nil
}

func setLine(n *yaml.Node, line int) {
	n.Line = line
	for _, child := range n.Content {
		setLine(child, line)
	}
}
