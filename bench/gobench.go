//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// step is one Go benchmark over its runs.
type step struct {
	Name        string  `json:"name"` // as in its code
	What        string  `json:"what"` // for readers
	Nanoseconds spread  `json:"ns"`
	Allocations float64 `json:"allocations"`
	Aim         float64 `json:"aim_ns,omitempty"` // 0: none
}

// steps are the benchmarks of what a request passes, as the page has them.
var steps = []step{
	{Name: "Check/hot", What: "check (steps 2–7), one hot token", Aim: 200},
	{Name: "Check/100000_tokens", What: "check, 100,000 tokens in turn", Aim: 700},
	{Name: "Check/public", What: "check, public route"},
	{Name: "CheckPersonal/unlimited", What: "check, personal token without limits"},
	{Name: "CheckPersonal/limited", What: "check, personal token with a rate"},
	{Name: "Middleware/again", What: "whole middleware (steps 1–8, next excluded), one request again and again", Aim: 1000},
	{Name: "Middleware/fresh", What: "the same, each request and its context new"},
	{Name: "CheckHot", What: "proof from the cache and verdict, one hot token"},
	{Name: "JoinLeave", What: "join and leave the register of riders"},
	{Name: "Sweep10000Riders", What: "sweep of 10,000 riders"},
	{Name: "Verify", What: "verify a token (a miss), ES256"},
	{Name: "Algorithms/verify/EdDSA", What: "the same, EdDSA"},
	{Name: "Sign", What: "sign a token, ES256"},
	{Name: "Algorithms/sign/EdDSA", What: "the same, EdDSA"},
	{Name: "ParseOpaque/made_up", What: "refuse a made-up opaque token"},
	{Name: "MatchDecide/routes=10", What: "policy of 10 routes: match and decision", Aim: 100},
	{Name: "MatchDecide/routes=1000", What: "policy of 1,000 routes, 64 of them asked for", Aim: 100},
	{Name: "MatchDecide/routes=10000", What: "policy of 10,000 routes, 64 of them asked for", Aim: 100},
	{Name: "MatchDecide/routes=10000/each-in-turn", What: "policy of 10,000 routes, each in turn"},
}

// packages have these benchmarks.
var packages = []string{"./gate", "./token", "./policy"}

// goBenchmarks runs them, each count times.
func goBenchmarks(ctx context.Context, tags string, count int) ([]step, error) {
	var functions []string
	for _, s := range steps {
		function, _, _ := strings.Cut(s.Name, "/")
		if name := "^Benchmark" + function + "$"; !slices.Contains(functions, name) {
			functions = append(functions, name)
		}
	}
	arguments := append([]string{"test", "-tags", tags, "-run", "^$", "-bench", strings.Join(functions, "|"), "-benchmem",
		"-benchtime", "500ms", "-count", strconv.Itoa(count)}, packages...)
	said, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput() //nolint:gosec // G204: the arguments are ours
	if err != nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, said)
	}
	return parseGo(string(said))
}

// goLine is a result of `go test -bench -benchmem`.
var goLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(?:\s(\d+) allocs/op)?$`)

// parseGo finds the runs of each of steps.
func parseGo(said string) ([]step, error) {
	times, allocations := map[string][]float64{}, map[string]float64{}
	for line := range strings.Lines(said) {
		found := goLine.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		nanoseconds, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			return nil, err
		}
		times[found[1]] = append(times[found[1]], nanoseconds)
		allocations[found[1]], _ = strconv.ParseFloat(found[3], 64) // none: 0
	}
	measured := slices.Clone(steps)
	for i := range measured {
		s := &measured[i]
		if times[s.Name] == nil {
			return nil, fmt.Errorf("no benchmark %s in what go test said:\n%s", s.Name, said)
		}
		s.Nanoseconds, s.Allocations = spreadOf(times[s.Name]), allocations[s.Name]
	}
	return measured, nil
}
