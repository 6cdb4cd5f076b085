//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestParseGo(t *testing.T) {
	var said strings.Builder
	said.WriteString("goos: linux\npkg: example.test/gate\n")
	for _, s := range steps {
		said.WriteString("Benchmark" + s.Name + "-2 \t 3800000\t 305.5 ns/op\t 0 B/op\t 0 allocs/op\n")
		said.WriteString("Benchmark" + s.Name + "-2 \t 20000\t 301.5 ns/op\t 20000 tokens/s\t 6500 B/op\t 79 allocs/op\n")
	}
	said.WriteString("BenchmarkOther \t 100\t 7 ns/op\nPASS\nok  \texample.test/gate\t3.2s\n")
	got, err := parseGo(said.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(steps) {
		t.Errorf("%d steps, want %d", len(got), len(steps))
	}
	for _, s := range got {
		if want := (spread{303.5, 301.5, 305.5}); s.Nanoseconds != want || s.Allocations != 79 {
			t.Errorf("%s: %v, %v allocations", s.Name, s.Nanoseconds, s.Allocations)
		}
	}
}

// A benchmark that was renamed must not vanish from the page.
func TestParseGoMissesWhatIsNotThere(t *testing.T) {
	if _, err := parseGo("BenchmarkCheck/hot-2 \t 100\t 7 ns/op\nPASS\n"); err == nil || !strings.Contains(err.Error(), "Check/100000_tokens") {
		t.Errorf("%v", err)
	}
}
