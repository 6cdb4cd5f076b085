package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

const explainedPolicy = `version: 1
scopes:
  read:a: {risk: read}
  send:a: {risk: withdraw}
  all:a: {risk: withdraw, implies: [read:a, send:a]}
  desk: {risk: admin, hidden: true}
routes:
  - {id: health, match: {methods: [GET], path: /health}, public: true}
  - {id: account, match: {methods: [GET], path: "/v1/{account}"}, require: {scopes: [read:a], bind: {account: token.account}}}
  - {id: send, match: {methods: [POST], path: "/v1/{account}"}, require: {any_of: [[read:a, send:a], [desk]], bind: {account: token.account}}}
  - {id: rest, match: {methods: [GET, POST], path: "/v1/{rest...}"}, require: {scopes: [desk]}}
`

func TestExplanationText(t *testing.T) {
	p, err := policy.Load("p.yaml", []byte(explainedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ request, scopes, accounts, want string }{
		"public": {"GET /health", "", "", `
request   GET /health
decision  allow (public)
route     health

CANDIDATE  LINE  METHODS  PATH     OUTCOME
health     8     GET      /health  decides
`},
		"allowed by what is implied": {"POST /v1/7", "all:a read:a", "7 8", `
request   POST /v1/7
accounts  7 8
decision  allow (allowed)
route     send

SCOPE HELD  BECAUSE
read:a      given, implied by all:a
all:a       given
send:a      implied by all:a

CANDIDATE  LINE  METHODS   PATH           OUTCOME
send       10    POST      /v1/{account}  decides
rest       11    GET POST  /v1/{rest...}  less specific than send
account    9     GET       /v1/{account}  not for POST

ALTERNATIVE    MISSING
read:a send:a  -
desk           desk

BINDING    ACCOUNT  GRANTED
{account}  7        yes

PASSES WITH
read:a send:a
desk
`},
		"neither scope nor account": {"GET /v1/7", "desk", "", `
request   GET /v1/7
decision  deny (insufficient_scope)
route     account

SCOPE HELD  BECAUSE
desk        given, hidden

CANDIDATE  LINE  METHODS   PATH           OUTCOME
account    9     GET       /v1/{account}  decides
rest       11    GET POST  /v1/{rest...}  less specific than account
send       10    POST      /v1/{account}  not for GET

ALTERNATIVE  MISSING
read:a       read:a

BINDING    ACCOUNT  GRANTED
{account}  7        no

PASSES WITH, IF THE ACCOUNT IS GRANTED
read:a
`},
		"misspelt": {"GET /healthz", "", "", `
request   GET /healthz
decision  deny (no_route)

CANDIDATE  LINE  METHODS  PATH     OUTCOME
health     8     GET      /health  segment 1 differs: found /healthz, expected /health
`},
		"far from everything": {"DELETE /nowhere", "", "", `
request   DELETE /nowhere
decision  deny (no_route)

No route matches or nearly matches.
`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			e := p.Explain(method, path, splitScopes(test.scopes), splitScopes(test.accounts))
			var got strings.Builder
			got.WriteByte('\n')
			if err := printExplanation(&got, &e); err != nil || got.String() != test.want {
				t.Errorf("got %s\nwant %s (%v)", got.String(), test.want, err)
			}
		})
	}
}
