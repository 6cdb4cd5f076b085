// Package clients holds tests that run the programs of bot developers, written
// with the usual OAuth 2.0 libraries, unmodified, against the real binary over
// HTTPS.
//
//   - tour_test.go    each library through a token's life: get, call, expire, code, renew, introspect, revoke
//   - person_test.go  who allows what a program asks for, in a browser without scripts
//   - bot_test.go     the bots of docs/clients.md, and what must not stop them
//   - page_test.go    that page shows the files that are run
//
// The programs stand in a folder for each language. Their libraries come from
// the languages' registries, so that the tests stand behind the build tag
// clients: `make clients` installs them, then runs the tests.
package clients
