// Package proof holds the crash proof and the race proof: tests that run the
// real binary, talk to it over HTTP like any program, and kill it.
//
//   - crash_test.go    kill -9 at random moments loses nothing that was acknowledged
//   - early_test.go    the same, with a binary that is broken on purpose: it must fail
//   - race_test.go     no request that is sent after a revocation's answer passes
//   - streams_test.go  no stream outlives it
//   - mint_test.go     nor does a token that was made at the same moment
//   - flood_test.go    made-up tokens don't get through, nor in a good client's way
//
// They take minutes, so that they stand behind the build tag proof; `make test`
// runs them, without the race detector, which watches only its own process.
// docs/reliability.md says what they prove and what they do not.
package proof
