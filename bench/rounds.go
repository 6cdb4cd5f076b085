//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// warmUp comes before the first round: connections, caches, the heap's size.
const warmUp = time.Second

// run loads each line once per round, every second round backwards, and returns
// each line's samples by its key.
func run(ctx context.Context, lines []contender, rounds int, slice time.Duration, progress func(string, ...any)) (map[string][]sample, error) {
	samples := map[string][]sample{}
	for _, line := range lines {
		if _, err := line.measure(ctx, warmUp); err != nil {
			return nil, err
		}
	}
	for round := range rounds {
		order := slices.Clone(lines)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, line := range order {
			s, err := line.measure(ctx, slice)
			if err != nil {
				return nil, err
			}
			samples[line.Key] = append(samples[line.Key], s)
			progress("round %d of %d  %-20s %8.0f/s  p99 %6.0f µs  CPU %5.1f µs", round+1, rounds, line.Key, s.PerSecond, s.P99, s.CPU)
		}
	}
	return samples, nil
}

// measure loads a line for a while. An error of any answer is one.
func (c *contender) measure(ctx context.Context, d time.Duration) (sample, error) {
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	s, err := c.load(ctx, d)
	if err == nil && s.Errors > 0 {
		err = fmt.Errorf("%d of %d answers were errors", s.Errors, s.Requests)
	}
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", c.Key, err, c.said.String())
	}
	after, err := c.cpu()
	s.CPU = float64((after-before)/time.Microsecond) / float64(s.Requests)
	return s, err
}
