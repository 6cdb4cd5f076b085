// Package notify tells users by webhooks what happens to their tokens.
//
// Its laws:
//
//   - Nothing is lost. What happened is read from the audit trail, which is final and
//     in order, and a cursor says up to where. Messages and the cursor are written in
//     one transaction, and a message waits in the store until it was delivered or a
//     day has passed. Whoever issues and revokes knows nothing of all this.
//   - A message may come twice, with the same id: a receiver that got it may not have
//     been able to say so.
//   - Nobody waits for a receiver but the messages that are for it.
//   - A user says where to, and so nothing inside of our networks can be reached: an
//     address is checked when it is dialled, not when it is typed. What a receiver
//     answers is nobody's to read, but for the status.
//   - No message holds a secret.
package notify
