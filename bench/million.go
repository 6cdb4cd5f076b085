//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How many distinct tokens pass the gate, and how many are looked at together.
const (
	millionTokens  = 1_000_000
	windowTokens   = 100_000
	millionCallers = 8
)

// window is what the gate did with some of the tokens.
type window struct {
	Seen   int64   `json:"seen"` // with all before
	Memory int64   `json:"memory_bytes"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
}

// million shows a gate with a cache for some 50,000 tokens a million, each once:
// what memory and time a request takes must not grow with them. Tokens are made
// as they are needed; making one is not in the times.
func (g *gateways) million(ctx context.Context, gate *process, progress func(string, ...any)) ([]window, error) {
	var windows []window
	var next atomic.Int64
	next.Store(crowdSize) // those before have been shown
	for len(windows) < millionTokens/windowTokens {
		end := next.Load() + windowTokens
		times, err := g.strangers(ctx, gate, &next, end)
		if err != nil {
			return nil, err
		}
		next.Store(end)
		resident, err := gate.memory("VmRSS")
		if err != nil {
			return nil, err
		}
		windows = append(windows, window{
			Seen: end - crowdSize, Memory: resident, P50: times[len(times)/2], P99: times[len(times)*99/100],
		})
		last := windows[len(windows)-1]
		progress("%d tokens seen  %d MiB  p99 %.0f µs", last.Seen, last.Memory>>20, last.P99)
	}
	return windows, nil
}

// strangers shows a gate each token from next to end once, and returns how many
// microseconds each took, sorted.
func (g *gateways) strangers(ctx context.Context, gate *process, next *atomic.Int64, end int64) ([]float64, error) {
	var times [millionCallers][]float64
	var failed [millionCallers]error
	var all sync.WaitGroup
	for i := range millionCallers {
		all.Go(func() {
			c := caller{network: "tcp", address: gate.address()}
			defer c.close()
			for n := next.Add(1); n <= end && ctx.Err() == nil; n = next.Add(1) {
				token, err := g.press.signed(int(n))
				begin := time.Now()
				if err == nil {
					_, err = c.send(bearer(token))
				}
				if err != nil {
					failed[i] = err
					return
				}
				times[i] = append(times[i], float64(time.Since(begin))/float64(time.Microsecond))
			}
		})
	}
	all.Wait()
	sorted := slices.Concat(times[:]...)
	slices.SortFunc(sorted, cmp.Compare)
	return sorted, errors.Join(errors.Join(failed[:]...), ctx.Err())
}
