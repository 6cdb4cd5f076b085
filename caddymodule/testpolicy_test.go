package caddymodule

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"

	"golang.org/x/crypto/argon2"
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

// The hashes are made once: a configuration that is written again says the same.
var (
	clientHash  = sync.OnceValue(func() string { return hashOf(clientSecret) })
	serviceHash = sync.OnceValue(func() string { return hashOf(serviceSecret) })
)

// hashOf is a hash of the least cost that a configuration may have. With that of
// `caddy bearer hash-secret`, which is slow on purpose, a third of what a server
// test computes would be this.
func hashOf(secret string) string {
	const memory, passes, lanes = 8, 1, 1 // memory in KiB
	salt := make([]byte, 16)
	rand.Read(salt)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(secret), salt, passes, memory, lanes, 32)))
}
