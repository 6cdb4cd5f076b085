package caddymodule

import (
	"sync"

	"github.com/caddy-bearer/caddy-bearer/token"
)

const testPolicy = `version: 1
scopes:
  read:accounts:  {title: See accounts, risk: read}
  read:eft:       {title: See payments, risk: read}
  write:eft:      {title: Send payments, risk: withdraw}
  all:eft:        {title: Everything about EFT, risk: withdraw, implies: [read:eft, write:eft]}
  all:remittance: {title: Everything about remittance, risk: withdraw}
  read:market:    {title: See market data, risk: read}
  trade:orders:   {title: Place orders, risk: trade}
  admin:desk:     {title: Desk operations, risk: admin, hidden: true}
routes:
  - {id: health, match: {methods: [GET], path: "/health"}, public: true}
  - {id: debug, match: {methods: [GET], path: "/debug/request"}, public: true}
  - {id: accounts, match: {methods: [GET], path: "/api/v1/accounts"}, require: {scopes: [read:accounts]}}
  - {id: eft, match: {methods: [GET], path: "/api/v1/eft"}, require: {scopes: [read:eft]}}
  - {id: events, match: {methods: [GET], path: "/api/v1/events"}, require: {scopes: [read:market]}}
  - id: stream
    match: {methods: [GET], path: "/api/v1/stream"}
    require: {scopes: [read:market]}
    credentials: [header, subprotocol]
  - id: orders
    match: {methods: [POST], path: "/api/v1/accounts/{account}/orders"}
    require: {any_of: [[trade:orders], [admin:desk]], bind: {account: token.account}}
`

// The hashes are made once: argon2id is slow on purpose.
var (
	clientHash  = sync.OnceValue(func() string { return hashOf(clientSecret) })
	serviceHash = sync.OnceValue(func() string { return hashOf(serviceSecret) })
)

func hashOf(secret string) string {
	hash, err := token.HashPassword(secret)
	if err != nil {
		panic(err)
	}
	return hash
}
