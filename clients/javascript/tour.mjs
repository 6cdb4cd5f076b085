// What the tours share: who we are, and how they talk to the test (../tour_test.go).
import {readSync} from 'node:fs'

export const {ISSUER, API, CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, REDIRECT_URI} = process.env
export const accounts = new URL('/accounts', API)
export const orders = new URL('/orders', API)

// step says that a step of the tour was taken: the test counts them.
export const step = name => console.log('step ' + name)

// status is what the API says to a token.
export const status = async token =>
  (await fetch(accounts, {headers: {authorization: 'Bearer ' + token}})).status

// expired waits until the API no longer takes a token, and the library sees that
// it expired, which may be up to a second later.
export async function expired(token, seen) {
  for (const deadline = Date.now() + 20_000; (await status(token)) !== 401 || !seen();) {
    if (Date.now() > deadline) throw new Error('the token does not expire')
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

// authorize has a person open an address, and returns where the app gets the answer.
export function authorize(address) {
  console.log('authorize ' + address)
  let line = ''
  for (const byte = Buffer.alloc(1); readSync(0, byte) === 1 && byte[0] !== 10;) line += byte
  return new URL(line)
}
