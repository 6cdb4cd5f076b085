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

// WithRoutes compiles a policy that has the scopes of p, and these rules instead
// of p's routes and tests. An error is [Findings], in which File is the rule's
// Source. The revision tells scopes and rules, but not where they were written.
func (p *Policy) WithRoutes(rules []Rule) (*Policy, error) {
	r := &reader{}
	digest := sha256.New()
	digest.Write([]byte(p.revision))
	var decls []routeDecl
	for i, rule := range rules {
		r.sources = append(r.sources, cmp.Or(rule.Source, fmt.Sprintf("routes[%d]", i)))
		node, err := rule.node(i + 1)
		if err != nil {
			r.errorf(position{i + 1, 0}, "syntax", "%v", err)
			continue
		}
		decls = append(decls, r.route(node, i))
		rule.Source = ""
		_ = json.NewEncoder(digest).Encode(rule) // strings alone: it can't fail
	}
	q := &Policy{
		filename: p.filename, revision: hex.EncodeToString(digest.Sum(nil)[:6]),
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

// node is the rule as the reader of policy files takes it, with the rule's
// number for a line.
func (rule Rule) node(number int) (*yaml.Node, error) {
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
