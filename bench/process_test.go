//go:build linux

package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestProcessorTimeFromProc(t *testing.T) {
	const stat = "4711 (a) b (c) S 1 4711 4711 0 -1 4194304 900 0 0 0 250 75 12 3 20 0 9 0 100 1000 200\n"
	if got, err := cpuOf(stat); err != nil || got != 3250*time.Millisecond {
		t.Errorf("%v, %v; want 3.25s", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2 3", "1 (x) S 1 2 3 4 5 6 7 8 9 10 eleven twelve 13"} {
		if _, err := cpuOf(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestMemoryFromProc(t *testing.T) {
	const status = "Name:\tcaddy\nVmHWM:\t   90112 kB\nVmRSS:\t   81920 kB\n"
	if got, err := memoryOf(status, "VmHWM"); err != nil || got != 88<<20 {
		t.Errorf("%d, %v; want 88 MiB", got, err)
	}
	if _, err := memoryOf(status, "VmSwap"); err == nil {
		t.Error("a field that is not there: no error")
	}
}

// The children of a server count: nginx works in them.
func TestChildrenAreCounted(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & sleep 60 & echo; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{name: "sh", cmd: cmd}
	var family []string
	if _, err := out.Read(make([]byte, 1)); err != nil { // both are there now
		t.Fatal(err)
	}
	if err := p.each(func(pid string) error { family = append(family, pid); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, pid := range family[1:] {
		var n int
		for _, c := range pid {
			n = n*10 + int(c-'0')
		}
		child, err := os.FindProcess(n)
		if err != nil {
			t.Fatal(err)
		}
		_ = child.Kill()
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(family) != 3 {
		t.Errorf("%d processes, want a shell and two children", len(family))
	}
}

func TestStolenTime(t *testing.T) {
	const stat = "cpu  100 0 50 800 20 0 10 20 7 0\ncpu0 50 0 25 400 10 0 5 10 3 0\n"
	if steal, all, err := stolenOf(stat); err != nil || steal != 20 || all != 1000 {
		t.Errorf("%d of %d, %v; want 20 of 1000", steal, all, err)
	}
	for _, bad := range []string{"", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 7 many"} {
		if _, _, err := stolenOf(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
