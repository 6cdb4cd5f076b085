package store

import (
	"context"
	"time"
)

// Collector deletes what can matter no more, so that a store grows with what
// is alive and not with what ever was.
type Collector interface {
	// Collect deletes one batch, in one transaction. Collected.More says whether
	// to call again. Concerning the environment of the request alone, and as of
	// Now, these go:
	//
	//   - a revocation of the log once its Expires has come. Those that never
	//     expire stay, and so does every epoch.
	//   - a token once it has been expired for Keep, rotated or not. Until then an
	//     old refresh token that comes back is reuse (ErrReused); afterwards it is
	//     ErrNotFound and its family lives on: nobody can do anything with it, and
	//     whoever stole it had its whole life and Keep to give himself away.
	//   - a session once it has expired, and so the sealed copy of a token.
	//   - a delivery once it has ended for DeliveryKeep.
	//   - a grant, with its codes and its connection, once nothing can come of it and
	//     nothing below it can live: for Keep, its tokens and codes have been expired,
	//     its own Expires has passed or it was revoked, and it was neither made nor
	//     revoked.
	//
	// So a code stays as long as its grant, and a replay of it kills the grant
	// however old it is. A grant with a permanent token stays for ever, dead or
	// alive. The audit trail, the parties, their numbers and the signing keys are
	// never collected.
	Collect(ctx context.Context, req Collect) (Collected, error)
}

// Collect asks for the deletion of a batch.
type Collect struct {
	Environment Environment
	// Now must not run ahead: what it declares to be over is gone.
	Now time.Time
	// Keep is the memory of what has ended. It must be longer than any access
	// token lives and than any window of RetryRule.
	Keep time.Duration
	// Limit is how many rows may be touched, at least 1.
	Limit int
}

// Collected says what was deleted.
type Collected struct {
	Revocations int
	Tokens      int
	Grants      int
	Sessions    int
	Deliveries  int
	Copies      int  // sealed ones, of tokens that stay
	More        bool // Limit was reached: there may be more
}
