package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedLessOften(t *testing.T) {
	for name, test := range map[string]struct {
		chosen bool
		want   int
	}{
		"by default":           {false, mostPercent},
		"an operator's choice": {true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOGC", "100")
			if !test.chosen {
				os.Unsetenv("GOGC") // Setenv puts it back
			}
			before := debug.SetGCPercent(100)
			t.Cleanup(func() { debug.SetGCPercent(before) })
			collectLessOften()
			if got := debug.SetGCPercent(100); got != test.want {
				t.Errorf("%d percent, want %d", got, test.want)
			}
		})
	}
}

// Garbage takes headroom at most, or as much as is alive.
func TestGarbageHasABound(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[uint64]int{
		0: 400, 1: 400, 20 * mib: 400, 64 * mib: 400, 128 * mib: 200, 200 * mib: 128, 256 * mib: 100, 4096 * mib: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d MiB alive: %d percent, want %d", live/mib, got, want)
		}
	}
}

func TestGarbageIsAdjustedToWhatLives(t *testing.T) {
	before := debug.SetGCPercent(mostPercent)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for _, step := range []struct {
		live uint64
		want int
	}{{64 << 20, 400}, {67 << 20, 400}, {128 << 20, 200}, {20 << 20, 400}} {
		if got := adjust(mostPercent, step.live); got != step.want {
			t.Errorf("%d bytes alive: %d percent, want %d", step.live, got, step.want)
		}
		if got := debug.SetGCPercent(mostPercent); got != step.want {
			t.Errorf("%d bytes alive: set to %d percent, want %d", step.live, got, step.want)
		}
	}
	held := make([]byte, 32<<20)
	runtime.GC()
	if got := live(); got < 32<<20 {
		t.Errorf("%d bytes alive, and %d are held", got, len(held))
	}
	runtime.KeepAlive(held)
}
