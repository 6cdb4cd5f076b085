package token

import "time"

// Signs reports whether there is a key that signs at present.
func (a *Authority) Signs() bool {
	keys := a.keys.Load()
	return keys != nil && keys.signer(a.Now()) != nil
}

// SweptAgo is how long ago the riders were last all asked whether they may go on,
// as they are four times a second; 0 before Open. If it grows, a rider that can't
// be cut holds up the others, and every revocation with them.
func (a *Authority) SweptAgo() time.Duration {
	if at := a.swept.Load(); at != nil {
		return time.Since(*at) // by the monotonic clock: whatever the system's is set to
	}
	return 0
}

// noteSweep is for those who sweep in time.
func (a *Authority) noteSweep() {
	now := time.Now()
	a.swept.Store(&now)
}
