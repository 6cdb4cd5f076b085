package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

type testDecl struct {
	at       position
	method   string
	path     string
	scopes   []name
	accounts []name
	allow    bool
	route    *name     // the route that must decide, if stated
	missing  *[][]name // the alternatives that must be named, if stated
	reason   *Reason   // if stated
}

// testDocument reads a file of tests: a mapping with the one key tests.
func (r *reader) testDocument(root *yaml.Node) []testDecl {
	o, ok := r.object(root, "test file", "tests")
	if !ok {
		return nil
	}
	if n := r.required(o, "tests"); n != nil {
		return r.tests(n)
	}
	return nil
}

func (r *reader) tests(n *yaml.Node) []testDecl {
	var tests []testDecl
	for i, item := range r.items(n, "tests") {
		tests = append(tests, r.test(item, i))
	}
	return tests
}

// test reads {request, scopes, accounts, expect, route, missing, reason}.
func (r *reader) test(n *yaml.Node, i int) testDecl {
	d := testDecl{at: positionOf(n)}
	o, ok := r.object(n, fmt.Sprintf("tests[%d]", i),
		"request", "scopes", "accounts", "expect", "route", "missing", "reason")
	if ok {
		r.request(o, &d)
		r.expectation(o, &d)
		if n := o.values["scopes"]; n != nil {
			d.scopes, _ = r.names(n, "scopes")
		}
		if n := o.values["accounts"]; n != nil {
			d.accounts, _ = r.names(n, "accounts")
		}
	}
	return d
}

// request reads "METHOD /path"; the path is written decoded and has no query.
func (r *reader) request(o object, d *testDecl) {
	n := r.required(o, "request")
	if n == nil {
		return
	}
	request, ok := r.name(n, "request")
	if !ok {
		return
	}
	method, path, found := strings.Cut(request.text, " ")
	if !found {
		r.errorf(request.at, "bad-request", `request %q: expected a method and a path, as in "GET /path"`, request.text)
	} else if err := checkMethod(method); err != nil {
		r.errorf(request.at, "bad-method", "%v", err)
	} else if err := checkPath(path); err != nil {
		r.errorf(request.at, "bad-path", "path %q: %v", path, err)
	}
	d.method, d.path = method, path
}

// expectation reads {expect, route, missing, reason}, which must agree.
func (r *reader) expectation(o object, d *testDecl) {
	expected := false
	if n := r.required(o, "expect"); n != nil {
		var i int
		i, expected = r.word(n, "expect", []string{"deny", "allow"})
		d.allow = i == 1
	}
	if n := o.values["route"]; n != nil {
		if id, ok := r.name(n, "route"); ok {
			d.route = &id
		}
	}
	if n := o.values["reason"]; n != nil {
		if i, ok := r.word(n, "reason", reasonNames); ok {
			reason := Reason(i)
			d.reason = &reason
			if expected && d.allow != reason.allows() {
				r.errorf(positionOf(n), "contradiction", "reason %s contradicts expect", reason)
			}
		}
	}
	if n := o.values["missing"]; n != nil {
		// An empty list is a statement too: nothing is named, because every
		// alternative needs a hidden scope.
		if missing := r.alternatives(n, "missing"); missing != nil {
			d.missing = &missing
		}
		if expected && (d.allow || d.reason != nil && *d.reason != ReasonInsufficientScope) {
			r.errorf(positionOf(n), "contradiction", "missing goes only with expect: deny for insufficient_scope")
		}
	}
}
