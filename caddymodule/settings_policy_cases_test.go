package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var policyProofs = slices.Concat([]proof{
	{
		keys:    []string{"policy version"},
		outcome: "policy lint",
		apart: func(t *testing.T) (first, second string) {
			s := newServer(t)
			lint := func(version int) string {
				s.write("policy.yaml", fmt.Sprintf("version: %d\n", version))
				out, _, _ := s.run("", "bearer", "policy", "lint", "policy.yaml")
				return strings.TrimSpace(out)
			}
			return lint(1), lint(2)
		},
		first: "", second: "policy.yaml:1:10: version is 2; only version 1 is known [error version]",
	},
	{
		keys:    []string{"policy scopes", "policy scopes.*.implies"},
		outcome: "the answer to a token with the scope broad, where sees is needed",
		see:     func(v *variant) string { return v.get("/implies", true) },
		first:   "200", second: "403",
	},
	{
		keys:    []string{"policy scopes.*.hidden"},
		outcome: "the scope that the gate's refusal names",
		see: func(v *variant) string {
			var problem struct{ Missing [][]string }
			v.answer(v.call("GET", "/hidden", v.issued.Access), 403, &problem)
			return fmt.Sprint(problem.Missing)
		},
		first: "[[shy]]", second: "[]",
	},
	{
		keys:    []string{"policy scopes.*.title"},
		outcome: "what the page that asks for consent says of a scope",
		apart: func(t *testing.T) (first, second string) {
			s := startWithApps(t)
			s.newUser("ada", "a password of ada", "read:accounts")
			w := s.surfer("ada", "a password of ada")
			title := func() string {
				return betweenTags(w.page(authorizeQuery(payerID, payerURI, "read:accounts")), `class="title"`)
			}
			first = title()
			s.write("policy.yaml", strings.Replace(testPolicy, "See accounts", "Look at accounts", 1))
			s.eventually("the policy is loaded anew", func() bool { return title() != first })
			return first, title()
		},
		first: "See accounts", second: "Look at accounts",
	},
	{
		keys:    []string{"policy scopes.*.risk"},
		outcome: "what policy lint says of a scope that implies one of risk trade",
		see: func(v *variant) string {
			for line := range strings.Lines(v.lint) {
				if strings.Contains(line, "understated-risk") {
					return after(": ", strings.TrimSpace(line))
				}
			}
			return ""
		},
		first: "", second: `scope "bold" has risk read but implies "extra" of risk trade [warning understated-risk]`,
	},
}, testProofs())

// testProofs are about the tests of a policy, which may stand in it or in a file
// of their own. All hold with the first configuration.
func testProofs() (all []proof) {
	failures := map[string]string{
		"request":  "/nowhere/request: expected allow; got deny (no_route)",
		"scopes":   "/tested/scopes: expected allow; got deny (insufficient_scope) by route tested, missing [[base]]",
		"accounts": "/bound/accounts: expected allow; got deny (account_not_granted) by route bound",
		"expect":   "/tested/expect: expected deny; got allow (allowed) by route tested",
		"route":    "/tested/route: expected allow by route bound; got allow (allowed) by route tested",
		"missing":  "/tested/missing: expected deny, missing [[extra]]; got deny (insufficient_scope) by route tested, missing [[base]]",
		"reason":   "/tested/reason: expected deny (no_route); got deny (insufficient_scope) by route tested, missing [[base]]",
	}
	for _, key := range sortedKeys(failures) {
		failure := failures[key]
		keys := []string{"policy tests.*." + key, "test file tests.*." + key}
		if key == "request" {
			keys = append(keys, "policy tests", "test file tests")
		}
		all = append(all, proof{
			keys:    keys,
			outcome: "what policy test says of a test in the policy, and of one in a file of tests",
			see:     func(v *variant) string { return v.failures(key) },
			first:   "", second: "rights.yaml: " + failure + "\ntests.yaml: " + failure,
		})
	}
	return all
}
