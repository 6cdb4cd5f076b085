import {setTimeout as sleep} from 'node:timers/promises'
import * as oauth from 'openid-client'

const {ISSUER, API, CLIENT_ID, CLIENT_SECRET} = process.env
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())

let config, token, renewAt = 0

async function accessToken() {
  config ??= await oauth.discovery(new URL(ISSUER), CLIENT_ID, undefined,
    oauth.ClientSecretBasic(CLIENT_SECRET), {algorithm: 'oauth2'})
  if (Date.now() >= renewAt) {
    token = await oauth.clientCredentialsGrant(config, {scope: 'read:accounts'})
    renewAt = Date.now() + (token.expires_in - 10) * 1000 // before it ends
  }
  return token.access_token
}

async function call(path, repeat = true) {
  const response = await fetch(API + path, {
    headers: {authorization: 'Bearer ' + await accessToken()}, signal: AbortSignal.timeout(30_000),
  })
  if (response.status === 401 && repeat) { // revoked, or your rights changed: renew once
    renewAt = 0
    return call(path, false)
  }
  if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status}`), {response})
  return response.json()
}

for (let failures = 0; !stop.signal.aborted;) {
  let pause = 1
  try {
    await call('/accounts') // your work
    failures = 0
  } catch (error) { // 503, 429, no network: wait as long as the server asks, or ever longer
    console.error(error.message)
    pause = Number(error.response?.headers.get('retry-after')) || Math.min(2 ** failures++, 60)
  }
  await sleep(pause * 1000, null, {signal: stop.signal}).catch(() => {})
}
if (token) await oauth.tokenRevocation(config, token.access_token)
