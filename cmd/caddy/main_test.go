package main

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedLessOften(t *testing.T) {
	for name, test := range map[string]struct {
		chosen bool
		want   int
	}{
		"by default":           {false, garbagePercent},
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
