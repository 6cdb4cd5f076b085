//go:build bearer_acknowledge_early

package sqlite

import (
	"os"
	"time"
)

// acknowledgeEarly breaks the store on purpose: callers are woken before COMMIT,
// which then comes as late as on a slow disk. The crash proof builds such a binary to show that
// it would notice (proof/early_test.go).
const acknowledgeEarly = 10 * time.Millisecond

func init() {
	if os.Getenv("BEARER_BREAKS_ON_PURPOSE") != "1" {
		panic("this binary acknowledges what it has not committed; it is good for the crash proof only")
	}
}
