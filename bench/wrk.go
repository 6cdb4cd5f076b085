//go:build linux

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// loadScript is how wrk reports. Each script ends with it.
//
//go:embed conf/load.lua
var loadScript string

// wrk is how wrk is asked to load a contender.
type wrk struct {
	dir         string // of the scripts
	connections int
	url         string
	header      []string
	body        string // makes it a POST
	crowd       string // a file of tokens, instead of one in header
	from        int    // the first token of them
}

// run loads for d.
func (l *wrk) run(ctx context.Context, d time.Duration) (sample, error) {
	script := "load.lua"
	switch {
	case l.crowd != "":
		script = "crowd.lua"
	case l.body != "":
		script = "post.lua"
	}
	// One thread costs the least, and is enough: it is not what is measured.
	arguments := []string{
		"--threads", "1", "--connections", strconv.Itoa(l.connections), "--timeout", "10s",
		"--duration", strconv.Itoa(int(max(d, time.Second)/time.Second)) + "s", "--script", filepath.Join(l.dir, script),
	}
	for _, line := range l.header {
		arguments = append(arguments, "--header", line)
	}
	arguments = append(arguments, l.url)
	switch {
	case l.crowd != "":
		arguments = append(arguments, "--", l.crowd, strconv.Itoa(l.from))
	case l.body != "":
		arguments = append(arguments, "--", l.body)
	}
	said, err := exec.CommandContext(ctx, "wrk", arguments...).CombinedOutput() //nolint:gosec // G204: the arguments are ours
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w\n%s", err, said)
	}
	return parseWrk(string(said))
}

// parseWrk reads the line that load.lua wrote among what wrk says.
func parseWrk(said string) (sample, error) {
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, `{"requests":`) {
			continue
		}
		var got struct{ Requests, Micros, P50, P99, Errors int64 }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			return sample{}, fmt.Errorf("wrk's report: %w", err)
		}
		if got.Requests == 0 || got.Micros == 0 {
			return sample{}, fmt.Errorf("wrk got no answer:\n%s", said)
		}
		return sample{
			Requests: got.Requests, Errors: got.Errors,
			PerSecond: float64(got.Requests) / (float64(got.Micros) / 1e6),
			P50:       float64(got.P50), P99: float64(got.P99),
		}, nil
	}
	return sample{}, fmt.Errorf("no report in what wrk said:\n%s", said)
}
