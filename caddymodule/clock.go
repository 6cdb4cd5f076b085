package caddymodule

import (
	"time"

	"go.uber.org/zap"
)

// warnOfClock tells operators, once for each step, that the system's clock was
// set back and that the node goes on by the hour that it had. It returns by how
// much, for the next time.
func warnOfClock(log *zap.Logger, behind, warned time.Duration) time.Duration {
	behind = behind.Round(time.Second)
	switch {
	case behind == warned:
	case behind > 0:
		log.Warn("the system's clock was set back; tokens go by the hour before until a restart, so that none lives longer: restart if the clock is right now",
			zap.Duration("behind", behind))
	default:
		log.Info("the system's clock has caught up")
	}
	return behind
}
