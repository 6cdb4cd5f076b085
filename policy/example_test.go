package policy_test

import (
	"fmt"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

func Example() {
	p, err := policy.Load("eft.yaml", []byte(`
version: 1
scopes:
  read:eft:  {title: See EFT payments, risk: read}
  write:eft: {title: Send EFT payments, risk: withdraw}
  all:eft:   {title: All of EFT, risk: withdraw, implies: [read:eft, write:eft]}
routes:
  - id: send-eft
    match: {methods: [POST], path: "/v1/accounts/{account}/eft"}
    require: {scopes: [write:eft], bind: {account: token.account}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	decide := func(path, scope string) {
		facts := policy.Facts{Scopes: p.Set([]string{scope}), Accounts: []string{"42"}}
		m, _ := p.Match("POST", path)
		fmt.Println(p.Decide(&m, facts).Reason, p.Missing(&m, facts.Scopes))
	}
	decide("/v1/accounts/42/eft", "all:eft")
	decide("/v1/accounts/42/eft", "read:eft")
	decide("/v1/accounts/43/eft", "all:eft")
	decide("/v1/accounts", "all:eft")
	// Output:
	// allowed []
	// insufficient_scope [[write:eft]]
	// account_not_granted []
	// no_route []
}

func ExampleLoad_findings() {
	_, err := policy.Load("eft.yaml", []byte(`version: 1
scopes:
  read:eft: {risk: read}
routes:
  - id: list
    match: {methods: [get], path: "/v1/{account}/eft"}
    require: {scopes: [raed:eft]}
`))
	fmt.Println(err)
	// Output:
	// eft.yaml:6:23: method "get" is not upper-case; did you mean "GET"?
	// eft.yaml:7:24: unknown scope "raed:eft"; did you mean "read:eft"?
}
