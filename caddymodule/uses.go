package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// recordUsesEvery is how often is written down which personal tokens were used.
// A crash loses what was noted since. (A variable for tests, which wait for it.)
var recordUsesEvery = 10 * time.Second

// recordUsesAtEnd bounds the last time, when the process may be about to end.
const recordUsesAtEnd = 2 * time.Second

// keepUses records uses until ctx ends.
func (rt *runtime) keepUses(ctx context.Context) {
	ticker := time.NewTicker(recordUsesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			rt.recordUses(ctx)
		}
	}
}

// recordUses writes down which personal tokens were used. A failure is no
// reason to serve less: it is tried again with the next.
func (rt *runtime) recordUses(ctx context.Context) {
	for env, w := range rt.worlds {
		if err := w.authority.RecordUses(ctx); err != nil && ctx.Err() == nil {
			rt.log.Load().Warn("recording when tokens were used failed; it is tried again",
				zap.String("environment", string(env)), zap.Error(err))
		}
	}
}
