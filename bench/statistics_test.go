//go:build linux

package main

import (
	"math"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{9, 1, 4, 6}, spread{5, 1, 9}},
	} {
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("%v: %v, want %v", test.values, got, test.want)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.Median) {
		t.Errorf("of nothing: %v", got)
	}
}

// A machine that becomes slower hits both; only what differs within a round counts.
func TestRatiosAreTakenRoundByRound(t *testing.T) {
	floor := []sample{{PerSecond: 1000}, {PerSecond: 500}, {PerSecond: 100}}
	line := []sample{{PerSecond: 1100}, {PerSecond: 500}, {PerSecond: 120}}
	if got, want := ratios(line, floor, perSecond), (spread{1.1, 1, 1.2}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
