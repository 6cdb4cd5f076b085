// Package deploy_test holds the dashboard, the alerts and the queries of the
// documents against what caddy-bearer exports, and has Prometheus run them.
package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	dashboardFile = "grafana/caddy-bearer.json"
	alertsFile    = "prometheus/alerts.yml"
	alertTests    = "prometheus/alerts_test.yml"
	monitoring    = "../docs/monitoring.md"
)

// dashboard is what the tests read of the file for Grafana.
type dashboard struct {
	UID         string
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		Expr       string
		Datasource struct{ UID string }
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	var d dashboard
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	if len(d.Panels) < 20 {
		t.Fatalf("%s has %d panels", dashboardFile, len(d.Panels))
	}
	return &d
}

// queries returns the queries of all panels and annotations, by where they stand.
func (d *dashboard) queries() map[string]string {
	found := map[string]string{}
	for i := range d.Panels {
		p := &d.Panels[i]
		for j, target := range p.Targets {
			found[p.Title+" "+string(rune('A'+j))] = target.Expr
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			found["annotation "+a.Name] = a.Expr
		}
	}
	for _, v := range d.Templating.List {
		if metric, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			metric, label, _ := strings.Cut(strings.TrimSuffix(metric, ")"), ", ")
			found["variable "+v.Name] = metric + `{` + label + `!=""}`
		}
	}
	return found
}

var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// queriesOfPage returns the queries that docs/monitoring.md shows.
func queriesOfPage(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(monitoring)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, block := range promqlBlock.FindAllSubmatch(page, -1) {
		first, _, _ := strings.Cut(string(block[1]), "\n")
		found[first] = string(block[1])
	}
	if len(found) == 0 {
		t.Fatalf("%s has no queries", monitoring)
	}
	return found
}

// rule is an alert.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, alertsFile, &file)
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) < 10 {
		t.Fatalf("%s has %d rules", alertsFile, len(rules))
	}
	return rules
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Who renames a metric or label finds out here, and not on the night when the
// alert stays silent.
func TestQueriesNameWhatIsExported(t *testing.T) {
	known := exported(t)
	d := readDashboard(t)
	used := ""
	for where, query := range d.queries() {
		used += query
		for _, problem := range known.check(query) {
			t.Errorf("dashboard, %s: %s", where, problem)
		}
	}
	for _, rule := range readRules(t) {
		for _, problem := range known.check(rule.Expr) {
			t.Errorf("alert %s: %s", rule.Alert, problem)
		}
	}
	for where, query := range queriesOfPage(t) {
		for _, problem := range known.check(query) {
			t.Errorf("%s, %s: %s", monitoring, where, problem)
		}
	}
	for name := range known {
		if !strings.Contains(used, name) && name != "up" {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// Panels are what Grafana takes: ids that are unique, places that don't overlap,
// the variable as the source, a unit, and words for who wakes up to it.
func TestPanelsAreComplete(t *testing.T) {
	taken, ids := map[[2]int]string{}, map[int]bool{}
	d := readDashboard(t)
	for i := range d.Panels {
		p := &d.Panels[i]
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s sticks out", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[place]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[place] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s lacks a description, a unit, a query or the variable of its source", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s asks %s", p.Title, target.Datasource.UID)
			}
		}
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "environment", "instance"}; !slices.Equal(variables, want) {
		t.Errorf("variables %q, want %q", variables, want)
	}
}

// Each alert says what it is, leads to what is to be done, and has a test in which
// it comes.
func TestAlertsAreExplainedAndTested(t *testing.T) {
	page, err := os.ReadFile(monitoring)
	if err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Coming []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, alertTests, &tests)
	comes, stays := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			comes[c.Alert] = comes[c.Alert] || len(c.Coming) > 0
			stays[c.Alert] = stays[c.Alert] || len(c.Coming) == 0
		}
	}
	for _, rule := range readRules(t) {
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s says nothing", rule.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
			t.Errorf("%s: severity %q", rule.Alert, rule.Labels["severity"])
		}
		if want := "docs/monitoring.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", rule.Alert, rule.Annotations["runbook_url"], want)
		}
		if !strings.Contains(string(page), "\n### "+rule.Alert+"\n") {
			t.Errorf("%s has no section %s", monitoring, rule.Alert)
		}
		if !comes[rule.Alert] || !stays[rule.Alert] {
			t.Errorf("%s: in %s it comes: %t, it does not: %t", rule.Alert, alertTests, comes[rule.Alert], stays[rule.Alert])
		}
	}
}

var alertSection = regexp.MustCompile(`(?m)^### (Bearer\w+)$`)

func TestPageExplainsOnlyAlertsThatExist(t *testing.T) {
	page, err := os.ReadFile(monitoring)
	if err != nil {
		t.Fatal(err)
	}
	rules := readRules(t)
	for _, section := range alertSection.FindAllSubmatch(page, -1) {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.Alert == string(section[1]) }) {
			t.Errorf("%s explains %s, which is no alert", monitoring, section[1])
		}
	}
}

// tool finds a program of Prometheus, which CI installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s was not found; Debian's package prometheus has it", name)
	}
	return path
}

// promtool knows the syntax, and runs the tests of the alerts.
func TestPromtoolAcceptsAlertsAndConfiguration(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", filepath.Base(alertsFile)},
		{"check", "config", "prometheus.yml"},
		{"test", "rules", filepath.Base(alertTests)},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
