package caddymodule

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestClockThatIsSetBackIsReportedOnce(t *testing.T) {
	core, logged := observer.New(zapcore.DebugLevel)
	var warned time.Duration
	var lines []int // after each look
	for _, behind := range []time.Duration{0, 100 * time.Millisecond, time.Hour, time.Hour + time.Millisecond, 2 * time.Hour, 0, 0} {
		warned = warnOfClock(zap.New(core), behind, warned)
		lines = append(lines, logged.Len())
	}
	if want := []int{0, 0, 1, 1, 2, 3, 3}; !slices.Equal(lines, want) {
		t.Errorf("lines after each look: %v, want %v", lines, want)
	}
	if n := logged.FilterLevelExact(zapcore.WarnLevel).FilterField(zap.Duration("behind", time.Hour)).Len(); n != 1 {
		t.Errorf("%d warnings of an hour", n)
	}
}
