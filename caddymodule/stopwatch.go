package caddymodule

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stopwatch counts how long things took, for a histogram. It is safe for concurrent
// use and takes no lock.
type stopwatch struct {
	bounds []float64       // in seconds, rising
	counts []atomic.Uint64 // one more than bounds: what took longer than all
	sum    atomic.Int64    // in nanoseconds
}

func newStopwatch(bounds []float64) *stopwatch {
	return &stopwatch{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

func (s *stopwatch) note(took time.Duration) {
	s.counts[sort.SearchFloat64s(s.bounds, took.Seconds())].Add(1)
	s.sum.Add(int64(took))
}

// send sends the histogram with what was noted by now.
func (s *stopwatch) send(out chan<- prometheus.Metric, f *family, labels ...string) {
	below, all := make(map[float64]uint64, len(s.bounds)), uint64(0)
	for i, bound := range s.bounds {
		all += s.counts[i].Load()
		below[bound] = all
	}
	all += s.counts[len(s.bounds)].Load()
	sum := time.Duration(s.sum.Load()).Seconds()
	out <- prometheus.MustNewConstHistogram(f.desc, all, sum, below, labels...)
}
