// openid-client: finds all by discovery.
import * as oauth from 'openid-client'
import {strict as assert} from 'node:assert'
import {ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, accounts, step, status, expired, authorize} from './tour.mjs'

const config = await oauth.discovery(new URL(ISSUER), CLIENT_ID, undefined,
  oauth.ClientSecretBasic(CLIENT_SECRET), {algorithm: 'oauth2'})
step('discover')

const obtain = () => oauth.clientCredentialsGrant(config, {scope: 'read:accounts'})
let token = await obtain()
assert.equal(token.scope, 'read:accounts')
assert.ok(token.expiresIn() > 0)
step('get')

const answer = await oauth.fetchProtectedResource(config, token.access_token, accounts, 'GET')
assert.equal(answer.status, 200)
step('call')

await expired(token.access_token, () => token.expiresIn() === 0)
token = await obtain()
assert.equal(await status(token.access_token), 200)
step('expire')

const pkceCodeVerifier = oauth.randomPKCECodeVerifier(), expectedState = oauth.randomState()
const back = authorize(oauth.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI, scope: 'read:accounts', state: expectedState,
  code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
}))
const first = await oauth.authorizationCodeGrant(config, back, {pkceCodeVerifier, expectedState})
assert.equal(await status(first.access_token), 200)
step('code')

const renewed = await oauth.refreshTokenGrant(config, first.refresh_token)
assert.equal(await status(renewed.access_token), 200)
assert.notEqual(renewed.refresh_token, first.refresh_token)
step('renew')

assert.equal((await oauth.tokenIntrospection(config, renewed.access_token)).active, true)
step('introspect')

await oauth.tokenRevocation(config, renewed.refresh_token)
assert.equal(await status(renewed.access_token), 401)
assert.equal((await oauth.tokenIntrospection(config, renewed.access_token)).active, false)
await oauth.tokenRevocation(config, token.access_token)
assert.equal(await status(token.access_token), 401)
step('revoke')

const refused = async (call, code) => {
  const error = await call().then(() => assert.fail('let in'), error => error)
  assert.equal(error.error, code, String(error))
}
await refused(() => oauth.refreshTokenGrant(config, renewed.refresh_token), 'invalid_grant')
await refused(() => oauth.clientCredentialsGrant(config, {scope: 'read:nothing'}), 'invalid_scope')
step('errors')
