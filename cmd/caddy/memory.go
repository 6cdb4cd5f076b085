package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may lie beside what is alive before it is collected. What lives
// here is small and what requests leave behind is much: with Go's default of 100 %
// a fifth of the processor's time goes into collecting. But with a large cache of
// tokens 400 % would be gigabytes: from headroom on it is headroom, until that
// would be less than Go's default. Near a memory limit (Caddy takes the
// container's, or the machine's) Go collects more often.
const (
	mostPercent  = 400
	leastPercent = 100
	headroom     = 256 << 20
)

// collectLessOften leaves the choice to operators who made one.
func collectLessOften() {
	if _, chosen := os.LookupEnv("GOGC"); chosen {
		return
	}
	debug.SetGCPercent(mostPercent)
	go func() {
		percent := mostPercent
		for range time.Tick(time.Second) {
			percent = adjust(percent, live())
		}
	}()
}

// live is how many bytes the last collection found in use; 0 before the first.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// adjust sets what fits the bytes in use, and returns it. Small changes are not
// worth the moment for which all stands still.
func adjust(percent int, live uint64) int {
	want := percentFor(live)
	if want < percent-percent/10 || want > percent+percent/10 {
		debug.SetGCPercent(want)
		return want
	}
	return percent
}

func percentFor(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	return int(max(leastPercent, min(headroom*100/live, mostPercent)))
}
