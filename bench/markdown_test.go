//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{
		7: "7", 999: "999", 1000: "1,000", 12345: "12,300", 99950: "100,000", 1_000_000: "1,000,000",
	} {
		if got := thousands(n); got != want {
			t.Errorf("%g: %s, want %s", n, got, want)
		}
	}
}

func TestRewriteLeavesTheRestAlone(t *testing.T) {
	const page = "before\n<!-- bench:a -->\nold\n<!-- /bench -->\nbetween\n<!-- bench:b -->\nkept\n<!-- /bench -->\nafter\n"
	got, err := rewrite(page, map[string]string{"a": "new\n"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(page, "old\n", "\nnew\n\n", 1)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again, err := rewrite(got, map[string]string{"a": "new\n"}); err != nil || again != got {
		t.Errorf("written twice, it differs: %v\n%s", err, again)
	}
	for name, broken := range map[string]string{"no begin": "x\n<!-- /bench -->\n", "no end": "<!-- bench:a -->\nx\n"} {
		if _, err := rewrite(broken, map[string]string{"a": "new\n"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A run ends with writing the page: it must not fail there.
func TestPageHasAPlaceForEachSection(t *testing.T) {
	page, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	full := &result{
		Gateways: []line{example("x")}, Pairs: comparisons, Issuer: []line{example("y")},
		Steps: steps, Million: []window{{}},
	}
	sections := full.sections()
	if len(sections) != 6 {
		t.Errorf("%d sections, want 6", len(sections))
	}
	if _, err := rewrite(string(page), sections); err != nil {
		t.Error(err)
	}
}

func TestAimIsMetByTheMedian(t *testing.T) {
	table := pairTable([]comparison{
		{What: "fast", Aim: 0.97, Ratio: spread{0.98, 0.9, 1}, CPU: spread{1.02, 1, 1.1}},
		{What: "slow", Aim: 0.97, Ratio: spread{0.96, 0.9, 1}, CPU: spread{1.02, 1, 1.1}},
		{What: "free", Ratio: spread{1, 1, 1}, CPU: spread{1, 1, 1}},
	})
	for _, want := range []string{
		"| fast | 0.98 (0.90–1.00) | ≥ 0.97 | yes | 1.02 (1.00–1.10) |",
		"| slow | 0.96 (0.90–1.00) | ≥ 0.97 | no | 1.02 (1.00–1.10) |",
		"| free | 1.00 (1.00–1.00) | – | – | 1.00 (1.00–1.00) |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	svg := plot([]line{example("**our gate**"), example("a < b & `c`")})
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	if strings.Count(svg, "<rect") != 3 { // the ground and two bars
		t.Errorf("not a bar for each line:\n%s", svg)
	}
}

func example(name string) line {
	ratio := spread{1.1, 1, 1.2}
	return line{Key: "x", Name: name, Ratio: &ratio, CPURatio: &ratio, PerSecond: ratio, CPU: ratio, P50: ratio, P99: ratio}
}
