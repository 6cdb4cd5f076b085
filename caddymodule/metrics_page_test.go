package caddymodule

import (
	"strings"
	"testing"
)

const metricsPage = "../docs/metrics.md"

const metricsIntro = `# Metrics

For operators: what Caddy's endpoints for metrics say of bearer, beside what they say of Caddy. This page is written by a test from the
metrics themselves: ` + "`go test ./caddymodule -run TestMetricsPage -update`" + `.

Labels are bounded: there is none for paths, clients, users, tokens or addresses. Counters and histograms begin at zero with the process and
go on when the configuration is reloaded. What belongs to a policy or to an environment that is no longer configured is left out.

| metric | type | labels | meaning |
|---|---|---|---|
`

// TestMetricsPage compares the page, and the list that dashboards and alerts are held
// against, with the metrics.
func TestMetricsPage(t *testing.T) {
	page, list := metricsIntro, ""
	for _, f := range families {
		labels := ""
		if len(f.labels) > 0 {
			labels = code(strings.Join(f.labels, " "))
		}
		page += row(code(f.name), f.typeName(), labels, f.help)
		list += strings.TrimSpace(f.name+" "+f.typeName()+" "+strings.Join(f.labels, ",")) + "\n"
	}
	for file, content := range map[string]string{metricsPage: page, "testdata/metrics.txt": list} {
		if *update {
			writeText(t, file, content)
		} else if content != readText(t, file) {
			t.Errorf("%s is out of date; write it anew with -update", file)
		}
	}
}
