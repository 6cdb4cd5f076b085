package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// step is one Go benchmark over its runs.
type step struct {
	Name        string  `json:"name"`
	Nanoseconds spread  `json:"ns"`
	Allocations float64 `json:"allocations"`
}

// packages have the benchmarks of what a request passes.
var packages = []string{"./gate", "./token", "./policy"}

// goBenchmarks runs the benchmarks whose names match, each some times.
func goBenchmarks(ctx context.Context, tags, names string, count int) ([]step, error) {
	arguments := append([]string{"test", "-tags", tags, "-run", "^$", "-bench", names, "-benchmem",
		"-benchtime", "500ms", "-count", strconv.Itoa(count)}, packages...)
	said, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput() //nolint:gosec // G204: the arguments are ours
	if err != nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, said)
	}
	return parseGo(string(said)), nil
}

// goLine is a result of `go test -bench -benchmem`.
var goLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(?:\s(\d+) allocs/op)?$`)

// parseGo gathers the runs of each benchmark, in the order of their first.
func parseGo(said string) []step {
	var names []string
	times, allocations := map[string][]float64{}, map[string]float64{}
	for line := range strings.Lines(said) {
		found := goLine.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		name := found[1]
		if times[name] == nil {
			names = append(names, name)
		}
		nanoseconds, _ := strconv.ParseFloat(found[2], 64) // the pattern holds that it is one
		times[name] = append(times[name], nanoseconds)
		allocations[name], _ = strconv.ParseFloat(found[3], 64) // none: 0
	}
	steps := make([]step, len(names))
	for i, name := range names {
		steps[i] = step{name, spreadOf(times[name]), allocations[name]}
	}
	return steps
}
