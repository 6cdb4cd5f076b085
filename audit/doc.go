// Package audit makes the audit trail provable: whoever changes, removes or
// inserts a row of it later can be found out.
//
// # Chain
//
// Every second or so a [Sealer] takes the rows that were added and puts a seal
// on them. Its digest covers the hash of each of these rows and the digest of
// the seal before, so that it stands for the whole trail up to there; and it is
// signed (Ed25519) with a key derived from the root key, which is not in the
// database. [Verify] walks the chain and says what is wrong and where.
//
// # Tail
//
// A chain can't tell that its end was cut off: what is left is sound. So the
// [Head] of the chain is given to sinks outside of the database ([File],
// [Syslog]) by a [Courier] each. With a head from there, Verify finds a cut; and
// without one nobody can say that there was none.
//
// # Refusals
//
// What changes something writes its row in the transaction of the change. What
// is refused changes nothing, and there may be many of them: a [Gatherer] counts
// those that are alike and hands them out once a second.
package audit
