// simple-oauth2: knows addresses by hand, and a token that can renew and revoke itself.
import {ClientCredentials, AuthorizationCode} from 'simple-oauth2'
import {strict as assert} from 'node:assert'
import {ISSUER, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, step, status, expired} from './tour.mjs'

const credentials = {id: CLIENT_ID, secret: CLIENT_SECRET}
const auth = {tokenHost: ISSUER, tokenPath: '/oauth2/token', revokePath: '/oauth2/revoke'}
const client = new ClientCredentials({client: credentials, auth})
let own = await client.getToken({scope: ['read:accounts']})
assert.equal(own.token.scope, 'read:accounts')
assert.equal(own.expired(), false)
step('get')

assert.equal(await status(own.token.access_token), 200)
step('call')

await expired(own.token.access_token, () => own.expired())
own = await client.getToken({scope: ['read:accounts']})
assert.equal(await status(own.token.access_token), 200)
step('expire')

const people = new AuthorizationCode({client: credentials, auth: {...auth, authorizePath: '/oauth2/authorize'}})
const first = people.createToken({refresh_token: REFRESH_TOKEN})
const renewed = await first.refresh()
assert.equal(await status(renewed.token.access_token), 200)
assert.notEqual(renewed.token.refresh_token, REFRESH_TOKEN)
step('renew')

await renewed.revokeAll()
assert.equal(await status(renewed.token.access_token), 401)
await own.revoke('access_token')
assert.equal(await status(own.token.access_token), 401)
step('revoke')

const refused = async (call, code) => {
  const error = await call().then(() => assert.fail('let in'), error => error)
  assert.equal(error.data?.payload?.error, code, String(error))
}
await refused(() => renewed.refresh(), 'invalid_grant')
await refused(() => client.getToken({scope: 'read:nothing'}), 'invalid_scope')
step('errors')
