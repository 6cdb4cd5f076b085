//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// machine is where and with what a run was made.
type machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Caddy    string `json:"caddy"`
	HAProxy  string `json:"haproxy"`
	Nginx    string `json:"nginx"`
	Wrk      string `json:"wrk"`
	Revision string `json:"revision"`
}

// survey asks everything for its version.
func survey(ctx context.Context, stockBinary string) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: strings.TrimPrefix(runtime.Version(), "go")}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	m.CPU = first(string(info), `model name\s*:\s*(.*)`)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = first(string(kernel), `^(\d+\.\d+)`)
	for _, tool := range []struct {
		into    *string
		pattern string
		command []string
	}{
		{&m.Caddy, `v?(\d+\.\d+\.\d+)`, []string{stockBinary, "version"}},
		{&m.HAProxy, `version (\d+\.\d+\.\d+)`, []string{"haproxy", "-v"}},
		{&m.Nginx, `nginx/(\d+\.\d+\.\d+)`, []string{"nginx", "-v"}},
		{&m.Wrk, `(\d+\.\d+\.\d+)`, []string{"wrk", "-v"}},
		{&m.Revision, `([0-9a-f]+)`, []string{"git", "rev-parse", "--short=10", "HEAD"}},
	} {
		// wrk tells its version and exits with 1.
		said, err := exec.CommandContext(ctx, tool.command[0], tool.command[1:]...).CombinedOutput() //nolint:gosec // G204: from the table above
		if *tool.into = first(string(said), tool.pattern); *tool.into == "" {
			return m, fmt.Errorf("version of %s: %w\n%s", tool.command[0], err, said)
		}
	}
	return m, nil
}

func first(text, pattern string) string {
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return strings.TrimSpace(found[1])
}

// stolen reads how much of the processors' time the host gave to others since
// the machine began, and all time, in ticks (proc_stat(5)).
func stolen() (steal, all int64, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return stolenOf(string(stat))
}

func stolenOf(stat string) (steal, all int64, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, field := range fields[1:9] { // guest times are in the first two already
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		all += ticks
		if i == 7 {
			steal = ticks
		}
	}
	return steal, all, nil
}
