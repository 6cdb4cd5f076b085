package deploy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metrics are the labels of each metric, by its name.
type metrics map[string][]string

// The metrics that Caddy and its Go runtime have beside ours, with the labels that
// a dashboard may use.
var metricsOfCaddy = metrics{
	"caddy_config_last_reload_successful": nil,
	"caddy_http_requests_in_flight":       {"server", "handler"},
	"caddy_http_requests_total":           {"server", "handler"},
	"caddy_http_request_duration_seconds": {"server", "handler", "code", "method"},
	"go_gc_duration_seconds_count":        nil,
	"go_gc_duration_seconds_sum":          nil,
	"go_goroutines":                       nil,
	"go_memstats_heap_inuse_bytes":        nil,
	"process_cpu_seconds_total":           nil,
	"process_open_fds":                    nil,
	"process_resident_memory_bytes":       nil,
	"process_start_time_seconds":          nil,
	"up":                                  nil,
}

// Prometheus adds these to each series of a target.
var labelsOfTargets = []string{"instance", "job"}

// exported reads the list that a test of caddymodule writes from the metrics
// themselves: name, type and labels in each line.
func exported(t *testing.T) metrics {
	t.Helper()
	list, err := os.ReadFile("../caddymodule/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := metrics{}
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || len(fields) > 3 {
			t.Fatalf("metrics.txt: %q is no name, type and labels", line)
		}
		known[fields[0]] = nil
		if len(fields) == 3 {
			known[fields[0]] = strings.Split(fields[2], ",")
		}
	}
	if len(known) < 10 {
		t.Fatalf("metrics.txt has %d metrics", len(known))
	}
	for name, labels := range metricsOfCaddy {
		known[name] = labels
	}
	return known
}

// A query in words: text, names with an optional list of labels in braces, and
// everything else, which is one character.
var (
	queryWord  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[A-Za-z_:][A-Za-z0-9_:]*|[0-9][0-9.a-z]*|\S`)
	queryName  = regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*$`)
	queryLabel = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"`)
)

var (
	operators = []string{"and", "or", "unless", "offset", "bool"}
	// Behind these comes a list of labels in parentheses.
	groupings = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	functions = []string{"sum", "min", "max", "topk", "count", "rate", "increase", "changes", "absent", "vector", "time", "histogram_quantile", "max_over_time"}
)

// check returns what is wrong with a query: names of metrics that nothing exports,
// and labels that none of its metrics has.
func (m metrics) check(query string) (problems []string) {
	words := queryWord.FindAllString(query, -1)
	var grouped, has []string
	used := 0
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case !queryName.MatchString(word), slices.Contains(operators, word), slices.Contains(functions, word):
		case slices.Contains(groupings, word):
			if i+1 < len(words) && words[i+1] == "(" {
				end := i + slices.Index(words[i:], ")")
				grouped = append(grouped, slices.DeleteFunc(slices.Clone(words[i+2:end]), func(w string) bool { return w == "," })...)
				i = end
			}
		default:
			used++
			labels, problem := m.labels(word)
			if problem != "" {
				problems = append(problems, problem)
				continue
			}
			has = append(has, labels...)
			if i+1 < len(words) && strings.HasPrefix(words[i+1], "{") {
				problems = append(problems, foreign(word, words[i+1], labels)...)
			}
		}
	}
	for _, label := range grouped {
		if !slices.Contains(has, label) {
			problems = append(problems, fmt.Sprintf("no metric of the query has the label %q", label))
		}
	}
	if used == 0 {
		problems = append(problems, "the query names no metric")
	}
	return problems
}

// labels returns what a series of that name has. A histogram has three.
func (m metrics) labels(name string) (labels []string, problem string) {
	labels, known := m[name]
	if !known {
		family := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			family = strings.TrimSuffix(family, suffix)
		}
		if labels, known = m[family]; !known {
			return nil, fmt.Sprintf("nothing exports the metric %q", name)
		}
		labels = append(slices.Clone(labels), "le")
	}
	return append(slices.Clone(labels), labelsOfTargets...), ""
}

func foreign(metric, braces string, labels []string) (problems []string) {
	matchers := queryLabel.FindAllStringSubmatch(braces, -1)
	if len(matchers) != strings.Count(braces, `"`)/2 {
		problems = append(problems, fmt.Sprintf("%s%s is not understood", metric, braces))
	}
	for _, matcher := range matchers {
		if !slices.Contains(labels, matcher[1]) {
			problems = append(problems, fmt.Sprintf("%s has no label %q; it has %s", metric, matcher[1], strings.Join(labels, ", ")))
		}
	}
	return problems
}

// The check itself must find what is wrong.
func TestCheckFindsNamesAndLabelsThatNothingExports(t *testing.T) {
	known := metrics{"a_total": {"environment"}, "b_seconds": {"environment", "decision"}}
	for query, problems := range map[string]int{
		`sum by (environment) (rate(a_total{environment=~"$environment", instance="x"}[$__rate_interval]))`: 0,
		`histogram_quantile(0.99, sum by (le, decision) (rate(b_seconds_bucket[5m] offset 10m)))`:           0,
		`a_total > on (environment) group_left b_seconds_count`:                                             0,
		`rate(c_total[5m])`:                            1,
		`sum by (client) (a_total)`:                    1,
		`a_total{decision="deny"}`:                     1,
		`a_total{decision!="deny",environment="{x}"}`:  1,
		`sum by (le) (a_total)`:                        1,
		`a_total / on (decision) group_left d_seconds`: 2,
		`1 + 1`:        1,
		`avg(a_total)`: 1, // a function that the list lacks is found out, not let through
	} {
		if got := known.check(query); len(got) != problems {
			t.Errorf("%s: %d problems %q, want %d", query, len(got), got, problems)
		}
	}
}
