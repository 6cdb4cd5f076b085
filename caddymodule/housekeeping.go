package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	collectEvery = time.Minute

	// collectLimit is how many rows one transaction touches: whoever comes while
	// it runs waits for about 10 ms.
	collectLimit = 200

	// collectBatches bounds a round, so that most of each minute is the callers'
	// even after a long stop. What is left waits for the next round.
	collectBatches = 1000
)

// keepHouse looks after the signing keys and deletes what can matter no more, once
// a minute, until ctx ends.
func (rt *runtime) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	var warned time.Duration
	for start := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			wall := time.Now()
			warned = warnOfClock(rt.log.Load(), rt.worlds[store.Production].authority.ClockBehind(), warned)
			steady := unhurried(start, wall, wall.Sub(start))
			rt.keepKeys(ctx, steady)
			rt.collect(ctx, steady)
		}
	}
}

// unhurried is the wall clock, but never ahead of what has elapsed by the
// monotonic one: a wall clock that jumps ahead must not end what is alive.
func unhurried(start, wall time.Time, elapsed time.Duration) time.Time {
	start, wall = start.Round(0), wall.Round(0)
	if steady := start.Add(elapsed); steady.Before(wall) {
		return steady
	}
	return wall
}

// keepKeys has each environment that is served look after its signing keys.
func (rt *runtime) keepKeys(ctx context.Context, steady time.Time) {
	app := rt.applied.Load()
	if app == nil {
		return
	}
	for _, env := range sortedKeys(app.Environments) {
		if err := rt.worlds[env].authority.KeepKeys(ctx, steady); err != nil && ctx.Err() == nil {
			rt.log.Load().Warn("looking after the signing keys failed; it is tried again in a minute",
				zap.String("environment", string(env)), zap.Error(err))
		}
	}
}

// collect makes one round through the environments that are served.
func (rt *runtime) collect(ctx context.Context, now time.Time) {
	app := rt.applied.Load()
	if app == nil {
		return
	}
	for _, env := range sortedKeys(app.Environments) {
		// An access token may live as long behind the end of its grant.
		keep := rt.worlds[env].authority.Retention()
		done, err := collectAll(ctx, rt.store, store.Collect{Environment: env, Now: now, Keep: keep, Limit: collectLimit})
		if done != (store.Collected{}) {
			rt.log.Load().Debug("deleted what is over", zap.String("environment", string(env)),
				zap.Int("revocations", done.Revocations), zap.Int("tokens", done.Tokens),
				zap.Int("grants", done.Grants), zap.Int("sessions", done.Sessions),
				zap.Int("sealed_copies", done.Copies), zap.Int("deliveries", done.Deliveries), zap.Bool("more", done.More))
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			rt.log.Load().Warn("deleting what is over failed; it is tried again in a minute",
				zap.String("environment", string(env)), zap.Error(err))
		}
	}
}

// collectAll collects batch by batch and sums up.
func collectAll(ctx context.Context, c store.Collector, req store.Collect) (store.Collected, error) {
	var sum store.Collected
	for range collectBatches {
		done, err := c.Collect(ctx, req)
		if err != nil {
			return sum, err
		}
		sum.Revocations += done.Revocations
		sum.Tokens += done.Tokens
		sum.Grants += done.Grants
		sum.Sessions += done.Sessions
		sum.Copies += done.Copies
		sum.Deliveries += done.Deliveries
		sum.More = done.More
		if !done.More {
			break
		}
	}
	return sum, nil
}
