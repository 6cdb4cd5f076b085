// simple-oauth2: knows addresses by hand, and a token that can renew and revoke itself.
import {ClientCredentials, AuthorizationCode} from 'simple-oauth2'
import {createHash, randomBytes} from 'node:crypto'
import {strict as assert} from 'node:assert'
import {ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, step, status, expired, authorize} from './tour.mjs'

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
const code_verifier = randomBytes(32).toString('base64url'), state = randomBytes(16).toString('base64url')
const back = authorize(people.authorizeURL({
  redirect_uri: REDIRECT_URI, scope: 'read:accounts', state,
  code_challenge: createHash('sha256').update(code_verifier).digest('base64url'), code_challenge_method: 'S256',
})).searchParams
assert.equal(back.get('state'), state)
const first = await people.getToken({code: back.get('code'), redirect_uri: REDIRECT_URI, code_verifier})
assert.equal(await status(first.token.access_token), 200)
step('code')

const renewed = await first.refresh()
assert.equal(await status(renewed.token.access_token), 200)
assert.notEqual(renewed.token.refresh_token, first.token.refresh_token)
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
