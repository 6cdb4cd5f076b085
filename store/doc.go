// Package store holds the records of caddy-bearer and the contract by which
// every other room reads and changes them.
//
// # Laws
//
//  1. Every flow is one transaction. Its result says what happened; an error
//     that is itself a fact (ErrReplayed, ErrReused, ErrMismatch) is returned only
//     after what it brought about was committed.
//  2. What was acknowledged is durable. A method returns without error only
//     after COMMIT returned, and a revocation is handed to Options.Committed
//     of the implementation after COMMIT and before the caller is woken.
//  3. A caller that goes away changes nothing. Once a job has begun, its
//     context can no longer stop it.
//  4. Nothing slow happens inside a transaction: no signing, no hashing, no
//     network. Secrets arrive here as keyed hashes and never otherwise.
//  5. No clock is read here. Every instant is given by the caller, in whole
//     seconds or finer, and every record belongs to one environment.
//
// # Epochs and rights
//
// Principals, clients, accounts and signing keys carry an Epoch; principals and
// clients carry Rights as well. Both are drawn from one counter that only ever
// rises. A token remembers the highest epoch and the highest rights of all
// that it stands on (Standing), read in the transaction that minted it. To kill
// everything of one principal, its epoch is raised above every number handed
// out so far: whatever carries a lower number is dead, and no clocks are
// compared. Rights work the same way but kill nothing: a token with a lower
// number is cut to what is allowed now. Where rights were only given, what exists
// stays good as it is, and what is looked up is looked up again.
//
// Implementations are in store/sqlite; store/storetest is the one suite that
// each of them must pass.
package store
