//go:build !bearer_acknowledge_early

package sqlite

import "time"

// acknowledgeEarly is how long before COMMIT callers are woken. It is zero in
// every binary that is meant to be used: they are woken after it. undurable.go
// says what the other kind is for.
const acknowledgeEarly time.Duration = 0
