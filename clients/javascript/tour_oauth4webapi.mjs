// oauth4webapi: the strictest of all, down to content types and token formats.
import * as oauth from 'oauth4webapi'
import {strict as assert} from 'node:assert'
import {
  ISSUER, API, CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, REDIRECT_URI,
  accounts, orders, step, status, expired, authorize,
} from './tour.mjs'

// Who knows the API alone is told where the issuer is (RFC 9728), and there all else (RFC 8414).
const api = new URL(API)
const resource = await oauth.processResourceDiscoveryResponse(api, await oauth.resourceDiscoveryRequest(api))
assert.deepEqual(resource.authorization_servers, [ISSUER])
const issuer = new URL(resource.authorization_servers[0])
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, {algorithm: 'oauth2'}))
step('discover')

const client = {client_id: CLIENT_ID}
for (const auth of [oauth.ClientSecretBasic(CLIENT_SECRET), oauth.ClientSecretPost(CLIENT_SECRET)]) {
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, {scope: 'read:accounts'})
  assert.equal((await oauth.processClientCredentialsResponse(as, client, answer)).scope, 'read:accounts')
}
const auth = oauth.ClientSecretBasic(CLIENT_SECRET)
const obtain = async () => oauth.processClientCredentialsResponse(as, client,
  await oauth.clientCredentialsGrantRequest(as, client, auth, {scope: 'read:accounts'}))
let token = await obtain()
step('get')

// RFC 9068, by our metadata and our JWKS.
const request = token => new Request(accounts, {headers: {authorization: 'Bearer ' + token}})
const claims = await oauth.validateJwtAccessToken(as, request(token.access_token), API)
assert.equal(claims.client_id, CLIENT_ID)
assert.equal(claims.scope, 'read:accounts')
await assert.rejects(oauth.validateJwtAccessToken(as, request(token.access_token), 'https://other.example'))
step('validate')

assert.equal((await oauth.protectedResourceRequest(token.access_token, 'GET', accounts)).status, 200)
step('call')

const challenged = async (url, token) => {
  const error = await oauth.protectedResourceRequest(token, 'GET', url).then(() => assert.fail('let in'), error => error)
  assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error))
  const [{scheme, parameters}] = error.cause
  assert.equal(scheme, 'bearer')
  return {status: error.status, ...parameters}
}
const refusal = await challenged(orders, token.access_token)
assert.deepEqual([refusal.status, refusal.error, refusal.scope], [403, 'insufficient_scope', 'trade:orders'])
await expired(token.access_token, () => true)
assert.equal((await challenged(accounts, token.access_token)).error, 'invalid_token')
token = await obtain()
assert.equal(await status(token.access_token), 200)
step('expire')

// A client with a secret, and one without.
async function allowed(client, auth) {
  const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState()
  const address = new URL(as.authorization_endpoint)
  address.search = new URLSearchParams({
    response_type: 'code', client_id: client.client_id, redirect_uri: REDIRECT_URI, scope: 'read:accounts', state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })
  const parameters = oauth.validateAuthResponse(as, client, authorize(address), state)
  return oauth.processAuthorizationCodeResponse(as, client,
    await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, REDIRECT_URI, verifier))
}
const nomad = {client_id: PUBLIC_CLIENT_ID}
const first = await allowed(client, auth), secretless = await allowed(nomad, oauth.None())
assert.equal(await status(first.access_token), 200)
assert.equal(await status(secretless.access_token), 200)
assert.equal((await oauth.validateJwtAccessToken(as, request(secretless.access_token), API)).sub, 'alice')
step('code')

const renew = async (client, auth, token) => oauth.processRefreshTokenResponse(as, client,
  await oauth.refreshTokenGrantRequest(as, client, auth, token))
const renewed = await renew(client, auth, first.refresh_token)
assert.equal(await status(renewed.access_token), 200)
assert.notEqual(renewed.refresh_token, first.refresh_token)
assert.equal(await status((await renew(nomad, oauth.None(), secretless.refresh_token)).access_token), 200)
step('renew')

const introspect = async token => oauth.processIntrospectionResponse(as, client,
  await oauth.introspectionRequest(as, client, auth, token))
const known = await introspect(renewed.access_token)
assert.deepEqual([known.active, known.client_id, known.scope], [true, CLIENT_ID, renewed.scope])
step('introspect')

await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, renewed.refresh_token))
assert.equal(await status(renewed.access_token), 401)
assert.equal((await introspect(renewed.access_token)).active, false)
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token.access_token))
assert.equal(await status(token.access_token), 401)
step('revoke')

const refused = async (grant, code) => {
  const error = await grant().then(() => assert.fail('let in'), error => error)
  assert.deepEqual([error.constructor, error.error], [oauth.ResponseBodyError, code], String(error))
}
await refused(() => renew(client, auth, renewed.refresh_token), 'invalid_grant')
await refused(async () => oauth.processClientCredentialsResponse(as, client,
  await oauth.clientCredentialsGrantRequest(as, client, auth, {scope: 'read:nothing'})), 'invalid_scope')
const wrong = await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic('wrong'), {})
  .then(answer => oauth.processClientCredentialsResponse(as, client, answer)).catch(error => error)
assert.ok(wrong instanceof oauth.WWWAuthenticateChallengeError && wrong.cause[0].scheme === 'basic', String(wrong))
step('errors')
