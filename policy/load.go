package policy

import (
	"crypto/sha256"
	"encoding/hex"
)

// Load parses, checks and compiles one policy file; filename is only used in
// messages. An error is [Findings], as many as could be found at once. Failing
// tests in the file are no error: see [Policy.Test].
func Load(filename string, src []byte) (*Policy, error) {
	r := &reader{reporter{file: filename}}
	var d document
	if root := r.parse(src); root != nil {
		d = r.document(root)
	}
	sum := sha256.Sum256(src)
	p := &Policy{filename: filename, revision: hex.EncodeToString(sum[:6]), cors: d.cors}
	c := compiler{&r.reporter, p, d.unsure}
	c.scopes(d.scopes)
	c.routes(d.routes)
	trie := newTrie(p.routes)
	c.checkConflicts(trie)
	c.checkTests(d.tests, d.routeIDs())
	p.tests = d.tests
	if len(r.findings) > 0 {
		return nil, r.sorted()
	}
	p.root = newMatcher(trie)
	return p, nil
}
