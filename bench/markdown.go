//go:build linux

package main

import (
	"fmt"
	"strings"
)

// sections are the parts of docs/benchmarks.md that a run writes. What a run did
// not measure stays as it is.
func (r *result) sections() map[string]string {
	parts := map[string]string{"machine": r.machineText()}
	if len(r.Gateways) > 0 {
		parts["gateways"] = gatewayTable(r.Gateways)
		parts["pairs"] = pairTable(r.Pairs)
	}
	if len(r.Issuer) > 0 {
		parts["issuer"] = issuerTable(r.Issuer)
	}
	if len(r.Steps) > 0 {
		parts["steps"] = stepTable(r.Steps)
	}
	if len(r.Million) > 0 {
		parts["million"] = millionTable(r.Million)
	}
	return parts
}

func (r *result) machineText() string {
	m := &r.Machine
	return fmt.Sprintf("On %s: %d cores of a virtual machine (%s), Linux %s, Go %s, Caddy %s, HAProxy %s, nginx %s, wrk %s. "+
		"%d rounds of %g s for each line; meanwhile the host gave %.1f %% of the processors' time to others.\n",
		r.Date, m.Cores, m.CPU, m.Kernel, m.Go, m.Caddy, m.HAProxy, m.Nginx, m.Wrk, r.Rounds, r.Seconds, 100*r.Stolen)
}

func gatewayTable(lines []line) string {
	var b strings.Builder
	b.WriteString("| gateway | requests/s to the floor's | CPU a request to the floor's | requests/s | CPU a request | p50 | p99 | peak memory |\n" +
		"|---|---|---|---|---|---|---|---|\n")
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.0f µs | %s | %s | %d MiB |\n", l.Name, l.Ratio, l.CPURatio,
			thousands(l.PerSecond.Median), l.CPU.Median, duration(l.P50.Median), duration(l.P99.Median), l.Peak>>20)
	}
	return b.String()
}

func pairTable(pairs []comparison) string {
	var b strings.Builder
	b.WriteString("| | requests/s (least–most) | aim | met | CPU a request |\n|---|---|---|---|---|\n")
	for _, p := range pairs {
		aim, met := "–", "–"
		if p.Aim > 0 {
			aim, met = fmt.Sprintf("≥ %.2f", p.Aim), yes(p.Ratio.Median >= p.Aim)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.What, p.Ratio, aim, met, p.CPU)
	}
	return b.String()
}

func issuerTable(lines []line) string {
	var b strings.Builder
	b.WriteString("| over HTTP, 256 callers, each answer on the disk | a second (least–most) | CPU each | p50 | p99 | peak memory |\n|---|---|---|---|---|---|\n")
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(&b, "| %s | %s (%s–%s) | %.0f µs | %s | %s | %d MiB |\n", l.Name,
			thousands(l.PerSecond.Median), thousands(l.PerSecond.Least), thousands(l.PerSecond.Most),
			l.CPU.Median, duration(l.P50.Median), duration(l.P99.Median), l.Peak>>20)
	}
	return b.String()
}

func stepTable(steps []step) string {
	var b strings.Builder
	b.WriteString("| step | median (least–most) | allocations | aim | met |\n|---|---|---|---|---|\n")
	for _, s := range steps {
		aim, met := "–", "–"
		if s.Aim > 0 {
			aim, met = "≤ "+nanoseconds(s.Aim), yes(s.Nanoseconds.Median <= s.Aim)
		}
		fmt.Fprintf(&b, "| %s | %s (%s–%s) | %.0f | %s | %s |\n", s.What, nanoseconds(s.Nanoseconds.Median),
			nanoseconds(s.Nanoseconds.Least), nanoseconds(s.Nanoseconds.Most), s.Allocations, aim, met)
	}
	return b.String()
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "no"
}

func millionTable(windows []window) string {
	var b strings.Builder
	b.WriteString("| tokens seen | resident memory | p50 | p99 |\n|---|---|---|---|\n")
	for _, w := range windows {
		fmt.Fprintf(&b, "| %s | %d MiB | %s | %s |\n", thousands(float64(w.Seen)), w.Memory>>20, duration(w.P50), duration(w.P99))
	}
	return b.String()
}

// String is a ratio and how far the rounds were apart.
func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Least, s.Most)
}

// thousands writes a count with three digits that mean something.
func thousands(n float64) string {
	unit := 1.0
	for n/unit >= 1000 {
		unit *= 10
	}
	digits := fmt.Sprintf("%.0f", float64(int64(n/unit+0.5))*unit)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// duration writes microseconds.
func duration(micros float64) string {
	if micros < 1000 {
		return fmt.Sprintf("%.0f µs", micros)
	}
	return fmt.Sprintf("%.1f ms", micros/1000)
}

func nanoseconds(n float64) string {
	switch {
	case n < 100:
		return fmt.Sprintf("%.1f ns", n)
	case n < 10_000:
		return fmt.Sprintf("%.0f ns", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.0f µs", n/1e3)
	}
	return fmt.Sprintf("%.0f ms", n/1e6)
}

// rewrite puts the sections between their markers.
func rewrite(page string, sections map[string]string) (string, error) {
	for name, text := range sections {
		begin, end := "<!-- bench:"+name+" -->\n", "<!-- /bench -->"
		head, rest, found := strings.Cut(page, begin)
		if !found {
			return "", fmt.Errorf("no marker %q", strings.TrimSpace(begin))
		}
		_, tail, found := strings.Cut(rest, end)
		if !found {
			return "", fmt.Errorf("no %q after %q", end, strings.TrimSpace(begin))
		}
		page = head + begin + "\n" + text + "\n" + end + tail
	}
	return page, nil
}
