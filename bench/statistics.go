//go:build linux

package main

import (
	"math"
	"slices"
)

// sample is what one slice of load measured.
type sample struct {
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"` // of a request, as the client saw it
	P99       float64 `json:"p99_us"`
	CPU       float64 `json:"cpu_us"` // of the gateway's processes, for each request
}

// spread is a figure over the rounds.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// spreadOf is not a number where there is nothing.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// figure takes one figure of each sample.
func figure(samples []sample, of func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}

// ratios compares round by round: what the machine did meanwhile befell both.
func ratios(a, b []sample, of func(sample) float64) spread {
	values := make([]float64, min(len(a), len(b)))
	for i := range values {
		values[i] = of(a[i]) / of(b[i])
	}
	return spreadOf(values)
}

func perSecond(s sample) float64 { return s.PerSecond }
func cpu(s sample) float64       { return s.CPU }
func p50(s sample) float64       { return s.P50 }
func p99(s sample) float64       { return s.P99 }
