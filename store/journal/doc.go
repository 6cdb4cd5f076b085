// Package journal keeps what is revoked a second time, in a file outside the
// database, so that an older copy of the database is recognised and can be
// brought up to date.
//
// # Laws
//
//  1. The journal is never ahead of the database: a line is written after
//     COMMIT. So a journal that knows more than the database proves that the
//     database is an older copy, and nothing else does that as well: the copy
//     itself looks healthy.
//  2. A line is on the disk before the caller of the revocation is answered.
//     Where that is impossible (disk full), the revocation stands all the same,
//     because the database has it; the log says so, and the journal is written
//     anew from the database as soon as it can be.
//  3. The generation is a number that both have. It rises at each opening and
//     once a minute, in the database first. A copy of the database that is older
//     than that is recognised even if nothing was revoked since.
//
// # The file
//
// One JSON object on each line. The first names the store and the generation;
// the others are revocations, later generations, and notes of what operators
// did to records (of which an older copy knows nothing either). The last member
// of each is a checksum over its line and the one before, so that a line that
// is changed, left out or put in is found. Half a line at the end is what a
// crash leaves behind; it was acknowledged to nobody. No line holds a secret.
package journal
